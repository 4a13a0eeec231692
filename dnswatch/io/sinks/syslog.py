"""The syslog sink: an address and its fallbacks, each over its own transport, and heartbeats.

Never: retries, or takes "written to the socket" for "handed over": what a transport's word is worth is its
`acknowledgement`. Read next: ``io/syslog/`` for the transports, ``io/courier.py`` for who calls.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dnswatch import __version__
from dnswatch.config.model import FACILITIES
from dnswatch.config.model import SyslogSink as Settings
from dnswatch.core.alerts import Context, heartbeat
from dnswatch.core.alerts.rfc5424 import header, stream_data
from dnswatch.core.alerts.triage import Triage
from dnswatch.core.model import Alert
from dnswatch.io.deliver import BOOT, Acknowledgement, Delivery, Refused, Render, renderer
from dnswatch.io.supervise import describe
from dnswatch.io.syslog import TRANSPORTS, Address, Options, Transport
from dnswatch.io.syslog.address import parse_address
from dnswatch.io.syslog.security import Security

PRIMARY_AGAIN_S = 60.0
"""While a fallback is used, the first address is tried again this often (delivery.md §1.5)."""
MOST_BYTES = 8000
"""Receivers cut longer messages, rsyslog at 8 KiB (maxMessageSize), in the middle of a field."""
MOST_UDP = 2048
"""What every receiver of datagrams should take (RFC 5426 §3.2)."""

RenderBeat = Callable[[heartbeat.Heartbeat, str], bytes]


@dataclass(frozen=True, slots=True)
class Route:
    """One receiver: the way to it, and the messages that it understands."""

    address: Address
    transport: Transport
    render: Render
    render_beat: RenderBeat


def build(settings: Settings, sensor: str, triage: Triage | None = None) -> SyslogSink:
    """Make the sink that the configuration asks for."""
    security = Security.of(settings.tls)
    options = Options(settings.framing, security, settings.hold, settings.rate)
    context = Context(
        sensor,
        facility=FACILITIES.index(settings.facility),
        process_id=str(os.getpid()),
        enterprise_id=settings.enterprise_id,
        host=sensor,
        version=__version__,
        triage=triage,
    )
    routes = []
    for text in (settings.address, *settings.fallback):
        address = parse_address(text)
        render, render_beat = _renderers(settings, address, context)
        routes.append(Route(address, TRANSPORTS[address.scheme](address, options), render, render_beat))
    return SyslogSink(routes, settings.heartbeat)


def _renderers(settings: Settings, address: Address, context: Context) -> tuple[Render, RenderBeat]:
    if address.scheme == "unix":
        # rsyslog's imuxsock reads RFC 5424 wrongly; the local form has no host name (delivery.md §1.1).
        local = replace(context, host="", most_bytes=settings.max_size or MOST_BYTES)
        return renderer("rfc3164", local), _beat(heartbeat.render_local, local)
    context = replace(context, most_bytes=settings.max_size or (MOST_UDP if address.scheme == "udp" else MOST_BYTES))
    if settings.format == "rfc3164":
        return renderer("rfc3164", context), _beat(heartbeat.render_local, context)
    if settings.format == "rfc5424":
        return renderer("rfc5424", context), _beat(heartbeat.render, context)
    return renderer(settings.format, context, _header), _beat(heartbeat.render, context)


def _beat(render: Callable[[heartbeat.Heartbeat, Context], bytes], context: Context) -> RenderBeat:
    def message(beat: heartbeat.Heartbeat, stream: str) -> bytes:
        zone = datetime.fromtimestamp(beat.at, UTC).astimezone().tzinfo or UTC
        return render(beat, replace(context, stream=stream, boot=BOOT, zone=zone))

    return message


def _header(alert: Alert, context: Context) -> bytes:
    """Give an RFC 5424 header for a message of another format: syslog needs one, and gaps must show."""
    return f"{header(alert.at, alert.severity, alert.rule_id, context)} {stream_data(context)} ".encode("ascii")


class SyslogSink:
    """Sends over the first of ``routes`` that works, and goes back to the first as soon as it can be reached again."""

    def __init__(self, routes: Sequence[Route], heartbeat_s: float = 0.0) -> None:
        self.heartbeat_s = heartbeat_s
        self._routes = routes
        self._current = 0
        self._failed: dict[str, str] = {}  # route → why, since the last batch that went through
        self._held_until = 0.0  # monotonic: the present receiver may still lose something
        self._primary_is_back = False
        self._probing: asyncio.Task[None] | None = None

    @property
    def acknowledgement(self) -> Acknowledgement:
        return self._transport.acknowledgement

    @property
    def hold_s(self) -> float:
        return self._transport.hold_s

    @property
    def route(self) -> str:
        return str(self._routes[self._current].address)

    @property
    def confirmed_by(self) -> str:
        return self._transport.confirmed_by

    @property
    def truncated(self) -> int:
        """Messages that were cut to fit a datagram."""
        return sum(route.transport.cut for route in self._routes)

    async def send(self, batch: Sequence[Delivery]) -> None:
        await self._go_back()
        render = self._routes[self._current].render
        await self._send([render(one) for one in batch])

    async def beat(self, heartbeat: heartbeat.Heartbeat, stream: str) -> None:
        await self._go_back()
        await self._send([self._routes[self._current].render_beat(heartbeat, stream)])

    async def lost(self) -> None:
        await self._transport.lost()

    async def close(self) -> None:
        await self._stop_probing()
        for route in self._routes:
            await route.transport.close()

    @property
    def _transport(self) -> Transport:
        return self._routes[self._current].transport

    async def _send(self, messages: Sequence[bytes]) -> None:
        try:
            await self._transport.send(messages)
        except Refused:
            raise
        except asyncio.CancelledError:
            await self._transport.close()
            raise
        except OSError as error:
            # What the other side has of this batch is unknown, and a half message may be in the stream.
            await self._transport.close()
            self._failed[self.route] = describe(error)
            self._use((self._current + 1) % len(self._routes))
            if len(self._failed) > 1:  # one text for all, so that the log does not tell them in turn for ever
                raise OSError(error.errno, "; ".join(self._failed[key] for key in sorted(self._failed))) from error
            raise
        self._failed.clear()
        self._held_until = time.monotonic() + self._transport.hold_s
        if self._current and self._probing is None:
            self._probing = asyncio.create_task(self._probe(), name=f"probe {self._routes[0].address}")

    def _use(self, route: int) -> None:
        self._current = route
        self._held_until = 0.0
        self._primary_is_back = False

    async def _go_back(self) -> None:
        """Return to the first receiver when it can be reached again, and the present one cannot lose anything more."""
        if self._primary_is_back and time.monotonic() >= self._held_until:
            await self._transport.close()
            self._use(0)

    async def _probe(self) -> None:
        """Try to reach the first receiver until it is there, while alerts go on to the present one."""
        while self._current and not self._primary_is_back:
            await asyncio.sleep(PRIMARY_AGAIN_S)
            try:
                await self._routes[0].transport.reach()
            except OSError:
                continue
            self._primary_is_back = True
        self._probing = None

    async def _stop_probing(self) -> None:
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
