"""A real rsyslogd that receives over UDP and TCP on loopback and writes what it understood, field by field."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from tests.live.servers import Server, free_port, program, wait_for


class Rsyslog(Server):
    """Listens on one port for UDP and TCP; ``kill`` and ``start`` again keep the port and the file."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.received_file = folder / "received.jsonl"
        self._pid_file = folder / "rsyslogd.pid"
        config = folder / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{folder}" maxMessageSize="64k")\n'
            'module(load="imudp")\nmodule(load="imtcp")\n'
            f'input(type="imudp" address="127.0.0.1" port="{self.port}")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n'
            'template(name="all" type="string" string="%jsonmesg%\\n")\n'
            f'*.* action(type="omfile" file="{self.received_file}" template="all")\n'
        )
        command = [program("rsyslogd", folder), "-n", "-f", str(config), "-i", str(self._pid_file)]
        super().__init__(command, folder / "rsyslog.out", self._listens)

    def _listens(self) -> bool:
        port = f":{self.port:04X} "
        return all(port in Path(f"/proc/net/{kind}").read_text() for kind in ("udp", "tcp"))

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)
        self._pid_file.unlink(missing_ok=True)

    def received(self, at_least: int, within_s: float = 10.0) -> list[dict[str, Any]]:
        """Give the messages as rsyslog understood them, once there are that many (heartbeats are left out)."""

        def messages() -> list[dict[str, Any]]:
            if not self.received_file.exists():
                return []
            lines = [json.loads(line) for line in self.received_file.read_text().splitlines()]
            return [one for one in lines if one["programname"] == "dnswatch" and one["msgid"] != "DNSW-HB"]

        wait_for(lambda: len(messages()) >= at_least, within_s)
        return messages()
