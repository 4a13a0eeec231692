"""Real collectors on loopback, by transport: rsyslogd and syslog-ng, which can be frozen and killed, and what they got.

Each writes one line for a message: the structured data (RFC 5424), or the JSON text of the local form. Certificates are
made anew; collectors with TLS want one of their clients.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.io.certificates import Certificates, certificates
from tests.live.packages import syslog_ng
from tests.live.servers import Server, environment, free_port, program, wait_for

KINDS = ("rsyslog-tcp", "rsyslog-gtls", "rsyslog-ossl", "rsyslog-relp", "rsyslog-relp+tls", "syslog-ng-tcp",
         "syslog-ng-tls")  # fmt: skip
"""Those that confirm; ``-udp`` and ``-unix`` are there beside them."""
DATA = re.compile(r'\bid="(?P<id>\w+)" rev="(?P<rev>\d+)".*\[meta sequenceId="(?P<number>\d+)"\]')
LOCAL = re.compile(r'\{"id":.*"sequence":\d+\}')


@dataclass
class Got:
    """What a collector has, by alert."""

    copies: Counter[str] = field(default_factory=Counter)  # id → how often it came
    named: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # id → (rev, number) it came with
    order: list[str] = field(default_factory=list)  # ids, each when it came first
    heartbeats: list[dict[str, str]] = field(default_factory=list)

    @property
    def numbers(self) -> set[int]:
        """Every message number that came."""
        return {int(number) for pairs in self.named.values() for _, number in pairs}


class Collector(Server):
    """One collector; ``address`` is what a sink is configured with."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.port, self.folder = kind, free_port(), folder
        self.made: Certificates = certificates()
        self.file = folder / "received"
        scheme = {"gtls": "tls", "ossl": "tls"}.get(self.transport, self.transport)
        self.address = f"unix://{folder}/log" if scheme == "unix" else f"{scheme}://127.0.0.1:{self.port}"
        config = folder / "collector.conf"
        ours = kind.startswith("rsyslog")
        config.write_text(self._rsyslog() if ours else self._syslog_ng())
        command = [program("rsyslogd", folder), "-n", "-f", str(config), "-i", str(folder / "pid")]
        if not ours:
            root = syslog_ng()
            assert root is not None
            command = [
                str(root / "usr/sbin/syslog-ng"), "-F", "--no-caps", f"--cfgfile={config}",
                f"--persist-file={folder}/persist", f"--control={folder}/ctl", f"--pidfile={folder}/pid",
                f"--module-path={root}/usr/lib/syslog-ng/3.38",
            ]  # fmt: skip
        super().__init__(command, folder / "collector.out", self._listens)

    @property
    def transport(self) -> str:
        """tcp, gtls, ossl, tls, relp, relp+tls, udp, unix."""
        return self.kind.removeprefix("syslog-ng-").removeprefix("rsyslog-")

    @property
    def settings(self) -> dict[str, object]:
        """What a sink needs beside the address."""
        if "tls" not in self.address.partition(":")[0]:
            return {}
        made = self.made
        return {"tls": {"ca": str(made.ca), "cert": str(made.cert("client")), "key": str(made.key("client"))}}

    def environment(self) -> dict[str, str]:
        """Give an unpacked syslog-ng its libraries."""
        root = syslog_ng()
        if self.kind.startswith("rsyslog") or root is None:
            return environment()
        places = ("usr/lib/syslog-ng", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu",
                  "lib/aarch64-linux-gnu")  # fmt: skip
        return {**environment(), "LD_LIBRARY_PATH": ":".join(str(root / each) for each in places)}

    def _rsyslog(self) -> str:
        made, port = self.made, self.port
        files = (made.ca, made.cert("server"), made.key("server"))
        head = f'global(workDirectory="{self.folder}" maxMessageSize="64k")\n'
        names = " ".join(f'DefaultNetstreamDriver{each}File="{{}}"' for each in ("CA", "Cert", "Key"))
        driver = self.transport
        where = {
            "tcp": f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}")\n',
            "udp": f'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")\n',
            "unix": f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{self.folder}/log"'
                    ' RateLimit.Interval="0")\n',
            "relp": 'module(load="imrelp")\n'
                    f'input(type="imrelp" address="127.0.0.1" port="{port}" maxDataSize="64k")\n',
            "relp+tls": 'module(load="imrelp" tls.tlslib="openssl")\n'
                        f'input(type="imrelp" address="127.0.0.1" port="{port}" maxDataSize="64k" tls="on" '
                        f'tls.caCert="{files[0]}" tls.myCert="{files[1]}" tls.myPrivKey="{files[2]}" '
                        'tls.authMode="certvalid")\n',
        }  # fmt: skip
        if driver in ("gtls", "ossl"):
            head += f"global({names.format(*files)})\n"
            where[driver] = (
                f'module(load="imtcp" StreamDriver.Name="{driver}" StreamDriver.Mode="1" '
                'StreamDriver.AuthMode="x509/certvalid")\n'
                f'input(type="imtcp" address="127.0.0.1" port="{port}")\n'
            )
        text = "%msg%" if driver == "unix" else "%structured-data%"
        return (
            f"{head}{where[driver]}"
            f'template(name="line" type="string" string="{text}\\n")\n'
            f'*.* action(type="omfile" file="{self.file}" template="line")\n'
        )

    def _syslog_ng(self) -> str:
        made = self.made
        kind = "network" if self.transport != "unix" else "unix-dgram"
        tls = (
            f' tls(key-file("{made.key("server")}") cert-file("{made.cert("server")}") ca-file("{made.ca}")'
            " peer-verify(required-trusted))"
            if self.transport == "tls"
            else ""
        )
        source = (
            f'syslog(ip("127.0.0.1") port({self.port}) transport("{self.transport}"){tls} log-iw-size(10000)'
            " log-msg-size(65536))"
        )
        if kind == "unix-dgram":
            source = f'unix-dgram("{self.folder}/log" log-iw-size(10000))'
        text = "$MSG" if kind == "unix-dgram" else "$SDATA"
        return (
            "@version: 3.38\noptions { stats-freq(0); flush-lines(1); };\n"
            f"source s {{ {source}; }};\n"
            f'destination d {{ file("{self.file}" template("{text}\\n")); }};\n'
            "log { source(s); destination(d); };\n"
        )

    def _listens(self) -> bool:
        if self.transport == "unix":
            return Path(f"{self.folder}/log").is_socket()
        table = "udp" if self.transport == "udp" else "tcp"
        states = ("07",) if table == "udp" else ("0A",)
        lines = Path(f"/proc/net/{table}").read_text().splitlines()
        return any(f":{self.port:04X} " in line and line.split()[3] in states for line in lines)

    # ── Deaths ────────────────────────────────────────────────────────────────────────────────────────────────

    def die(self, how: str, frozen_s: float = 0.7) -> None:
        """End it: ``term`` (SIGTERM), ``kill`` (SIGKILL), ``freeze`` (SIGSTOP for a while, then SIGKILL)."""
        assert self.process
        if how == "freeze":
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(frozen_s)
        self.process.send_signal(signal.SIGTERM if how == "term" else signal.SIGKILL)
        self.process.wait(120)
        (self.folder / "pid").unlink(missing_ok=True)
        (self.folder / "log").unlink(missing_ok=True)

    # ── What arrived ──────────────────────────────────────────────────────────────────────────────────────────

    def got(self) -> Got:
        """Read what has been written so far."""
        got = Got()
        for line in self.file.read_text().splitlines() if self.file.exists() else ():
            if "dnswatch.heartbeat@" in line:
                got.heartbeats.append(dict(re.findall(r'(\w+)="([^"]*)"', line)))
                continue
            if (local := LOCAL.search(line)) is not None:
                fields = json.loads(local[0])
                name = fields["id"], str(fields["rev"]), str(fields["sequence"])
            elif (found := DATA.search(line)) is not None:
                name = found["id"], found["rev"], found["number"]
            else:
                continue
            if name[0] not in got.copies:
                got.order.append(name[0])
            got.copies[name[0]] += 1
            got.named.setdefault(name[0], set()).add(name[1:])
        return got

    def wait_for(self, alerts: int, within_s: float) -> Got:
        """Wait until so many different alerts have arrived, and give what has."""
        wait_for(lambda: len(self.got().copies) >= alerts, within_s, 0.1)
        return self.got()
