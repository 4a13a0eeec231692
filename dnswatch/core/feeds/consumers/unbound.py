"""Unbound 1.17: all zones in one server, chosen for a client by tag; the most specific network decides (rpz.md §3).

Unbound has no TSIG, so it is known to dnswatch by its addresses, over TLS it checks our certificate and shows none, and
it asks for SOA by UDP on the TLS port (§2.3). Never: a clause that Debian's files already have. Read next:
``../subscription.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnswatch.core.feeds.subscription import SHARED, File, Origin, Subscription
from dnswatch.core.feeds.triggers import CANARY
from dnswatch.core.feeds.zones import EXEMPT

CONFIG, AUTHORITY = "/etc/unbound/unbound.conf.d/dnswatch.conf", "/etc/unbound/dnswatch-ca.pem"
HOME = "/var/lib/unbound"
"""Where Debian's AppArmor profile lets Unbound write, and where it exists."""
LOG = f"{HOME}/unbound.log"

_HEAD = """\
# install: {path}
#
# Unbound 1.17 for consumer {consumer}, written by `dnswatch consumer-config unbound`: each group of clients is answered
# with the blocklist of that group. Write it again when groups or their networks change, and only then. Your own
# settings stay in other files of that directory (forward-zone, further interfaces, private-domain), but none of them
# may set module-config.
#
#   then:  unbound-checkconf && systemctl restart unbound
"""
_LOGGING = """\

    # Everything that dnswatch reads. Stamps are Unix time, which no time zone makes ambiguous.
    use-syslog: no
    logfile: "{log}"
    log-time-ascii: no
    log-queries: yes
    log-replies: yes
    log-tag-queryreply: yes
    log-local-actions: yes
"""
_POLICY = """\

# The order of policy zones: quarantine, then feeds of third parties (add them there), `exempt`, which frees a client
# from everything after it, and the zones of the groups.
"""


class Unbound:
    """Writes one file for /etc/unbound/unbound.conf.d."""

    name, checker = "unbound", "unbound-checkconf"
    has_tls = tells_clients = True
    has_keys = has_views = reads_files = False

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give the file, and the certificates that it shall trust."""
        made = [File(CONFIG, "".join(_config(subscription)), "#")]
        if subscription.authority:
            text = f"# install: {AUTHORITY}\n# Who vouches for dnswatch's certificate.\n{subscription.authority}"
            made.append(File(AUTHORITY, text, "#"))
        return made


def _config(subscription: Subscription) -> Iterator[str]:
    served = [audience.name for audience in subscription.audiences]
    yield _HEAD.format(path=CONFIG, consumer=subscription.consumer)
    yield "server:\n"
    if subscription.is_remote:
        yield "    # Leave these out where another file has them.\n"
        for address in ("127.0.0.1", "::1", subscription.address):
            yield f"    interface: {address}\n"
    if subscription.port != 53:
        yield f"    port: {subscription.port}\n"
    yield '    module-config: "respip validator iterator"      # respip applies policy zones\n'
    if any(origin.name for origin in subscription.origins):
        yield "    tls-system-cert: yes\n"
        if subscription.authority:
            yield f'    tls-cert-bundle: "{AUTHORITY}"\n'
    yield f"    local-zone: {CANARY}. transparent      # else its built-in zone for .invalid hides our canaries\n"
    yield _LOGGING.format(log=subscription.log or LOG)
    yield "\n    # Who may ask, and who is in which group: the most specific network decides.\n"
    yield f'    define-tag: "{" ".join(served)}"\n'
    for network, audience in subscription.clients:
        if audience in served:
            yield f"    access-control: {network} allow\n"
            yield f'    access-control-tag: {network} "{audience}"\n'
        else:
            yield f"    access-control: {network} refuse      # group {audience} is not served here\n"
    yield _POLICY
    for zone in (*SHARED, *served):
        yield from _zone(subscription, zone)


def _zone(subscription: Subscription, zone: str) -> Iterator[str]:
    yield f'\nrpz:\n    name: "{subscription.zone(zone)}"\n'
    for origin in subscription.origins:
        yield f"    primary: {_primary(origin)}\n"
    yield f'    zonefile: "{HOME}/{subscription.zone(zone)}.zone"      # it goes on from there after a restart\n'
    if zone in SHARED:
        yield "    rpz-log: no\n" if zone == EXEMPT else _logged(subscription, zone)
        return
    yield _logged(subscription, zone)
    yield f'    tags: "{zone}"\n'
    yield "    for-downstream: yes      # lets dnswatch ask for the SOA, to see that the last version is live\n"


def _logged(subscription: Subscription, zone: str) -> str:
    return f'    rpz-log: yes\n    rpz-log-name: "{subscription.zone(zone)}"\n'


def _primary(origin: Origin) -> str:
    return f"{origin.address}@{origin.port}" + (f"#{origin.name}" if origin.name else "")
