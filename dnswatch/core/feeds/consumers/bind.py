"""BIND 9.18: a view for each audience, for a policy zone applies to a whole view (research rpz.md §3).

Each view has copies of its own of all its zones, in files of their own (``in-view`` is refused for policy zones), and a
key of its own: BIND hands a signed NOTIFY to the view that its key opens, and the canary's signed questions too. Never:
an `options` statement; what is there stays the operator's. Read next: ``unbound.py``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from dnswatch.core.feeds.subscription import SHARED, Audience, File, Origin, Subscription
from dnswatch.core.feeds.tsig import Key
from dnswatch.core.feeds.zones import EXEMPT

CONFIG, KEYS, AUTHORITY = "/etc/bind/named.conf", "/etc/bind/dnswatch.keys", "/etc/bind/dnswatch-ca.pem"
SYSTEM_AUTHORITY = "/etc/ssl/certs/ca-certificates.crt"
CACHE = "/var/cache/bind"
"""Where Debian's AppArmor profile lets named write zones, and where it exists."""
LOG = "/var/log/named/query.log"
CATEGORIES = ("queries", "rpz", "rpz-passthru", "query-errors", "rate-limit")
"""What dnswatch reads (log_formats §7)."""

_HEAD = """\
// install: {path}
//
// BIND 9.18 for consumer {consumer}, written by `dnswatch consumer-config bind`: each group of clients is answered from
// a view with the blocklist of that group. Write it again when groups, their networks or keys change, and only then.
// Your own settings stay in /etc/bind/named.conf.options (forwarders, listen-on, dnssec-validation) and your own
// zones in /etc/bind/named.conf.local, which is read in every view, so it may hold `zone` statements only.
//
//   once:  install -d -o bind -g bind -m 2750 {folder}
//   then:  named-checkconf && systemctl restart named
"""
_LOGGING = """\
// Everything that dnswatch reads, in UTC and unambiguous. No `buffered`: lines would arrive in blocks.
logging {{
    channel dnswatch {{
        file "{log}" versions 5 size 100m;
        severity info;
        print-time iso8601-utc;
        print-category yes;
        print-severity yes;
    }};
{categories}
    category security {{ dnswatch; default_syslog; }};
}};
"""
_POLICY = """\
// The order of policy zones: quarantine, then feeds of third parties (add them there), `exempt`, which frees a client
// from everything after it, and the zone of the group.
//   break-dnssec yes         else a client that sets DO=1 gets signed names in spite of their being blocked
//   qname-wait-recurse no    block without asking upstream first: also while upstream is dead
//   min-update-interval 1    a new version counts after 1 s, not 60
//   min-refresh-time 60      ask for changes once a minute, if a NOTIFY is lost; BIND's own floor is 300
"""


class Bind:
    """Writes named.conf, and the keys apart from it."""

    name, checker = "bind", "named-checkconf"
    has_tls = has_keys = has_views = tells_clients = True
    reads_files = False

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give named.conf, the file of keys if there are any, and the certificates that it shall trust."""
        keys = _keys(subscription)
        made = [File(CONFIG, _config(subscription, keys), "//")]
        if keys:
            made.append(File(KEYS, _key_file(keys), "//", private=True))
        if subscription.authority:
            text = f"# install: {AUTHORITY}\n# Who vouches for dnswatch's certificate.\n{subscription.authority}"
            made.append(File(AUTHORITY, text, "#"))
        return made


def _keys(subscription: Subscription) -> tuple[Key, ...]:
    found = [subscription.key, *(audience.key for audience in subscription.audiences)]
    return tuple(dict.fromkeys(key for key in found if key is not None))


def _key_file(keys: Sequence[Key]) -> str:
    head = (f"// install: {KEYS}\n//\n// The keys that open the views. Nobody else may read them:\n"
            f"//   chown root:bind {KEYS} && chmod 0640 {KEYS}\n")  # fmt: skip
    return head + "".join(
        f'key "{key.name}" {{ algorithm {key.algorithm}; secret "{base64.b64encode(key.secret).decode()}"; }};\n'
        for key in keys
    )


def _config(subscription: Subscription, keys: Sequence[Key]) -> str:
    log = subscription.log or LOG
    lines = [_HEAD.format(path=CONFIG, consumer=subscription.consumer, folder=log.rpartition("/")[0])]
    lines.append('include "/etc/bind/named.conf.options";\n')
    if keys:
        lines.append(f'include "{KEYS}";\n')
    tls = next((origin for origin in subscription.origins if origin.name), None)
    if tls is not None:
        authority = AUTHORITY if subscription.authority else SYSTEM_AUTHORITY
        lines.append(f'\ntls "dnswatch" {{\n    ca-file "{authority}";\n    remote-hostname "{tls.name}";\n}};\n')
    categories = "\n".join(f"    category {name} {{ dnswatch; }};" for name in CATEGORIES)
    lines.append("\n" + _LOGGING.format(log=log, categories=categories))
    lines.append("\n// Who is in which group: the first network that matches decides.\n")
    lines += [_acl(subscription, audience) for audience in subscription.audiences]
    lines.append("\n" + _POLICY)
    lines += [_view(subscription, audience, keys) for audience in subscription.audiences]
    return "".join(lines)


def _acl(subscription: Subscription, audience: Audience) -> str:
    entries = [
        f"    {'' if member else '!'}{network};\n" for member, network in subscription.access_list(audience.name)
    ]
    return f'acl "dnswatch-{audience.name}" {{\n{"".join(entries) or "    none;" + chr(10)}}};\n'


def _view(subscription: Subscription, audience: Audience, keys: Sequence[Key]) -> str:
    key = audience.key or subscription.key
    who = f'"dnswatch-{audience.name}";'
    if key is not None:
        others = "".join(f' !key "{other.name}";' for other in keys if other != key)
        opened, may_ask, watched = f'key "{key.name}";{others} {who}', f'key "{key.name}"; {who}', f'key "{key.name}";'
    else:  # an unsigned NOTIFY goes to the view of its sender's address
        ours = "".join(f" {origin.address};" for origin in subscription.origins)
        opened, may_ask, watched = f"{who}{ours}", f"{who}{ours}", "none;"
    zones = [*SHARED, audience.name]
    policy = "".join(f'        zone "{subscription.zone(zone)}"{" log no" * (zone == EXEMPT)};\n' for zone in zones)
    copies = "".join(_zone(subscription, audience, zone, key, watched) for zone in zones)
    return f"""
view "{audience.name}" {{
    match-clients {{ {opened} }};
    allow-query {{ {may_ask} }};
    allow-query-cache {{ {may_ask} }};
    allow-recursion {{ {may_ask} }};
    response-policy {{
{policy}    }} break-dnssec yes qname-wait-recurse no min-update-interval 1;
    include "/etc/bind/named.conf.default-zones";
    include "/etc/bind/named.conf.local";
{copies}}};
"""


def _zone(subscription: Subscription, audience: Audience, zone: str, key: Key | None, watched: str) -> str:
    primaries = " ".join(_primary(origin, key) for origin in subscription.origins)
    return f"""\
    zone "{subscription.zone(zone)}" {{
        type secondary;
        primaries {{ {primaries} }};
        file "{CACHE}/dnswatch-{audience.name}-{zone}.db";
        min-refresh-time 60; min-retry-time 30;
        allow-query {{ {watched} }}; allow-transfer {{ none; }}; notify no;
    }};
"""


def _primary(origin: Origin, key: Key | None) -> str:
    signed = f' key "{key.name}"' if key else ""
    encrypted = ' tls "dnswatch"' if origin.name else ""
    return f"{origin.address} port {origin.port}{signed}{encrypted};"
