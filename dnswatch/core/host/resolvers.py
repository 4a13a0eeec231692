"""Unbound, PowerDNS Recursor and CoreDNS on this host: where their query logs go, and what is missing.

Never: touches the host (a `Tree` is asked). Facts: docs/sources.md, log_formats §3, §7. Read next: ``advice.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dnswatch.core.host import advice, dnstap, powerdns, unbound
from dnswatch.core.host.places import CONTAINERS, COREFILES, RECURSOR_CONF, UNBOUND_CONF, UNITS

if TYPE_CHECKING:
    from dnswatch.core.host.findings import Search


def search(host: Search) -> bool:
    """Look for all three; say whether there is a configuration of any."""
    return any([_unbound(host), _recursor(host), _coredns(host)])


def _unbound(host: Search) -> bool:
    found = next((conf for path in UNBOUND_CONF if (conf := unbound.read(host.tree, path))), None)
    if found is None:
        return False
    for path in found.unreadable:
        host.unreadable(path, "run init as root to see how Unbound logs")
    if not found.files:
        return True
    said = f"Unbound ({found.origin})"
    logged = found.says("log-queries") or found.says("log-replies")
    tap = dnstap.of_unbound(found)
    if tap is not None and dnstap.propose(host, tap, logged):
        return True
    if not logged:
        host.note(
            "off", f"{said}: query logging is off: neither `log-queries` nor `log-replies`", advice.unbound(found)
        )
        host.planned("unbound", advice.UNBOUND_LOG, False)
    elif found.log_path:
        option = "log-queries" if found.says("log-queries") else "log-replies"
        host.add("unbound", found.log_path, f"{found.origin}: {option}, logfile", found.zoneless)
        if found.zoneless:
            host.note("advice", f"{said} prints local time without its zone: one hour a year is ambiguous; better",
                      "log-time-ascii: no")  # fmt: skip
    elif not host.in_syslog("unbound", "Unbound"):
        _in_journal(host, "unbound", "unbound", f"{said} logs to syslog", advice.unbound(found), advice.UNBOUND_LOG)
    for zone in found.zones:
        name = zone.get("name", "").rstrip(".")
        if zone.get("rpz-log") != "yes" or zone.get("rpz-log-name", "").rstrip(".") != name:
            host.note("advice", f"{said}: policy zone {name or '?'} does not log what it does under its own name, so "
                      "dnswatch cannot see what it blocked; add these lines to its rpz clause",
                      f'rpz-log: yes\nrpz-log-name: "{name}"')  # fmt: skip
    return True


def _recursor(host: Search) -> bool:
    found = next((conf for path in RECURSOR_CONF if (conf := powerdns.read(host.tree, path))), None)
    if found is None:
        return False
    for path in found.unreadable:
        host.unreadable(path, "run init as root to see how PowerDNS Recursor logs")
    if not found.files:
        return True
    said = f"PowerDNS Recursor ({found.origin})"
    quiet = found.says("quiet", "yes")
    if quiet:
        host.note("off", f"{said}: query logging is off: `quiet` is set, as by default", advice.powerdns(found))
    else:
        if not found.says("structured-logging", "yes"):
            host.note("advice", f"{said}: without structured-logging repeated lookups are missing in the log; set",
                      "structured-logging=yes")  # fmt: skip
        script = found.settings.get("lua-dns-script", "")
        if not script or "RPZ Hit" not in (host.tree.text(script) or "RPZ Hit"):
            host.note("advice", f"{said} logs no policy hits, so dnswatch cannot see what a zone blocked; a Lua hook "
                      "does", advice.powerdns(found, script))  # fmt: skip
    if not host.in_syslog("powerdns", "PowerDNS Recursor"):
        _in_journal(host, "powerdns", "pdns-recursor", said, "" if quiet else advice.powerdns(found), "")
    return True


def _coredns(host: Search) -> bool:
    containers = list(host.tree.glob(CONTAINERS))
    origin = next((path for path in COREFILES if host.tree.state(path) != "absent"), "")
    if containers:
        host.add("coredns", CONTAINERS, f"kubelet keeps what {len(containers)} CoreDNS pods of this node print there",
                 False, planned=True)  # fmt: skip
        host.note("advice", "CoreDNS in Kubernetes: whether it logs queries is said in the ConfigMap coredns of "
                  "kube-system; each server block needs", advice.COREDNS_LINES)  # fmt: skip
    if not origin:
        return bool(containers)
    text = host.tree.text(origin)
    if text is None:
        host.unreadable(origin, "run init as root to see how CoreDNS logs")
        return True
    said = f"CoreDNS ({origin})"
    formats = re.findall(r"^\s*log\b([^\n#{]*(?:\{[a-z]+\})?)", re.sub(r"#.*", "", text), re.MULTILINE)
    if not formats:
        host.note("off", f"{said}: query logging is off: no `log` in a server block", advice.COREDNS_LINES)
    elif any('"' in words or "{/" in words for words in formats):
        host.note(
            "advice",
            f"{said}: a log format of its own cannot be read; leave the format out, or use",
            "log . {combined}",
        )
    if not containers and not host.in_syslog("coredns", "CoreDNS"):
        _in_journal(host, "coredns", "coredns", said, "", "")
    return True


def _in_journal(host: Search, kind: str, unit: str, said: str, stanza: str, file: str) -> None:
    """Take the journal where a systemd unit runs the server; else a file, once the advised lines are in force."""
    unit_file = next((path for folder in UNITS if host.tree.state(path := f"{folder}{unit}.service") != "absent"), "")
    if unit_file:
        host.add_journal(kind, unit, f"{unit_file} runs it; what it prints is in the journal")
    elif file:
        host.note("advice", f"{said}, not to a file of its own", stanza)
        host.planned(kind, file, False)
    else:
        host.note("advice", f"{said}: what keeps its output is not known here; name that file under `sources`")
