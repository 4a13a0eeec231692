"""Findings → a commented configuration: one YAML file that a person can read from top to bottom.

Never: writes it (``cli/init.py`` does), puts in a value that was not found or is not a default. Every example in a
comment is valid once uncommented; ``tests/cli/test_init.py`` uncomments them all and loads the result.
Read next: ``findings.py``.
"""

from __future__ import annotations

import json
import re

from dnswatch.core.host.tree import Findings, LogSource

_PLAIN = re.compile(r"[A-Za-z0-9/._+~-]+\Z")


def scalar(text: str) -> str:
    """Write a string as YAML: plain where that is safe, else in double quotes (JSON is YAML)."""
    plain = _PLAIN.match(text) and text[0] in "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."
    return text if plain and text.lower() not in ("true", "false", "null", "yes", "no") else json.dumps(text)


def source(found: LogSource, prefix: str) -> str:
    """Write one entry of ``sources``; ``prefix`` is the root that was looked below."""
    where = f"journald: {scalar(found.journald)}"
    if found.path:
        where = f"path: {scalar(prefix + found.path)}"
    elif found.listen:
        where = f"listen: {scalar(found.listen)}"
    parts = [f"type: {found.type}", where]
    if found.timezone:
        parts.append(f"timezone: {scalar(found.timezone)}")
    if found.forwarders:
        parts.append(f"forwarders: [{', '.join(json.dumps(address) for address in found.forwarders)}]")
    return "{" + ", ".join(parts) + "}"


def configuration(found: Findings, *, state_dir: str, prefix: str = "", command: str = "dnswatch") -> str:
    """Write the configuration for what was found; ``command`` is how the user calls dnswatch with this file."""
    sources = "\n".join(
        f"  # {_comment(item.because)}\n  - {source(item, prefix)}" for item in found.sources
    )  # fmt: skip
    leases = "\n".join(f"    - {scalar(prefix + item.path)}   # {_comment(item.because)}" for item in found.leases)
    return _TEMPLATE.format(
        command=command,
        state_dir=scalar(state_dir),
        alerts=scalar(f"{state_dir}/alerts.jsonl"),
        sources=sources,
        leases=f"  leases:\n{leases}" if leases else "  # leases: [/var/lib/misc/dnsmasq.leases]",
    )


def _comment(text: str) -> str:
    """Keep a comment on its line, whatever a file name contains."""
    return "".join(char if char.isprintable() else "?" for char in text)


_TEMPLATE = """\
# dnswatch configuration, written by `dnswatch init`. Everything but `sources` has a safe default.
# Files in conf.d/ beside this one are merged into it: lists are joined, single values of later files win.
#   {command} check     test this file
#   {command} run       start; SIGHUP reloads

# Database, feed history and published files.
state_dir: {state_dir}

# Query logs to follow. Rotated and compressed siblings are found; `timezone` says what stamps without a zone mean.
sources:
{sources}
  # from: start reads what is already there; sample: all suits small networks.
  # - {{type: dnsmasq, path: /var/log/dnsmasq.log, timezone: Europe/Berlin, from: start, sample: all}}

# Who your clients are. The longest prefix wins; the role drives severity.
# Roles: server ci iot guest workstation forwarder scanner.
clients:
  # groups:
  #   servers: {{networks: [10.0.10.0/24, "fd00:10::/64"], role: server}}
  #   build: {{networks: [10.0.20.0/24], role: ci}}
  #   staff: {{networks: [10.1.0.0/16], role: workstation}}
  # Files that tell the name and MAC of an address: dnsmasq, Kea memfile, ISC dhcpd, hosts.
{leases}

# Who may use which service; everyone else is unexpected. `dnswatch expect propose` drafts this from history.
# expect:
#   - {{who: [10.0.10.7, "name:printer-3"], services: [telegram-bot], because: ops bot, owner: ops, until: 2027-06-30}}
#   - {{who: [10.0.20.0/24], services: ["category:chat-webhook"], because: deploy notifications, owner: platform}}

# Which services to watch: core is the safe start, extended adds services that people use too.
# `dnswatch catalog list` shows them all.
watch:
  profile: core
  # include: ["category:tunnel-visit"]
  # exclude: [httpbin]

# First-seen and prevalence count only after this much log time.
detect:
  learning: {{days: 14}}

# Where alerts go.
sinks:
  - {{type: file, path: {alerts}, format: json}}
  # - {{type: syslog, address: "unix:///dev/log", format: rfc5424, min_severity: low}}
  # - {{type: syslog, address: "udp://192.0.2.10:514", format: rfc5424, min_severity: low}}

# Blocklists from the same policy. shadow blocks nothing: the resolver's log shows what would have been blocked.
# Look at them with `dnswatch feed show`, then `dnswatch feed promote`.
feeds:
  mode: shadow
  # zone: rpz.dnswatch.internal
  # action: nxdomain
  # on_change: [{{run: [rndc, reload, "{{zone}}"]}}]

# Health, metrics and feeds over HTTP, on this host only.
http: {{listen: "127.0.0.1:8053"}}
"""
