"""From a packet to the reply: parse, verify, ask who may, answer, sign. The whole server but its sockets.

Whoever is not known gets REFUSED, whatever the zone: this is no oracle for what is blocked, and nobody's amplifier,
since an unsigned reply over UDP is at most an SOA to an address that was configured. Never: raises for any packet,
looks at the clock by itself. Read next: ``io/publish/dns.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dnswatch.core.feeds import tsig, wire, xfr
from dnswatch.core.feeds.access import Access, Grant
from dnswatch.core.feeds.request import Head, Malformed, Request, head, parse
from dnswatch.core.feeds.tsig import Signer
from dnswatch.core.feeds.xfr import Served
from dnswatch.core.model import Name

FORMERR, NOTIMP, REFUSED, NOTAUTH, BADVERS = 1, 4, 5, 9, 16
"""Response codes (RFC 1035 §4.1.1, RFC 2136 §2.2, RFC 6891 §9)."""
PLAIN_UDP = 512  # octets of a UDP reply without EDNS (RFC 1035 §4.2.1)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back, and what it means."""

    kind: str  # soa ns axfr ixfr current; or why not: formerr notimp refused notauth badvers
    messages: Iterator[bytes]  # made one at a time, signed when made
    error: bool = True
    consumer: str = ""
    zone: Name = ""
    serial: int = 0  # of the version that is sent


class Responder:
    """Answers packets from one set of zones and one set of grants; both are replaced whole."""

    def __init__(self, access: Access | None = None, zones: Mapping[Name, Served] | None = None) -> None:
        self.access = access or Access()
        self.zones: Mapping[Name, Served] = zones or {}

    def respond(self, packet: bytes, address: str, clock: Clock, *, stream: bool) -> Reply | None:
        """Answer a packet from ``address``; None: not a request, say nothing. ``clock`` gives Unix seconds."""
        header = head(packet)
        if header is None:
            return None
        if header.opcode != 0:
            return _plain("notimp", header, NOTIMP)
        try:
            request = parse(packet, header)
        except Malformed:
            return _plain("formerr", header, FORMERR)
        signer = None
        if request.tsig is not None:
            try:
                checked = tsig.verify(packet, request.tsig, self.access.keys, clock())
            except ValueError:
                return _plain("formerr", header, FORMERR)
            if checked.error:
                return _unproven(request, checked, clock)
            assert checked.key is not None
            signer = Signer(checked.key, request.tsig.mac)
        return self._answer(request, address, clock, signer, stream)

    def _answer(self, request: Request, address: str, clock: Clock, signer: Signer | None, stream: bool) -> Reply:
        """Answer whoever this has been proven to be; ``signer`` is None for who shows no key."""
        if request.version > 0:
            return _refusal("badvers", request, BADVERS, signer, clock)
        served = self.zones.get(request.qname)
        grant = self.access.of(signer.key.name if signer else "", address, request.qname)
        if served is None or grant is None or request.qclass != wire.IN:
            return _refusal("refused", request, REFUSED, signer, clock)
        try:
            kind, records = xfr.answers(request, served, stream=stream)
        except ValueError:
            return _refusal("formerr", request, FORMERR, signer, clock)
        except KeyError:
            return _refusal("refused", request, REFUSED, signer, clock)
        messages = xfr.messages(request, records)
        if not stream:
            messages = iter([_fitting(next(messages), request, signer)])
        return _success(kind, _signed(messages, signer, clock), grant, served)


def _success(kind: str, messages: Iterator[bytes], grant: Grant, served: Served) -> Reply:
    return Reply(kind, messages, False, grant.consumer, served.current.zone.name, served.serial)


def _signed(messages: Iterator[bytes], signer: Signer | None, clock: Clock) -> Iterator[bytes]:
    for message in messages:
        yield signer.sign(message, clock()) if signer else message


def _fitting(message: bytes, request: Request, signer: Signer | None) -> bytes:
    """Give the message, or an empty truncated one where the client has no room for it once signed (RFC 8945 §5.3).

    Only long names of zone and key lead there; the client then comes by TCP.
    """
    if len(message) + (signer.size if signer else 0) <= max(request.payload or 0, PLAIN_UDP):
        return message
    return wire.message(request.head.id, wire.QR | wire.AA | wire.TC | request.head.flags & wire.RD, request.asked)


def _plain(kind: str, header: Head, rcode: int) -> Reply:
    """Answer with nothing but a header: the rest could not be read, or is not for us."""
    flags = wire.QR | header.opcode << 11 | header.flags & wire.RD | rcode
    return Reply(kind, iter([wire.message(header.id, flags, b"")]))


def _error(request: Request, rcode: int) -> bytes:
    extra = [] if request.payload is None else [wire.opt(rcode >> 4)]
    flags = wire.QR | request.head.flags & wire.RD | rcode & 15
    return wire.message(request.head.id, flags, request.asked, (), extra)


def _refusal(kind: str, request: Request, rcode: int, signer: Signer | None, clock: Clock) -> Reply:
    return Reply(kind, _signed(iter([_error(request, rcode)]), signer, clock))


def _unproven(request: Request, checked: tsig.Checked, clock: Clock) -> Reply:
    """Answer a request whose signature does not hold: NOTAUTH with the reason in the TSIG record (RFC 8945 §5.2)."""
    record = request.tsig
    assert record is not None
    message = _error(request, NOTAUTH)
    if checked.key is None or checked.error == tsig.BADSIG:
        return Reply("notauth", iter([tsig.refuse(message, record, checked.error)]))
    signer = Signer(checked.key, record.mac)
    time_of = record if checked.error == tsig.BADTIME else None
    return Reply("notauth", iter([signer.sign(message, clock(), checked.error, time_of)]))
