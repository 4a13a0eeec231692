"""Real servers go blind: query logging switched off, a log at its size limit, one not opened anew, a full disk."""

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from dnswatch.core.health.kinds import KINDS
from dnswatch.core.health.monitor import STUCK_S
from tests.live.servers import Server, dig, environment, free_port, named_with, place, program
from tests.live.test_rotation import DNSMASQ, ask
from tests.running import PATIENCE, InLoop, bind_line, soon

NAMED = """
key k {{ algorithm hmac-sha256; secret "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="; }};
options {{ directory "{root}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }}; recursion no; allow-query {{ any; }}; }};
controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ k; }}; }};
logging {{
  channel q {{ file "{root}/query.log" {limit}; print-time iso8601-utc; print-category yes; print-severity yes; }};
  category queries {{ q; }}; category general {{ q; }};
}};
"""
RNDC = 'key k { algorithm hmac-sha256; secret "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA=="; };\n'


def told(watching: InLoop) -> list[tuple[str, str]]:
    """Every blind spot that the sink was told of."""
    return [(one["service"], one["state"]) for one in watching.alerts() if one["category"] == "blind-spot"]


def do(*command: str) -> bool:
    """Run a command; False when it fails."""
    return not subprocess.run(command, capture_output=True, check=False, env=environment(), timeout=120).returncode


def daemon(root: Path, kind: str) -> InLoop:
    folder = root / "dnswatch"
    folder.mkdir()
    source = f"{{type: {kind}, path: {root}/query.log, timezone: UTC, from: start}}"
    return InLoop(folder, "feeds: {mode: off}\n", sources=f"sources: [{source}]")


async def test_rndc_querylog_off_and_on() -> None:
    """named says so in its log: told within seconds, over as soon as it is on again."""
    with place() as root:
        port, control = free_port(), free_port()
        text = NAMED.format(root=root, port=port, control=control, limit="")
        (root / "rndc.key").write_text(RNDC)
        rndc = ["rndc", "-s", "127.0.0.1", "-p", str(control), "-k", str(root / "rndc.key")]
        with named_with(text, root, port):
            async with daemon(root, "bind") as watching:
                ask(port, "127.0.0.9", "www.example.org")
                for word in ("off", "on"):
                    assert do(*rndc, "querylog", word)
                    await soon(lambda word=word: len(told(watching)) == ("off", "on").index(word) + 1, 15)
                ask(port, "127.0.0.9", "api.telegram.org")
                await soon(lambda: any(one["service"] == "telegram-bot" for one in watching.alerts()), 15)
            assert told(watching) == [("querylog-off", "open"), ("querylog-off", "closed")]


async def test_named_stops_at_its_size_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """``size 1m`` without ``versions``: it answers on and logs no more; moved away, it logs again."""
    monkeypatch.setattr("dnswatch.core.health.monitor.QUIET_S", 3.0)
    monkeypatch.setattr("dnswatch.core.health.monitor.QUIET_GAPS", 0.0)
    monkeypatch.setitem(KINDS, "size-stop", KINDS["size-stop"]._replace(settle_s=1.0))
    with place() as root:
        port = free_port()
        log = root / "query.log"
        line = bind_line("www.example.org").encode()
        log.write_bytes(line * ((1 << 20) // len(line) - 3))
        with suppress(LookupError):
            shutil.chown(log, "bind")
        with named_with(NAMED.format(root=root, port=port, control=free_port(), limit="size 1m"), root, port):
            async with daemon(root, "bind") as watching:
                for _ in range(60):
                    ask(port, "127.0.0.9", "www.example.org")
                stopped = log.stat().st_size
                ask(port, "127.0.0.9", "api.telegram.org")
                await soon(lambda: told(watching), 20)
                assert log.stat().st_size == stopped
                log.rename(root / "query.log.away")
                for _ in range(3):
                    ask(port, "127.0.0.9", "www.example.org")
                await soon(lambda: told(watching)[-1] == ("size-stop", "closed"), 20)
            assert told(watching)[0] == ("size-stop", "open")
            assert "size 1m" in watching.alerts()[0]["reason"]


async def test_logrotate_without_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """dnsmasq writes on into the renamed log while the new one stays empty, until SIGUSR2."""
    monkeypatch.setitem(STUCK_S, "dnsmasq", 2.0)
    with place() as root:
        port, log = free_port(), root / "query.log"
        (root / "dnsmasq.conf").write_text(DNSMASQ.format(root=root, port=port))
        command = [program("dnsmasq", root), "-k", "-C", str(root / "dnsmasq.conf")]
        server = Server(command, root / "dnsmasq.out", lambda: dig(port, "127.0.0.1", "ready.test").status)
        with server:
            async with daemon(root, "dnsmasq") as watching:
                log.rename(root / "query.log.1")
                log.touch()
                await asyncio.sleep(2.5)
                for _ in range(100 * PATIENCE):  # what comes late is what tells
                    ask(port, "127.0.0.9", "www.example.org")
                    await asyncio.sleep(0.2)
                    if told(watching):
                        break
                assert server.process
                server.process.send_signal(signal.SIGUSR2)
                for _ in range(100 * PATIENCE):
                    ask(port, "127.0.0.9", "api.telegram.org")
                    await asyncio.sleep(0.2)
                    if not watching.daemon.blind_spots.open():
                        break
                assert watching.daemon.blind_spots.open() == []
            assert told(watching)[0] == ("log-stuck", "open")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a tmpfs")
async def test_a_small_file_system_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's own disk: told while it fills, over when there is room; every line is read in spite of it."""
    monkeypatch.setitem(KINDS, "disk-full", KINDS["disk-full"]._replace(settle_s=1.0))
    disk = tmp_path / "log"
    disk.mkdir()
    if not do("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)):
        pytest.skip("this system does not let us mount a tmpfs")
    try:
        source = f"{{type: bind, path: {disk}/query.log, timezone: UTC, from: start}}"
        async with InLoop(tmp_path, sources=f"sources: [{source}]") as watching:
            (disk / "ballast").write_bytes(b"\0" * (7 << 20))
            with suppress(OSError), (disk / "query.log").open("w") as log:
                while True:
                    log.write(bind_line("www.example.org"))
                    log.flush()
            await soon(lambda: told(watching), 20)
            (disk / "ballast").unlink()
            with (disk / "query.log").open("a") as log:
                log.write("\n" + bind_line("api.telegram.org"))
            await soon(lambda: any(one["service"] == "telegram-bot" for one in watching.alerts()), 20)
            await soon(lambda: told(watching)[-1][1] == "closed", 20)
        assert told(watching) == [("disk-full", "open"), ("disk-full", "closed")]
    finally:
        assert do("umount", str(disk))
