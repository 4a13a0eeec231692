"""The webhook sink: each alert as one HTTP POST, signed, for anything that takes JSON.

Signed by the Standard Webhooks scheme: ``webhook-id`` (id and rev: deduplicate on it), ``webhook-timestamp`` and
``webhook-signature: v1,BASE64(HMAC-SHA256(secret, "id.timestamp.body"))``. A 2xx answer confirms. Never: batches, for a
receiver answers for a whole request. Read next: ``io/http_client.py``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence

from dnswatch import __version__
from dnswatch.config.model import WebhookSink as Settings
from dnswatch.core.alerts import Context
from dnswatch.core.alerts.triage import Triage
from dnswatch.io.deliver import Acknowledgement, Delivery, Render, renderer
from dnswatch.io.http_client import HttpClient
from dnswatch.io.syslog.security import Security

PLAIN = frozenset({"cef", "leef", "rfc3164", "rfc5424", "text"})
"""Formats that are no JSON."""


def build(settings: Settings, sensor: str, triage: Triage | None = None) -> WebhookSink:
    """Make the sink that the configuration asks for."""
    security = Security.of(settings.tls)
    kind = "text/plain" if settings.format in PLAIN else "application/json"
    headers = {**settings.headers, "Content-Type": f"{kind}; charset=utf-8"}
    secret = settings.secret.reveal().encode() if settings.secret is not None else b""
    context = Context(sensor, host=sensor, version=__version__, triage=triage)
    return WebhookSink(HttpClient(settings.url, security, headers), renderer(settings.format, context), secret)


class WebhookSink:
    """POSTs to one URL."""

    acknowledgement: Acknowledgement = "received"

    def __init__(self, client: HttpClient, render: Render, secret: bytes = b"") -> None:
        self._client = client
        self._render = render
        self._secret = secret

    async def send(self, batch: Sequence[Delivery]) -> None:
        for one in batch:
            body = self._render(one)
            await self._client.post(body, self._signed(f"{one.alert.id}-{one.alert.rev}", body))

    async def close(self) -> None:
        await self._client.close()

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        at = str(int(time.time()))
        headers = {"webhook-id": message_id, "webhook-timestamp": at}
        if self._secret:
            signed = hmac.new(self._secret, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode('ascii')}"
        return headers
