"""What couriers and sinks agree on: deliveries, how they are rendered, what a sink is and what its word is worth.

Never: sends anything. Read next: ``courier.py`` (one per sink), then ``io/sinks/``.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol, runtime_checkable

from dnswatch.core.alerts import Context, render
from dnswatch.core.alerts.heartbeat import Heartbeat
from dnswatch.core.model import Alert

BOOT = secrets.token_hex(4)
"""Names this run of the process in syslog messages."""

Acknowledgement = Literal["stored", "received", "hold", "none"]
"""What it means that a sink took a batch: it is on the receiver's disk; its process has it; its kernel or process has
it, and it is sent again if the receiver dies within a while; nobody said anything (delivery.md §1.5)."""


MEANING: dict[Acknowledgement, str] = {
    "stored": "on disk",
    "received": "its process has it",
    "hold": "its process has read it; sent again if it dies soon after",
    "none": "nobody confirms it",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One revision on its way to one sink."""

    seq: int  # its number in the outbox: grows, and stays with the revision
    alert: Alert
    number: int = 1  # of the message among those of this sink, without a gap, kept when it is sent again
    stream: str = ""  # names that numbering


Render = Callable[[Delivery], bytes]
"""Makes the message of a delivery, without newline or framing."""


Before = Callable[[Alert, Context], bytes]
"""Makes what stands before a message of one line, and counts to its length."""


def renderer(name: str, context: Context, before: Before | None = None) -> Render:
    """Make messages in the format ``name``."""

    def message(delivery: Delivery) -> bytes:
        # The offset of the alert's own day: a daemon lives through changes of daylight saving time.
        zone = datetime.fromtimestamp(delivery.alert.at, UTC).astimezone().tzinfo or UTC
        now = replace(context, sequence=delivery.number, stream=delivery.stream, boot=BOOT, zone=zone)
        head = before(delivery.alert, now) if before is not None else b""
        if head and now.most_bytes:
            now = replace(now, most_bytes=max(now.most_bytes - len(head), 1))
        try:
            message = render(name, delivery.alert, now)
            return head + message.replace(b"\n", b" ") if head else message
        except ValueError as error:  # text that no encoding takes
            raise Refused(f"cannot be written as {name}: {error}") from error

    return message


class Refused(OSError):
    """The receiver will never take something in this batch: trying again as it is does not help.

    The courier then looks for what it is, tries that a few times more, and puts it aside as a dead letter.
    """

    def __init__(self, why: str) -> None:
        super().__init__(errno.EBADMSG, why)


class Sink(Protocol):
    """Where alerts go. One task uses it at a time."""

    @property
    def acknowledgement(self) -> Acknowledgement:
        """What `send` coming back means, at present."""

    async def send(self, batch: Sequence[Delivery]) -> None:
        """Hand over the whole batch, in order; return only when that is done as well as the transport can tell.

        Raises `OSError`, and is then called again with the same batch, or `Refused`; never retries itself.
        """

    async def close(self) -> None:
        """Let go of files and connections; `send` may open them again."""


@runtime_checkable
class HoldingSink(Protocol):
    """A sink whose receiver may lose what it has taken: the courier keeps that for a while."""

    @property
    def hold_s(self) -> float:
        """For how long after `send` came back a batch may have to be sent again; 0: never."""

    async def lost(self) -> None:
        """Wait until something that is held may be lost, and raise `OSError`; the courier then goes back."""


@runtime_checkable
class BeatingSink(Protocol):
    """A sink that tells its receiver from time to time that all is well, so that silence means something."""

    heartbeat_s: float  # 0: it does not

    async def beat(self, heartbeat: Heartbeat, stream: str) -> None:
        """Send one heartbeat, after everything that it counts."""


@runtime_checkable
class RoutedSink(Protocol):
    """A sink with several receivers, of which it uses one."""

    @property
    def route(self) -> str:
        """The one that is used at present."""

    @property
    def confirmed_by(self) -> str:
        """What says that it has a batch, in a few words."""
