"""The collectors' configurations under examples/siem, as they ship but for ports and directories."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path

import pytest

from dnswatch.config.data import data_path
from dnswatch.config.model import SyslogSink as Settings
from dnswatch.io.deliver import Delivery
from dnswatch.io.sinks import SINKS
from tests.io.making import alert
from tests.live.collectors import Collector
from tests.live.packages import syslog_ng
from tests.live.servers import Server, free_port, place, program, wait_for

SIEM = data_path("examples") / "siem"
ALERTS = 60


def rsyslog(folder: Path, port: int) -> Server:
    """Give rsyslogd with the shipped file."""
    shipped = (SIEM / "rsyslog" / "dnswatch.conf").read_text()
    for ours, theirs in (("2514", str(port)), ("2515", str(free_port())), ("/var/spool/rsyslog", str(folder)),
                         ("/var/log/", f"{folder}/")):  # fmt: skip
        shipped = shipped.replace(ours, theirs)
    config = folder / "rsyslog.conf"
    config.write_text(f'global(workDirectory="{folder}")\n{shipped}')
    command = [program("rsyslogd", folder), "-n", "-f", str(config), "-i", str(folder / "pid")]
    return Server(command, folder / "rsyslog.out", lambda: listens(port))


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def test_rsyslog_keeps_what_it_acknowledged() -> None:
    """Alerts by RELP, the collector killed with -9 right after the last word: all of them are in its file."""
    with place() as folder:
        port = free_port()
        settings = Settings.model_validate({"type": "syslog", "address": f"relp://127.0.0.1:{port}", "heartbeat": 0})
        sink = SINKS["syslog"](settings, "ns1")
        with rsyslog(folder, port) as first:
            await sink.send([Delivery(number, alert(number)) for number in range(1, ALERTS + 1)])
            assert first.process is not None
            first.process.kill()
            first.process.wait()
        await sink.close()
        (folder / "pid").unlink(missing_ok=True)
        file = folder / "dnswatch-alerts.log"

        def all_there() -> bool:
            text = file.read_text() if file.exists() else ""
            return all(alert(number).id in text for number in range(1, ALERTS + 1))

        with rsyslog(folder, port):
            assert wait_for(all_there, 15), "the queue on disk was not taken up again"
        assert 'severity="high"' in file.read_text()


def test_syslog_ng_takes_the_file() -> None:
    """Its own syntax check, with the modules of Debian's package."""
    root = syslog_ng()
    if root is None:
        pytest.skip("syslog-ng is not unpacked")
    with place() as folder:
        config = folder / "syslog-ng.conf"
        config.write_text("@version: 3.38\n" + (SIEM / "syslog-ng" / "dnswatch.conf").read_text())
        done = subprocess.run(
            [str(root / "usr/sbin/syslog-ng"), "--syntax-only", "--no-caps", f"--cfgfile={config}",
             f"--persist-file={folder}/persist", f"--module-path={root}/usr/lib/syslog-ng/3.38"],
            capture_output=True, text=True, check=False, env=Collector("syslog-ng-tcp", folder).environment(),
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
