"""The exact lines that switch query logging on, for each server as it is set up here.

Never: applies them. The settings are those of log_formats §7: UTC stamps, category and severity printed, bounded
versions, never buffered. Read next: ``findings.py``.
"""

from __future__ import annotations

import posixpath

from dnswatch.core.host.dnsmasq import Dnsmasq
from dnswatch.core.host.named import Named
from dnswatch.core.host.powerdns import Recursor
from dnswatch.core.host.unbound import Unbound

RPZ_CATEGORIES = ("rpz", "rpz-passthru", "query-errors", "rate-limit")  # rpz-passthru: BIND 9.18 and newer

BIND_LOG = "/var/log/named/query.log"  # Debian's AppArmor profile and Red Hat's SELinux policy allow this place
DNSMASQ_LOG = "/var/log/dnsmasq.log"
PIHOLE = "pihole logging on"
UNBOUND_LOG = "/var/lib/unbound/unbound.log"  # the one place where Debian's AppArmor profile lets Unbound write
UNBOUND_LINES = (
    "use-syslog: no",
    f'logfile: "{UNBOUND_LOG}"',
    "log-time-ascii: no",
    "log-queries: yes",
    "log-replies: yes",
    "log-tag-queryreply: yes",
    "log-local-actions: yes",
    "log-servfail: yes",
)
COREDNS_LINES = "log\nerrors"
POWERDNS_HOOK_FILE = "/etc/powerdns/dnswatch-hook.lua"
POWERDNS_LINES = (
    "quiet=no",
    "structured-logging=yes",
    "packetcache-servfail-ttl=0",
    f"lua-dns-script={POWERDNS_HOOK_FILE}",
)
POWERDNS_HOOK = """\
-- Logs each policy (RPZ) hit with its client: the Recursor itself does not. policyName is to be the zone's name.
local kinds = {}
for name, kind in pairs(pdns.policykinds) do kinds[kind] = name end
local types = {[1]="A", [2]="NS", [5]="CNAME", [12]="PTR", [15]="MX", [16]="TXT", [28]="AAAA", [33]="SRV", [65]="HTTPS"}

function policyEventFilter(event)
  local policy = event.appliedPolicy
  pdnslog(event.qname:toString() .. "|" .. (types[event.qtype] or "TYPE" .. event.qtype)
    .. ": RPZ Hit; PolicyName=" .. policy.policyName .. "; Trigger=" .. policy.policyTrigger:toString()
    .. "; Hit=" .. policy.policyHit .. "; Type=" .. policy.policyType
    .. "; Kind=" .. (kinds[policy.policyKind] or policy.policyKind)
    .. "; Remote=" .. event.remote:toStringWithPort(), pdns.loglevels.Warning)
  return false
end

-- A pass (shadow mode) must not come from the packet cache the next time: nobody would ask the hook.
function postresolve(dq)
  if dq.appliedPolicy.policyName ~= "" then dq.variable = true end
  return false
end
"""


def bind(found: Named) -> str:
    """Give the logging statement for a BIND, and how to bring it into force."""
    debian = found.origin.startswith("/etc/bind")
    user = "bind" if debian else "named"
    place = found.logging_in or (posixpath.join(posixpath.dirname(found.origin), "named.conf.local") if debian
                                 else found.origin)  # fmt: skip
    head = [f"# once: install -d -o {user} -g {user} -m 2750 /var/log/named"]
    if found.querylog is False:
        head.append("# in options: replace `querylog no;` by `querylog yes;`")
    if found.logging_in:
        head.append(f"# into the existing logging statement of {place} (named allows only one):")
        body = _channel("") + _categories("dnswatch", ("queries", *RPZ_CATEGORIES), "")
    else:
        head.append(f"# into {place}:")
        body = ["logging {", *_channel("    "), *_categories("dnswatch", ("queries", *RPZ_CATEGORIES), "    "), "};"]
    return "\n".join([*head, *body, "# then: named-checkconf && rndc reconfig"])


def bind_rpz(channel: str) -> str:
    """Give the category lines that bring policy rewrites into the query log's channel."""
    return "\n".join(_categories(channel, RPZ_CATEGORIES, ""))


def _channel(indent: str) -> list[str]:
    lines = ["channel dnswatch {", f'    file "{BIND_LOG}" versions 5 size 100m;', "    severity info;",
             "    print-time iso8601-utc;", "    print-category yes;", "    print-severity yes;", "};"]  # fmt: skip
    return [indent + line for line in lines]


def _categories(channel: str, categories: tuple[str, ...], indent: str) -> list[str]:
    lines = [f"{indent}category {category} {{ {channel}; }};" for category in categories]
    # Syslog loses a category that is given a channel of its own; denials belong in both.
    return [*lines, f"{indent}category security {{ {channel}; default_syslog; }};"]


def dnsmasq(found: Dnsmasq) -> str:
    """Give the lines for a dnsmasq, and how to bring them into force and rotate the file."""
    drop_in = any(path.startswith("/etc/dnsmasq.d/") for path in found.files) or found.origin == "/etc/dnsmasq.conf"
    place = "/etc/dnsmasq.d/dnswatch.conf" if drop_in else found.origin
    lines = [f"# into {place} (read when /etc/dnsmasq.conf or the start script names that directory):",
             "log-queries=extra", f"log-facility={DNSMASQ_LOG}",
             "# then: dnsmasq --test && systemctl restart dnsmasq",
             "# into /etc/logrotate.d/dnsmasq (dnsmasq reopens its log on SIGUSR2 only):",
             f"#   {DNSMASQ_LOG} {{ daily rotate 14 delaycompress compress missingok",
             "#     create 0640 dnsmasq adm",
             "#     postrotate",
             "#       kill -USR2 $(cat /run/dnsmasq/dnsmasq.pid)",
             "#     endscript }"]  # fmt: skip
    return "\n".join(lines)


def unbound(found: Unbound) -> str:
    """Give the lines for an Unbound, and how to bring them into force and rotate the file."""
    drop_in = posixpath.join(posixpath.dirname(found.origin), "unbound.conf.d")
    place = f"{drop_in}/dnswatch-log.conf" if any(path.startswith(drop_in) for path in found.files) else found.origin
    lines = [f"# into {place}:", "server:", *(f"    {line}" for line in UNBOUND_LINES),
             "# then: unbound-checkconf && systemctl restart unbound",
             "# into /etc/logrotate.d/unbound:",
             f"#   {UNBOUND_LOG} {{ daily rotate 14 delaycompress compress missingok",
             "#     create 0640 unbound adm",
             "#     postrotate",
             "#       unbound-control log_reopen",
             "#     endscript }"]  # fmt: skip
    return "\n".join(lines)


def powerdns(found: Recursor, script: str = "") -> str:
    """Give the settings for a Recursor and the Lua hook; ``script``: the Lua file that is there already."""
    if found.is_yaml:
        place = found.origin
        lines = ["logging: {quiet: false, structured_logging: true}", "packetcache: {servfail_ttl: 0}",
                 f"recursor: {{lua_dns_script: {POWERDNS_HOOK_FILE}}}"]  # fmt: skip
    else:
        drop_in = found.settings.get("include-dir", "")
        place = f"{drop_in}/dnswatch.conf" if drop_in else found.origin
        lines = list(POWERDNS_LINES)
    hook = f"# into {script}, which is there already, and leave lua-dns-script as it is:" if script else (
        f"# into {POWERDNS_HOOK_FILE}:")  # fmt: skip
    return "\n".join(
        [f"# into {place}:", *lines, hook, POWERDNS_HOOK.rstrip(), "# then: systemctl restart pdns-recursor"]
    )
