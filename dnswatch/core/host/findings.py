"""Discovery: which query logs and lease files this host has, what is switched off, and why we say so.

Never: touches the host (a `Tree` is asked), guesses silently: every finding carries its reason. Facts: log_formats
§1.7, §2.5, §2.6, §4, §7. Read next: ``draft.py``, which writes the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dnswatch.core.host import advice, dnsmasq, dnstap, named, resolvers
from dnswatch.core.host.places import (
    BIND_LOGS,
    DNSMASQ_LOGS,
    LEASES,
    NAMED_CONF,
    NAMED_START,
    OTHER_LOGS,
    PIHOLE_CONF,
    SYSLOGS,
)
from dnswatch.core.host.tree import Findings, LeaseFile, LogSource, Note, NoteKind, Tree
from dnswatch.core.logs.follow import own_path, split_rotation
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Query, Verdict
from dnswatch.core.reading import DNSTAP

TAIL = 256 * 1024  # what is read of a log to see what is in it; hours of a quiet resolver, seconds of a busy one
Kind = str
"""A key of `PARSERS`."""


def discover(tree: Tree) -> Findings:
    """Look for servers, their logs and the leases, in that order; then for what merely lies there."""
    return Search(tree).run()


def look_into(tree: Tree, path: str) -> dict[Kind, int]:
    """Count the lookups of each format in the last 256 KiB of a file."""
    lines = tree.tail(path, TAIL).split(b"\n")
    return {kind: count for kind in PARSERS if (count := _lookups(kind, lines))}


def _lookups(kind: Kind, lines: list[bytes]) -> int:
    """Count the queries; where a log has none, the answers with a client."""
    parser = PARSERS[kind](Stamps(None, 0.0))
    queries = answers = 0
    for line in lines:
        event = parser.parse(line, 0) if parser.probe(line) else None
        queries += isinstance(event, Query)
        answers += isinstance(event, Verdict) and bool(event.client)
    return queries or answers


class Search:
    """One discovery: collects sources, leases and notes."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.chroot = ""
        self.sources: dict[str, LogSource] = {}
        self.leases: dict[str, LeaseFile] = {}
        self.notes: list[Note] = []

    def run(self) -> Findings:
        bind = self._bind()
        forwarder = self._pihole() or self._dnsmasq()
        others = resolvers.search(self)
        self._usual()
        self._leases()
        if bind and forwarder:
            self._joined(bind, forwarder)
        if not self.sources and not (bind or forwarder or others):
            self.note("advice", "no configuration of BIND, dnsmasq, Pi-hole, Unbound, PowerDNS Recursor or CoreDNS and "
                      "no query log was found in the usual places; name your log under `sources` in the "
                      "configuration")  # fmt: skip
        return Findings(tuple(self.sources.values()), tuple(self.leases.values()), tuple(self.notes))

    def note(self, kind: NoteKind, text: str, stanza: str = "") -> None:
        self.notes.append(Note(kind, text, stanza))

    def unreadable(self, path: str, rest: str) -> None:
        access = self.tree.access(path)
        self.note("unreadable", f"{path}{f' ({access})' if access else ''} may not be read by this user: {rest}")

    def add(self, kind: Kind, path: str, because: str, zoneless: bool, planned: bool = False) -> None:
        """Take a log; the first reason wins."""
        state = self.tree.state(path)
        if state == "absent" and not planned:
            because += "; not there yet"
        if state == "unreadable":
            self.unreadable(path, "run init as root, or add your user to its group")
        zone = self.tree.zone() if zoneless else ""
        self.sources.setdefault(path, LogSource(kind, path, because, zone, access=self.tree.access(path), state=state))

    def add_journal(self, kind: Kind, unit: str, because: str) -> None:
        """Take the messages of a systemd unit as a log."""
        self.sources.setdefault(f"journald:{unit}", LogSource(kind, "", because, journald=unit))

    def add_tap(self, place: str, kind: str, because: str) -> None:
        """Take a server's dnstap."""
        if kind == "file":
            self.add(DNSTAP, place, because, False)
        else:
            self.sources.setdefault(place, LogSource(DNSTAP, "", because, listen=f"{kind}://{place}"))

    # ── BIND ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _bind(self) -> named.Named | None:
        conf, chroot = self._named_start()
        self.chroot = chroot
        for origin in dict.fromkeys((conf, *NAMED_CONF) if conf else NAMED_CONF):
            found = named.read(self.tree, origin, chroot)
            if found:
                break
            if self.tree.state(chroot + origin) == "unreadable":
                self.unreadable(chroot + origin, "run init as root to see how BIND logs")
        else:
            return None
        for path in found.unreadable:
            self.note("unreadable", f"{path}, included by {found.origin}, is missing or may not be read by this user; "
                       "what it says of logging is unknown")  # fmt: skip
        self._bind_logs(found)
        return found

    def _named_start(self) -> tuple[str, str]:
        """Read ``-c FILE`` and ``-t CHROOT`` from the start script's defaults."""
        text = "\n".join(filter(None, (self.tree.text(path) for path in NAMED_START)))
        text = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
        conf = re.search(r"""-c[ =]?["']?(/[^\s"']+)""", text)
        chroot = re.search(r"""(?:-t[ =]?|ROOTDIR=)["']?(/[^\s"']+)""", text)
        return (conf[1] if conf else "", chroot[1].rstrip("/") if chroot else "")

    def _bind_logs(self, found: named.Named) -> None:
        where = found.logging_in or found.origin
        tap = dnstap.of_named(found)
        if tap is not None and dnstap.propose(self, tap, found.query_logging):
            return
        channels = found.logged("queries")
        files = [channel for channel in channels if channel.kind == "file" and channel.path]
        if not found.query_logging:
            said = "`querylog no`" if found.querylog is False else "no `category queries` in a logging statement"
            self.note("off", f"BIND ({found.origin}): query logging is off: {said}", advice.bind(found))
            self.planned("bind", self.chroot + advice.BIND_LOG, False)
            return
        for channel in files:
            self.add(
                "bind", channel.path, f"{where}: category queries goes to channel {channel.name}", channel.zoneless
            )
            self._channel_faults(channel, where)
        if not files:
            kinds = ", ".join(sorted({f"{channel.name} ({channel.kind})" for channel in channels})) or "nowhere"
            self.note("off", f"BIND ({where}): queries are logged to {kinds}, not to a file of their own",
                       advice.bind(found))  # fmt: skip
            if not self.in_syslog("bind", "BIND"):
                self.planned("bind", self.chroot + advice.BIND_LOG, False)
        if files and not any(channel in found.logged("rpz") for channel in files):
            self.note("advice", f"BIND ({where}): category rpz does not go to the query log's channel, so dnswatch "
                       "cannot see what a policy zone blocked; add these lines to the logging statement",
                       advice.bind_rpz(files[0].name))  # fmt: skip

    def _channel_faults(self, channel: named.Channel, where: str) -> None:
        """Say what makes a channel lose or delay lines."""
        name = f"{where}: channel {channel.name}"
        if channel.drops_info:
            self.note("off", f"{name} has severity {channel.severity}, but query lines are of severity info: "
                       "none is written", "severity info;")  # fmt: skip
        if channel.size and not channel.versions:
            self.note("advice", f"{name} has a size without versions: named stops logging silently when the file is "
                       "full", 'file "…" versions 5 size 100m;')  # fmt: skip
        if channel.buffered:
            self.note("advice", f"{name} is buffered: lines arrive 4 KiB late; set", "buffered no;")
        if channel.stamp == "none":
            self.note("advice", f"{name} prints no time: dnswatch cannot date its lines; set",
                       "print-time iso8601-utc;")  # fmt: skip
        elif channel.zoneless:
            self.note("advice", f"{name} prints local time without its zone: one hour a year is ambiguous; better",
                       "print-time iso8601-utc;")  # fmt: skip

    # ── dnsmasq and Pi-hole ───────────────────────────────────────────────────────────────────────────────────

    def _dnsmasq(self) -> dnsmasq.Dnsmasq | None:
        default = self.tree.text("/etc/default/dnsmasq") or ""
        directory = re.search(r"^\s*CONFIG_DIR=[\"']?([^,\s\"']+)", default, re.MULTILINE)
        directories = (directory[1],) if directory else ()
        found = dnsmasq.read(self.tree, "/etc/dnsmasq.conf", directories)
        if found is None:
            return None
        for path in found.unreadable:
            self.unreadable(path, "run init as root to see how dnsmasq logs")
        if not found.log_queries:
            self.note("off", f"dnsmasq ({found.origin}): query logging is off: no `log-queries`",
                       advice.dnsmasq(found))  # fmt: skip
            self.planned("dnsmasq", advice.DNSMASQ_LOG, True)
        elif found.log_path:
            self.add("dnsmasq", found.log_path, f"{found.origin}: log-queries={found.log_queries}, log-facility", True)
            if found.log_queries == "yes":
                self.note("advice", f"dnsmasq ({found.origin}): `log-queries` without `extra` logs the client behind "
                           "the queried name, where a crafted name can forge it", "log-queries=extra")  # fmt: skip
        else:
            place = "stderr" if found.log_facility == "-" else "syslog"
            self.note("off" if place == "stderr" else "advice", f"dnsmasq ({found.origin}): queries go to {place}, "
                       "not to a file of their own", advice.dnsmasq(found))  # fmt: skip
            if not self.in_syslog("dnsmasq", "dnsmasq"):
                self.planned("dnsmasq", advice.DNSMASQ_LOG, True)
        if found.leases:
            self._lease(found.leases, f"{found.origin}: dhcp-leasefile")
        return found

    def _pihole(self) -> dnsmasq.Dnsmasq | None:
        """Pi-hole: v6 says all in pihole.toml, v5 in setupVars.conf and dnsmasq.d."""
        toml, setup = self.tree.text(PIHOLE_CONF), self.tree.text("/etc/pihole/setupVars.conf")
        if toml is None and setup is None:
            if self.tree.state(PIHOLE_CONF) == "unreadable":
                self.unreadable(PIHOLE_CONF, "run init as root to see how Pi-hole logs")
            return None
        off = (re.search(r"^\s*queryLogging\s*=\s*false", toml, re.MULTILINE) if toml is not None
               else re.search(r"^QUERY_LOGGING=false", setup or "", re.MULTILINE))  # fmt: skip
        said = re.search(r'^\s*dnsmasq\s*=\s*"(/[^"]+)"', toml or "", re.MULTILINE)
        origin = PIHOLE_CONF if toml is not None else "/etc/pihole/setupVars.conf"
        path = said[1] if said else "/var/log/pihole/pihole.log"
        if not said and self.tree.state(path) == "absent" and self.tree.state("/var/log/pihole.log") != "absent":
            path = "/var/log/pihole.log"
        if off:
            self.note("off", f"Pi-hole ({origin}): query logging is off", advice.PIHOLE)
            self.planned("dnsmasq", path, True)
        else:
            self.add("dnsmasq", path, f"{origin}: Pi-hole writes its query log here", True)
        found = dnsmasq.read(self.tree, "/etc/pihole/dnsmasq.conf") or dnsmasq.Dnsmasq(origin)
        found.no_resolv = True  # Pi-hole always names its upstream servers itself
        if setup is not None:
            found = dnsmasq.read(self.tree, "/etc/dnsmasq.conf", ("/etc/dnsmasq.d",)) or found
        ups = re.search(r"^\s*upstreams\s*=\s*\[(.*?)\]", toml or "", re.MULTILINE | re.DOTALL)
        found.servers += [(address, int(port or 53)) for address, port in
                          re.findall(r'"([0-9A-Fa-f:.]+)(?:#(\d+))?"', ups[1] if ups else "")]  # fmt: skip
        return found

    def planned(self, kind: Kind, path: str, zoneless: bool) -> None:
        """Take the log that there will be once the advised lines are in force."""
        self.add(
            kind, path, "query logging is off today; this is the file of the advised lines", zoneless, planned=True
        )

    def in_syslog(self, kind: Kind, server: str) -> bool:
        """Take a syslog file where the server's query lines really are; say whether there is one."""
        for path in SYSLOGS:
            count = look_into(self.tree, path).get(kind, 0)
            if count:
                because = f"{server} query lines ({count} in its last 256 KiB) are in this syslog file"
                self.add(kind, path, because, not zone_shown(kind, self.tree.tail(path, TAIL)))
                return True
        return False

    # ── What lies there ───────────────────────────────────────────────────────────────────────────────────────

    def _usual(self) -> None:
        """Take files in the usual places that hold query lines, though no configuration names them."""
        patterns = (*BIND_LOGS, *DNSMASQ_LOGS, *OTHER_LOGS)
        found = dict.fromkeys(path for pattern in patterns for path in self.tree.glob(pattern))
        taken = {own_path(path) for path in self.sources}
        # The newest file of a log stands for all of them: its rotated past is read with it, and would count twice.
        for path in sorted(found, key=lambda path: split_rotation(path)[1], reverse=True):
            if path in self.sources or path in taken or own_path(path) in taken:
                continue
            if self.tree.state(path) == "unreadable":
                self.unreadable(path, "it may be a query log")
                continue
            seen = look_into(self.tree, path)
            if seen:
                best = max(seen, key=lambda name: seen[name])
                because = (
                    f"{seen[best]} {best} query lines in its last 256 KiB; no configuration that was read names it"
                )
                self.add(best, path, because, not zone_shown(best, self.tree.tail(path, TAIL)))
                taken.add(own_path(path))

    def _lease(self, path: str, because: str) -> None:
        state = self.tree.state(path)
        if state == "unreadable":
            self.unreadable(path, "host names and MAC addresses of clients stay unknown")
        self.leases.setdefault(path, LeaseFile(path, because + ("; not there yet" if state == "absent" else "")))

    def _leases(self) -> None:
        for path, what in LEASES.items():
            if path not in self.leases and self.tree.state(path) != "absent":
                self._lease(path, what)

    # ── One resolver behind the other ─────────────────────────────────────────────────────────────────────────

    def _joined(self, bind: named.Named, front: dnsmasq.Dnsmasq) -> None:
        """Say which of two resolvers here asks the other, so that a lookup is counted once, for its client."""
        servers = list(front.servers)
        if not front.no_resolv:
            servers += dnsmasq.nameservers(self.tree.text(front.resolv_file or "/etc/resolv.conf") or "")
        ports = {port for _, port in bind.listens} or {53}
        asked = _loopback(address for address, port in servers if port in ports)
        if asked and not (front.port in ports and not front.servers):
            self._forward("bind", asked, f"{front.origin}: dnsmasq forwards to the BIND on this host")
            return
        asked = _loopback(address for address, port in bind.forwarders if port == front.port)
        if asked:
            self._forward("dnsmasq", asked, f"{bind.origin}: BIND forwards to the dnsmasq on this host")

    def _forward(self, kind: str, addresses: tuple[str, ...], because: str) -> None:
        for path, source in self.sources.items():
            if source.type == kind:
                self.sources[path] = replace(source, forwarders=addresses)
        self.note(
            "found", f"{because} ({', '.join(addresses)}): its lookups there count for the client that asked first"
        )


def _loopback(addresses: Iterator[str]) -> tuple[str, ...]:
    """Keep loopback addresses; a query sent to one comes from ``127.0.0.1`` or ``::1``."""
    found = {"::1" if ":" in address else "127.0.0.1" for address in addresses
             if address == "::1" or address.startswith("127.")}  # fmt: skip
    return tuple(sorted(found))


def zone_shown(kind: Kind, data: bytes) -> bool:
    """Say whether the stamps in a sample of a format carry their zone."""
    parser = PARSERS[kind](Stamps(None, 0.0))
    for line in data.split(b"\n")[1:] if data.count(b"\n") > 1 else data.split(b"\n"):
        parser.parse(line, 0)
    return parser.stamps.stamped and not parser.stamps.zoneless
