"""The Splunk sink: HTTP event collector, with indexer acknowledgement where the token has it.

A 200 of the collector only says that the event is valid; with ``ack`` the batch is confirmed when the indexer says, on
this channel, that it is stored. Splunk Cloud has no indexer acknowledgement but through Firehose: ``ack: false`` there.
Never: believes the first answer alone while ``ack`` is on. Read next: ``io/http_client.py``.
"""

from __future__ import annotations

import asyncio
import errno
import json
import uuid
from collections.abc import Sequence
from typing import Any

from dnswatch import __version__
from dnswatch.config.model import SplunkHecSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.triage import Triage
from dnswatch.io.deliver import Acknowledgement, Delivery, Refused, Render, renderer
from dnswatch.io.http_client import HttpClient
from dnswatch.io.syslog.security import Security

POLL_S = 0.5
ACK_S = 120.0
"""Splunk's indexers acknowledge within seconds; a busy cluster took up to a minute in its makers' documentation."""
JSON = {"Content-Type": "application/json"}
EVENT, ACK = "/services/collector/event", "/services/collector/ack"
BAD_TOKEN_CODES = frozenset({1, 2, 3, 4})
"""HEC codes: token disabled, missing, malformed, wrong. Not the fault of the alert."""


def build(settings: Settings, sensor: str, triage: Triage | None = None) -> SplunkHecSink:
    """Make the sink that the configuration asks for."""
    security = Security.of(settings.tls)
    channel = str(uuid.uuid4())
    headers = {"Authorization": f"Splunk {settings.token.reveal()}", "X-Splunk-Request-Channel": channel}
    client = HttpClient(settings.url.rstrip("/"), security, headers)
    context = Context(sensor, host=sensor, version=__version__, triage=triage)
    fixed = {"host": sensor, "source": "dnswatch", "sourcetype": settings.sourcetype}
    if settings.index:
        fixed["index"] = settings.index
    return SplunkHecSink(client, renderer("json", context), fixed, settings.ack)


class SplunkHecSink:
    """POSTs a batch as events of one request."""

    def __init__(self, client: HttpClient, render: Render, fixed: dict[str, str], ack: bool) -> None:
        self._client = client
        self._render = render
        self._fixed = fixed
        self._ack = ack

    @property
    def acknowledgement(self) -> Acknowledgement:
        return "stored" if self._ack else "received"

    async def send(self, batch: Sequence[Delivery]) -> None:
        body = b"\n".join(self._event(one) for one in batch)
        try:
            answer = _read(await self._client.post(body, JSON, self._client.url + EVENT))
        except Refused as refused:
            if _code(str(refused)) in BAD_TOKEN_CODES:
                raise OSError(errno.EACCES, str(refused)) from refused
            raise
        if not self._ack:
            return
        number = answer.get("ackId")
        if not isinstance(number, int):
            raise OSError(errno.EPROTO, "it gives no ackId: switch indexer acknowledgement on for this token, or "
                                        "write ack: false")  # fmt: skip
        await self._acknowledged(number)

    async def close(self) -> None:
        await self._client.close()

    def _event(self, one: Delivery) -> bytes:
        event = {"time": round(one.alert.at, 3), **self._fixed, "event": json.loads(self._render(one))}
        return json.dumps(event, separators=(",", ":")).encode()

    async def _acknowledged(self, number: int) -> None:
        """Wait until the indexer has stored the batch. Raises `OSError` when it does not say so in time."""
        asked = json.dumps({"acks": [number]}).encode()
        try:
            async with asyncio.timeout(ACK_S):
                while True:
                    answer = _read(await self._client.post(asked, JSON, self._client.url + ACK, frozenset()))
                    if answer.get("acks", {}).get(str(number)) is True:
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            why = f"no indexer acknowledged within {ACK_S:.0f} s"
            raise OSError(errno.ETIMEDOUT, why) from error


def _read(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise OSError(errno.EPROTO, f"it is no event collector: it answers {text[:80]!r}")
    return answer


def _code(text: str) -> int:
    """Give the HEC code of a refusal; -1 when it has none."""
    start = text.find("{")
    try:
        return int(json.loads(text[start:]).get("code", -1)) if start >= 0 else -1
    except (ValueError, TypeError, AttributeError):
        return -1
