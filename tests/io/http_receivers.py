"""HTTP receivers for tests: a webhook that checks signatures, an event collector with an indexer behind it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SECRET = "correct horse"
TOKEN = "11111111-2222-3333-4444-555555555555"


@dataclass
class Hook:
    """A webhook: keeps bodies that are signed right, answers what it is told to."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)  # next ones; then 204

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        message_id, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = hmac.new(SECRET.encode(), f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
        if request.headers["webhook-signature"] != "v1," + base64.b64encode(signed).decode():
            return web.Response(status=401, text="bad signature")
        status, text = self.answers.pop(0) if self.answers else (204, "")
        if status == 204:
            self.bodies.append(body)
            self.ids.append(message_id)
        return web.Response(status=status, text=text)


@dataclass
class Collector:
    """Splunk's event collector: events are stored by the indexer only when ``indexed`` allows it."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    indexed: bool = True
    acks: bool = True
    asked: int = 0
    channels: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Splunk {TOKEN}":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        self.channels.add(request.headers["X-Splunk-Request-Channel"])
        decoder, text, at = json.JSONDecoder(), (await request.read()).decode(), 0
        events = []
        while at < len(text):
            event, end = decoder.raw_decode(text, at)
            events.append(event)
            at = end + len(text[end:]) - len(text[end:].lstrip())
        if any("poison" in json.dumps(event) for event in events):
            return web.json_response({"text": "Invalid data format", "code": 6}, status=400)
        self.events += events
        return web.json_response({"text": "Success", "code": 0, **({"ackId": len(self.events)} if self.acks else {})})

    async def acknowledge(self, request: web.Request) -> web.Response:
        self.asked += 1
        acks = (await request.json())["acks"]
        return web.json_response({"acks": {str(ack): self.indexed and self.asked > 1 for ack in acks}})


@asynccontextmanager
async def serving(
    path: str, handler: Callable[[web.Request], Awaitable[web.Response]], **more: Any
) -> AsyncIterator[str]:
    """Serve one handler on loopback; give the address."""
    app = web.Application()
    app.router.add_post(path, handler)
    for further, also in more.get("routes", {}).items():
        app.router.add_post(further, also)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=more.get("security"))
    await site.start()
    try:
        scheme = "https" if more.get("security") else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """A webhook."""
    made = Hook()
    async with serving("/alerts", made.take) as address:
        made.url = f"{address}/alerts"
        yield made


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """An event collector."""
    made = Collector()
    routes = {"/services/collector/ack": made.acknowledge}
    async with serving("/services/collector/event", made.take, routes=routes) as address:
        made.url = address
        yield made
