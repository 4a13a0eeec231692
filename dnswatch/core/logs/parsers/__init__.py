"""One parser per log format, in a sorted registry. A new format is one file here and one line below.

Never: a parser raises on any bytes, reads a clock or remembers lines. It turns one line into one event; what cannot
be read or must not be trusted becomes a `Weird` with a fixed phrase. Registering is what gets a parser tested: the
conformance suite and the laws run over `PARSERS`. Read next: ``bind.py``.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from dnswatch.core.logs.parsers.adguard import AdguardParser
from dnswatch.core.logs.parsers.bind import BindParser
from dnswatch.core.logs.parsers.coredns import CorednsParser
from dnswatch.core.logs.parsers.dnsmasq import DnsmasqParser
from dnswatch.core.logs.parsers.powerdns import PowerdnsParser
from dnswatch.core.logs.parsers.suricata import SuricataParser
from dnswatch.core.logs.parsers.technitium import TechnitiumParser
from dnswatch.core.logs.parsers.unbound import UnboundParser
from dnswatch.core.logs.parsers.zeek import ZeekParser
from dnswatch.core.logs.timestamps import Stamps
from dnswatch.core.model import Event, Query, Verdict


class Parser(Protocol):
    """What a log format must offer."""

    name: str
    literals: tuple[bytes, ...]
    """Strings other than watched names that make a line worth parsing."""
    tails: tuple[bytes, ...]
    """What the server prints right after the qname in lines that say something of it; the prescan asks for one."""
    example: bytes
    """A query line as the server's default settings write it, for messages about lines that do not fit."""
    stamps: Stamps

    def __init__(self, stamps: Stamps) -> None: ...

    def parse(self, line: bytes, offset: int) -> Event | None:
        """Turn a line (without its newline) at a file offset into an event.

        None: a line of this server that has nothing for us. Never raises.
        """
        ...

    @staticmethod
    def probe(line: bytes) -> bool:
        """Say whether a line has this format's shape, without judging its content."""
        ...


@runtime_checkable
class Answering(Protocol):
    """What a parser offers besides, whose format tells a lookup and its outcome in one line."""

    def verdict(self, query: Query) -> Verdict | None:
        """Give what the line of a query that `parse` gave says of its outcome; None where it says nothing."""
        ...


@runtime_checkable
class Headed(Protocol):
    """What a parser offers besides, whose lines cannot be read without the head of their file (names of columns).

    The head may be far before a block: the digest carries `state`. Where reading begins behind it, see `read_head`.
    """

    def state(self) -> dict[str, object]:
        """Give what the head said, as plain data."""
        ...

    def restore(self, state: dict[str, object]) -> None:
        """Go on with what `state` gave. Never raises: what does not fit is ignored."""
        ...


def read_head(parser: Parser, data: bytes) -> None:
    """Tell a parser the head of a file in whose middle reading begins: the comment lines in its first bytes."""
    if isinstance(parser, Headed):
        for line in data.split(b"\n")[:-1]:
            if line.startswith(b"#"):
                parser.parse(line, 0)


PARSERS: dict[str, type[Parser]] = {
    "adguard": AdguardParser,
    "bind": BindParser,
    "coredns": CorednsParser,
    "dnsmasq": DnsmasqParser,
    "powerdns": PowerdnsParser,
    "suricata": SuricataParser,
    "technitium": TechnitiumParser,
    "unbound": UnboundParser,
    "zeek": ZeekParser,
}
