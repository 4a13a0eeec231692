"""dnstap on this host: where a BIND or an Unbound sends it, and both sides' exact settings.

The server connects to whoever listens, so a socket that it names is a source of ours, or already somebody else's: that
cannot be seen here and is said. Never: takes dnstap beside the query log of the same server, for every lookup would
count twice. Facts: docs/sources.md, the BIND 9 reference manual (``dnstap``), unbound.conf(5). Read next: ``named.py``.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dnswatch.core.host.named import Named
from dnswatch.core.host.unbound import Unbound

if TYPE_CHECKING:
    from dnswatch.core.host.findings import Search

SOCKET = "/run/dnswatch-tap/sock"
"""Where we listen, unless the server already sends to a place of its own for that."""
SERVERS_OWN = ("/run", "/var/run", "/run/named", "/var/run/named", "/run/unbound", "/var/run/unbound",
               "/var/cache/bind", "/var/lib/unbound", "/etc/unbound", "/var/log/named")  # fmt: skip
"""Directories in which only root or the server may make a socket."""
TCP_PORT = "6000"
"""That of the examples of dnstap's own tools."""
LOOPBACK = ("127.", "::1")
UNBOUND_MESSAGES = ("dnstap-log-client-query-messages: yes", "dnstap-log-client-response-messages: yes")


@dataclass(frozen=True, slots=True)
class Tap:
    """Where one server sends its dnstap, and what it would have to be told for us."""

    server: str  # BIND (/etc/bind/named.conf)
    user: str  # the server's group
    kind: Literal["unix", "tcp", "file", "elsewhere"]
    place: str  # the socket, address or file that we read; what it says, where that is elsewhere
    settings: tuple[str, ...] = ()  # of the server, where its own do not do

    @property
    def entry(self) -> str:
        """The source, as in our configuration."""
        where = f"path: {self.place}" if self.kind == "file" else f'listen: "{self.kind}://{self.place}"'
        return f"{{type: dnstap, {where}}}"


def of_named(found: Named) -> Tap | None:
    """Read BIND's ``dnstap`` and ``dnstap-output``; None where there is neither."""
    if found.tap_output is None:
        return None
    kind, path = found.tap_output
    server = f"BIND ({found.origin})"
    user = "bind" if found.origin.startswith("/etc/bind") else "named"
    told = any(words in (("all",), ("client",)) for words in found.taps)
    if kind == "file":
        settings = () if told else ("options {", "    dnstap { client; };", "};")
        return Tap(server, user, "file", path, settings)
    place = _socket(path)
    if told and place == path:
        return Tap(server, user, "unix", place)
    lines = ("options {", "    dnstap { client; };", f'    dnstap-output unix "{place}";', "};")
    return Tap(server, user, "unix", place, lines)


def of_unbound(found: Unbound) -> Tap | None:
    """Read Unbound's ``dnstap`` clause; None where it is absent or switched off."""
    said = found.tap
    if said.get("dnstap-enable") != "yes":
        return None
    server = f"Unbound ({found.origin})"
    messages = tuple(line for line in UNBOUND_MESSAGES if said.get(line.partition(":")[0]) != "yes")
    if address := said.get("dnstap-ip", ""):
        host, _, port = address.partition("@")
        if not host.startswith(LOOPBACK):
            return Tap(server, "unbound", "elsewhere", address)
        lines = messages if said.get("dnstap-tls") == "no" else ("dnstap-tls: no", *messages)
        if not port:  # it would be 53
            port, lines = TCP_PORT, (f"dnstap-ip: {host}@{TCP_PORT}", *lines)
        host = f"[{host}]" if ":" in host else host
        return Tap(server, "unbound", "tcp", f"{host}:{port}", ("dnstap:", *_indented(lines)) if lines else ())
    path = said.get("dnstap-socket-path", "/run/dnstap.sock")
    place = _socket(path)
    lines = messages if place == path else (f'dnstap-socket-path: "{place}"', *messages)
    return Tap(server, "unbound", "unix", place, ("dnstap:", *_indented(lines)) if lines else ())


def _indented(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"    {line}" for line in lines)


def _socket(path: str) -> str:
    """Keep a socket in a directory of its own; a server's directory is not one for us to make a socket in."""
    return SOCKET if posixpath.dirname(path) in SERVERS_OWN else path


def propose(host: Search, tap: Tap, logged: bool) -> bool:
    """Take it as a source where the server has no query log (``logged``), else say that it could be one."""
    if tap.kind == "elsewhere":
        host.note("found", f"{tap.server} sends dnstap to {tap.place}, which is not this host")
        return False
    if logged:
        host.note("found", f"{tap.server} sends dnstap, too. Each lookup would count twice, so its query log alone is "
                  "taken; dnstap has answers and exact names. To change over, write instead of that log's line",
                  f"- {tap.entry}\n{settings(tap)}")  # fmt: skip
        return False
    host.add_tap(tap.place, tap.kind, f"{tap.server} sends dnstap"
                 + (", once the advised lines are in force" if tap.settings else ""))  # fmt: skip
    if text := settings(tap):
        host.note("advice", f"{tap.server}: for its dnstap to reach dnswatch, and nobody else (who listens at its "
                  "socket gets it alone)" if tap.kind != "file" else f"{tap.server}: for lookups to be in it",
                  text)  # fmt: skip
    return True


def settings(tap: Tap) -> str:
    """Write what is still to be set: on the server, and on our side what lets it in."""
    server = tap.server.partition("(")[2].rstrip(")")
    named = tap.server.startswith("BIND")
    lines = [f"# into {server}, in place of what it says of dnstap:", *tap.settings] if tap.settings else []
    if tap.kind == "unix":
        profile = "/etc/apparmor.d/local/usr.sbin." + ("named" if named else "unbound")
        lines += [
            "# into /etc/tmpfiles.d/dnswatch.conf, then: systemd-tmpfiles --create",
            f"d {posixpath.dirname(tap.place)} 2750 dnswatch {tap.user} -",
            f"# into {profile}, where AppArmor is on, then: apparmor_parser -r {profile.replace('/local', '')}",
            f"{tap.place} rw,",
        ]
    if lines:
        lines.append("# then, with dnswatch running: systemctl restart " + ("named" if named else "unbound"))
    return "\n".join(lines)
