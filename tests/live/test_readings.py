"""One zone in every resolver: where they disagree on it, and that `feed lint` reads it as each does.

The zones that we publish hold no such rules: `core/feeds/claims.py` closes the gaps between wildcards. What is expected
here is what each version does today, so that an upgrade that changes it is seen.
"""

from __future__ import annotations

from pathlib import Path

import dnslib
import pytest

from dnswatch.core.clients.groups import Groups
from dnswatch.core.feeds.claims import Lookup
from dnswatch.core.feeds.consumers import CONSUMERS
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.history import advance
from dnswatch.core.feeds.resolvers import CONSUMERS as READINGS
from dnswatch.core.feeds.subscription import Audience, Subscription, audience_networks
from dnswatch.core.feeds.zones import ANY
from dnswatch.core.model import Rule, Zone
from tests.core.feed_worlds import AT
from tests.live.servers import ADDRESS, Server, Upstream, dig, free_port, place, program, wait_for
from tests.live.subscribed import READERS
from tests.live.test_poison import clause, kresd_with, server_with

PARENT = "rpz.test.invalid"
RULES = (
    Rule("*.bad.example", "nxdomain"), Rule("*.e.example", "nxdomain"), Rule("*.p.example", "nxdomain"),
    Rule("exact.example", "nxdomain"), Rule("ok.p.example", "passthru"), Rule("x.ent.e.example", "nxdomain"),
)  # fmt: skip
ALIAS = "alias.example"  # of a name that is blocked
KINDS = ("bind", "unbound", "powerdns", "knot", "dnsdist")
BLOCKED: dict[str, tuple[bool, bool, bool, bool, bool]] = {
    "exact.example": (True, True, True, True, True),
    "a.exact.example": (False, False, False, False, False),
    "p.example": (False, False, False, False, False),
    "a.b.p.example": (True, True, True, True, True),
    "ok.p.example": (False, False, False, False, False),
    "www.ok.p.example": (False, False, True, True, True),  # does a name that passes hide the wildcard around it?
    "x.ent.e.example": (True, True, True, True, True),
    "ent.e.example": (False, True, True, True, True),  # no rule of its own, but one below it
    "y.ent.e.example": (False, False, True, True, True),
    ALIAS: (True, True, True, False, False),  # Knot and dnsdist see the question only
}


class Aliases(Upstream):
    """Says of one name that it is an alias."""

    def _reply(self, packet: bytes) -> bytes:
        request = dnslib.DNSRecord.parse(packet)
        if str(request.q.qname).rstrip(".").lower() != ALIAS:
            return super()._reply(packet)
        reply = request.reply()
        reply.add_answer(dnslib.RR(ALIAS, dnslib.QTYPE.CNAME, ttl=30, rdata=dnslib.CNAME("target.bad.example")))
        reply.add_answer(dnslib.RR("target.bad.example", dnslib.QTYPE.A, ttl=30, rdata=dnslib.A(ADDRESS)))
        return bytes(reply.pack())


def server(kind: str, folder: Path, port: int, upstream: int) -> Server:
    """Give a resolver with the zone; Knot and dnsdist have it by what `consumer-config` prints."""
    snapshot = advance(None, Zone(f"{ANY}.{PARENT}", ANY, RULES), AT)
    path = folder / FORMATS["rpz"].file_name(snapshot)
    path.write_bytes(FORMATS["rpz"].render(snapshot))
    if kind not in READERS:
        return server_with(kind, folder, port, {f"{ANY}.{PARENT}": clause(kind, path)}, upstream)
    own = Subscription("r1", "127.0.0.1", port, PARENT, (), None, (Audience(ANY),), audience_networks(Groups()),
                       directory=str(folder))  # fmt: skip
    text = CONSUMERS[kind].files(own)[0].text
    if kind == "knot":
        return kresd_with(text, folder, port, upstream)
    config = folder / "dnsdist.conf"
    config.write_text(f'setSecurityPollSuffix("")\nsetLocal("127.0.0.1:{port}")\n'
                      f'newServer({{address = "127.0.0.1:{upstream}", healthCheckMode = "up"}})\n{text}')  # fmt: skip
    command = [program("dnsdist", folder), "--supervised", "--disable-syslog", "--config", str(config)]
    return Server(command, folder / "dnsdist.out", lambda: dig(port, "127.0.0.1", "ready.test").status)


@pytest.mark.parametrize("kind", KINDS)
def test_a_zone_is_read_as_is_known_of_the_resolver(kind: str) -> None:
    """Name by name, and `feed lint` would say the same of each that is asked for itself."""
    wanted = {name: told[KINDS.index(kind)] for name, told in BLOCKED.items()}
    with place() as folder, Aliases() as upstream:
        folder.chmod(0o777)
        port = free_port()
        with server(kind, folder, port, upstream.port):
            assert wait_for(lambda: dig(port, "127.0.0.1", "exact.example").status == "NXDOMAIN")
            found = {name: dig(port, "127.0.0.1", name).status == "NXDOMAIN" for name in wanted}
    assert found == wanted
    lookup = Lookup(RULES, READINGS[kind])
    read = {name: lookup.rule(name) for name in wanted if name != ALIAS}
    assert {name: rule is not None and rule.action != "passthru" for name, rule in read.items()} == {
        name: blocks for name, blocks in wanted.items() if name != ALIAS
    }
