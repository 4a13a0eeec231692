"""The HTTP application: /healthz, /readyz, /metrics and /feeds/<name>; on loopback by default.

Never: changes state, shows clients or names. Runs in our own loop (``web.run_app`` would take the signals). Read next:
``feeds.py``, ``../metrics.py``.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from dnswatch import __version__
from dnswatch.config.values import split_listen
from dnswatch.errors import StateError
from dnswatch.io.web.feeds import PublishedFeeds


class View(Protocol):
    """What the application asks the daemon."""

    def unready(self) -> list[str]:
        """Give why we are not ready, in sentences; empty = ready."""


class Web:
    """The listening application. ``listen``: ``HOST:PORT`` or ``[v6]:PORT``."""

    def __init__(self, view: View, registry: CollectorRegistry, feeds: PublishedFeeds) -> None:
        self.requests = 0
        self._view = view
        self._registry = registry
        self._feeds = feeds
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """Make the aiohttp application."""
        app = web.Application(middlewares=[self._count])
        app.on_response_prepare.append(_head)
        app.router.add_get("/", self._index)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/feeds/", self._feeds.list)
        app.router.add_get("/feeds/{name}", self._feeds.get)
        return app

    async def start(self, listen: str) -> None:
        """Listen; raise `StateError` naming the port and the setting when that is not possible."""
        host, port = split_listen(listen)
        runner = web.AppRunner(self.application(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, host, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            taken = error.errno == errno.EADDRINUSE
            why = "another program listens there" if taken else (error.strerror or str(error))
            raise StateError(
                f'cannot serve HTTP on {listen}: {why}. Choose another address with `http: {{listen: "HOST:PORT"}}`, '
                "or turn it off with `http: {listen: off}`"
            ) from error
        self._runner = runner

    def addresses(self) -> list[tuple[str, int]]:
        """Give where we listen (the port that the kernel chose for port 0)."""
        return [] if self._runner is None else [(one[0], one[1]) for one in self._runner.addresses]

    async def stop(self) -> None:
        """Stop listening and end open requests within a second."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _count(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests += 1
        return await handler(request)

    async def _index(self, request: web.Request) -> web.Response:
        paths = ["/healthz", "/readyz", "/metrics", "/feeds/"]
        return web.json_response({"dnswatch": __version__, "paths": paths})

    async def _healthz(self, request: web.Request) -> web.Response:
        """The loop is alive: whoever reads this has just been answered by it."""
        return web.json_response({"status": "alive"})

    async def _readyz(self, request: web.Request) -> web.Response:
        reasons = self._view.unready()
        body = {"status": "unready" if reasons else "ready", "reasons": reasons}
        return web.json_response(body, status=503 if reasons else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        if "application/openmetrics-text" in request.headers.get("Accept", ""):
            # untyped in prometheus_client 0.26, bytes by its documentation
            return web.Response(body=openmetrics(self._registry), headers={"Content-Type": OPENMETRICS})  # type: ignore[no-untyped-call]
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


async def _head(request: web.Request, response: web.StreamResponse) -> None:
    """Say who we are, and no more; just before the headers go, for a feed is sent in pieces."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "dnswatch"
