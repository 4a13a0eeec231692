"""`dnswatch sink`: what it shows, what it says of a test, what it makes a daemon send again."""

import asyncio
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dnswatch.cli import main
from dnswatch.io.store import FILE, Store
from tests.io.making import alert
from tests.running import Running, bind_line, until


@pytest.fixture
def place(tmp_path: Path) -> Running:
    """A configuration with a file sink, and nothing that runs."""
    return Running(tmp_path)


Sink = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sink(place: Running, capsys: pytest.CaptureFixture[str]) -> Sink:
    """Runs `dnswatch sink …` in this process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["--config", str(place.config), "sink", *arguments])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(left.value.code or 0), said.out, said.err)

    return run


@contextmanager
def receiver() -> Iterator[tuple[int, list[bytes]]]:
    """A TCP receiver in a thread."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    while data := peer.recv(65536):
                        seen.append(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def with_syslog(place: Running, port: int, more: str = "") -> None:
    text = place.config.read_text()
    sink = f"{{type: syslog, name: siem, address: 'tcp://127.0.0.1:{port}'{more}}}"
    place.config.write_text(text.replace("sinks: [", f"sinks: [{sink}, "))


async def stored(place: Running, alerts: int) -> None:
    """Leave a store with alerts that sink ``siem`` has not had, and a dead letter of the first."""
    (place.folder / "state").mkdir(exist_ok=True)
    async with await Store.open(place.folder / "state" / FILE) as store:
        await store.cursors(["siem"])
        await store.checkpoint([], None, [alert(number) for number in range(1, alerts + 1)])
        await store.bury("siem", 1, alert(1).id, 1, "RELP: 500 too \x1b[31mlong")


def test_nothing_ever_ran(place: Running, sink: Sink) -> None:
    """Exit 4, with the way on."""
    done = sink("list")
    assert (done.returncode, "start it with `dnswatch run`" in done.stderr) == (4, True)


def test_list_shows_what_waits_and_what_is_dead(place: Running, sink: Sink) -> None:
    """Without a daemon too; what comes from outside is escaped; all of it as JSON."""
    asyncio.run(stored(place, 3))
    done = sink("list")
    assert done.returncode == 0
    assert re.search(r"^siem +not configured +- +0 +3 +\d+\.\d s +1 +0 +-$", done.stdout, re.MULTILINE)
    assert "1 dead letter: dnswatch sink list --dead" in done.stdout
    dead = sink("list", "--dead").stdout
    assert alert(1).id in dead
    assert "too \\x1b[31mlong" in dead
    said = json.loads(sink("list", "--json").stdout)
    assert (said["running"], said["sinks"]["siem"]["backlog"], len(said["dead_letters"])) == (False, 3, 1)


def test_test_says_who_confirmed(place: Running, sink: Sink) -> None:
    """A marked alert goes out over the real transport; the file gets it too; a dead receiver is exit 4."""
    with receiver() as (port, seen):
        with_syslog(place, port)
        done = sink("test")
        assert done.returncode == 0, done.stderr
        assert re.search(r"^siem: received over tcp://\S+ in \d+ ms: the receiver's end after ours", done.stdout)
        assert "stored in" in done.stdout
        message = b"".join(seen)
        assert b" DNSW-test [dnswatch@32473 " in message
        assert b"nothing happened" in message
        assert place.alerts()[-1]["rule_id"] == "DNSW-test"
    done = sink("test", "siem", "--json")
    assert done.returncode == 4
    (said,) = json.loads(done.stdout)
    assert (said["sink"], said["acknowledgement"]) == ("siem", "")
    assert "Connection refused" in said["error"]


def test_unknown_sinks_are_told_with_the_known(place: Running, sink: Sink) -> None:
    """A name that is nearly right is proposed."""
    with_syslog(place, 9)
    done = sink("test", "sime")
    assert (done.returncode, "did you mean 'siem'" in done.stderr) == (1, True)


def test_requeue_asks_for_what_there_is(place: Running, sink: Sink) -> None:
    """Dead letters, a time, a number; nothing there is exit 1, two wishes at once exit 2."""
    asyncio.run(stored(place, 3))
    for arguments, code, said in (
        (("siem",), 0, "siem: 1 alert will be sent again when dnswatch runs again."),
        (("siem", "--dead", "7"), 1, "there is no dead letter with this id"),
        (("siem", "--since", "1h"), 0, "3 alerts will be sent again"),
        (("siem", "--since", "2100-01-01"), 1, "there is no alert of that time or number"),
        (("siem", "--from", "2"), 0, "2 alerts will be sent again"),
        (("siem", "--since", "yesterday"), 2, "nor a duration such as 2h"),
        (("siem", "--from", "2", "--since", "1h"), 2, "exclude each other"),
        (("other",), 1, "there is no sink 'other': known are siem"),
    ):
        done = sink("requeue", *arguments)
        assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done


def test_a_running_daemon_sends_again(place: Running) -> None:
    """What was delivered comes once more within seconds, with the same id and rev and the next number."""
    with receiver() as (port, seen):
        with_syslog(place, port, ", heartbeat: 0")
        place.log.touch()
        with place:
            place.write(bind_line("api.telegram.org"))
            until(lambda: b"sequenceId" in b"".join(seen))
            until(lambda: json.loads(place.run("sink", "list", "--json").stdout)["sinks"]["siem"].get("sent") == 1)
            assert re.search(r"^siem +ok +received +1 +0 ", place.run("sink", "list").stdout, re.MULTILINE)
            done = place.run("sink", "requeue", "siem", "--from", "1")
            assert done.stdout == "siem: 1 alert will be sent again within seconds.\n"
            until(lambda: b"".join(seen).count(b"sequenceId") == 2)
            ids = re.findall(rb' id="(\w{26})" rev="1".*?sequenceId="(\d)"', b"".join(seen))
            assert [number for _, number in ids] == [b"1", b"2"]
            assert len({name for name, _ in ids}) == 1
            assert place.stop() == 0
