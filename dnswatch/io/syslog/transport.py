"""What a transport is, and the settings that transports take.

Never: does anything. Read next: ``udp.py`` (the simplest), ``tcp.py`` (the first that knows).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from dnswatch.io.deliver import Acknowledgement
from dnswatch.io.syslog.security import Security

HOLD_S = 10.0
"""What a TLS receiver has taken is kept this long, and sent again if the receiver dies meanwhile (delivery.md §1.5)."""
UDP_PER_S = 500.0
"""Paced sending: rsyslog lost 0.3 % and syslog-ng 33 % of an unpaced burst of 50,000 (delivery.md §1.1)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a sink wants its transports."""

    framing: Literal["octet", "lf"] = "octet"  # TCP and TLS (RFC 6587)
    security: Security = field(default_factory=Security)  # TLS and RELP over TLS
    hold_s: float = HOLD_S  # TLS
    udp_per_s: float = UDP_PER_S

    def frame(self, message: bytes) -> bytes:
        """Frame a message for a stream; with ``lf``, newlines within it become spaces."""
        if self.framing == "octet":
            return b"%d %s" % (len(message), message)
        return message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


class Transport(Protocol):
    """The way to one receiver. One task uses it at a time."""

    acknowledgement: Acknowledgement
    confirmed_by: str
    """What says so, in a few words."""
    hold_s: float
    """For how long what `send` handed over may still have to be sent again; 0: `send` has the last word."""
    cut: int
    """Messages that had to be cut to fit a datagram."""

    async def reach(self) -> None:
        """Make sure that the receiver can be reached, as far as the transport can tell. Raises `OSError`."""

    async def send(self, messages: Sequence[bytes]) -> None:
        """Hand the messages over, in order, and return when the receiver has confirmed them all.

        Raises `OSError`; how much of the batch the receiver has is unknown then. RELP raises `Refused`.
        """

    async def lost(self) -> None:
        """Wait until what was handed over within the last ``hold_s`` may be lost, and raise `OSError`."""

    async def close(self) -> None:
        """Let go of sockets; `send` opens them again."""
