"""The HTTP application: health with reasons, metrics without clients, feeds with validators."""

import base64
import gzip
import hashlib
import logging
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from dnswatch.core.feeds.publication import Rendered
from dnswatch.errors import StateError
from dnswatch.io.metrics import registry
from dnswatch.io.packed import pack
from dnswatch.io.web.app import Web
from dnswatch.io.web.feeds import PublishedFeeds

AT = 1_790_000_000.0
BODY = b"hooks.slack.com CNAME .\n" * 100


class World:
    """What the application is shown."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.rows: dict[str, dict[str, Any]] = {
            "run": {"started_at": AT, "checkpoints": 7, "reload_ok": 1},
            "source:/var/log/named/query.log": {"lines": 12, "weird": {"no stamp": 3}, "lag_bytes": 5},
            "sink:siem": {"sent": 4, "backlog": 2, "failing": 1},
            "feed:any.rpz": {"serial": 17, "rules": 3, "at": AT},
            "job:leases": {"done": 2},
            "engine": {"counters": {"unexpected": 9}, "sizes": {"episodes": 1}, "alerts": {"bot-api/high": 2}},
        }
        self.feeds = PublishedFeeds()
        self.web = Web(self, registry("0.1", lambda: self.rows), self.feeds)

    def unready(self) -> list[str]:
        return self.reasons


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    world.feeds.replace(
        pack(tmp_path, one) for one in (Rendered("any.zone", BODY, 17, AT), Rendered("tiny", b"x", 1, AT))
    )
    # auto_decompress off: the tests look at the bytes that travel
    async with TestClient(TestServer(world.web.application()), auto_decompress=False) as made:
        yield made


async def test_health(world: World, client: TestClient[Any, Any]) -> None:
    """Alive is always 200; not ready is 503 and says why."""
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 200
    world.reasons.append("the store cannot be written: no space left")
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert (await answer.json())["reasons"] == world.reasons
    assert answer.headers["Server"] == "dnswatch"
    assert world.web.requests == 3


async def test_metrics(world: World, client: TestClient[Any, Any]) -> None:
    """Every row becomes numbers; label names are fixed; Prometheus' own parser takes it."""
    text = await (await client.get("/metrics", headers={"Accept-Encoding": "identity"})).text()
    families = list(text_string_to_metric_families(text))
    samples = {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}
    source = "/var/log/named/query.log"
    assert samples["dnswatch_log_lines_total", (source,)] == 12
    assert samples["dnswatch_weird_lines_total", (source, "no stamp")] == 3
    assert samples["dnswatch_outbox_rows", ("siem",)] == 2
    assert samples["dnswatch_feed_serial", ("any.rpz",)] == 17
    assert samples["dnswatch_job_runs_total", ("leases",)] == 2
    assert samples["dnswatch_engine_events_total", ("unexpected",)] == 9
    assert samples["dnswatch_alerts_total", ("bot-api", "high")] == 2
    assert samples["dnswatch_checkpoints_total", ()] == 7
    labels = {label for family in families if family.name.startswith("dnswatch") for s in family.samples
              for label in s.labels}  # fmt: skip
    assert labels == {"source", "why", "sink", "zone", "job", "what", "table", "category", "severity", "version",
                      "class"}  # fmt: skip
    openmetrics = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert (await openmetrics.text()).endswith("# EOF\n")


async def test_feed_validators(client: TestClient[Any, Any]) -> None:
    """A feed has a strong ETag per encoding, Last-Modified and its serial; what the client has is 304."""
    plain = {"Accept-Encoding": "identity"}
    answer = await client.get("/feeds/any.zone", headers=plain)
    assert await answer.read() == BODY
    etag = answer.headers["ETag"]
    assert etag == f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert answer.headers["X-Feed-Serial"] == "17"
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (answer.headers["Server"], answer.headers["X-Content-Type-Options"]) == ("dnswatch", "nosniff")
    packed = await client.get("/feeds/any.zone", headers={"Accept-Encoding": "br, gzip"})
    assert gzip.decompress(await packed.read()) == BODY
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] == etag[:-1] + '-gz"'
    for headers, status in [
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f'"other", {etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": answer.headers["Last-Modified"]}, 200),
        ({"If-Modified-Since": answer.headers["Last-Modified"]}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}, 200),
        ({"If-None-Match": etag, "Accept-Encoding": "gzip"}, 200),
        ({"Accept-Encoding": "gzip;q=0", "If-None-Match": etag}, 304),
    ]:
        again = await client.get("/feeds/any.zone", headers={**plain, **headers})
        assert again.status == status, headers
        assert status == 200 or await again.read() == b""
        assert "ETag" in again.headers
    assert (await client.head("/feeds/any.zone")).status == 200
    assert "Content-Encoding" not in (await client.get("/feeds/tiny", headers={"Accept-Encoding": "gzip"})).headers


@pytest.mark.parametrize("path", ["/feeds/", "/feeds/any.zone", "/feeds/none"])
async def test_feeds_want_a_token_where_there_are_some(world: World, client: TestClient[Any, Any], path: str) -> None:
    """As a bearer token or as a password, any of them; without, 401 says how, and health and metrics stay open."""
    known = (await client.get(path)).status
    world.feeds.require(["grün", "second"])
    for user, token, allowed in [("x", "second", True), ("", "grün", True), ("second", "", False), ("x", "grun", False),
                                 ("x", "secon", False), ("x", "", False)]:  # fmt: skip
        basic = "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()
        for shown in (basic, f"Bearer {token}"):
            answer = await client.get(path, headers={"Authorization": shown})
            assert answer.status == (known if allowed else 401), shown
    for wrong in ("", "Basic", "Basic !", "Basic eA==", "Bearer", "Digest second", "second"):
        answer = await client.get(path, headers={"Authorization": wrong})
        assert answer.status == 401, wrong
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert "http.tokens" in await answer.text()
    assert [(await client.get(one)).status for one in ("/healthz", "/metrics")] == [200, 200]
    world.feeds.require([])
    assert (await client.get(path)).status == known


async def test_half_a_feed_looks_like_half_a_feed(
    world: World, client: TestClient[Any, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a spoilt file; and neither that nor a reader that goes is an error of ours."""
    large = random.Random(7).randbytes(8 << 20)
    gone = pack(tmp_path, Rendered("large", large, 1, AT))
    spoilt = pack(tmp_path, Rendered("spoilt", large[1:], 1, AT))
    with spoilt.path.open("r+b") as file:
        file.seek(4 << 20)
        file.write(bytes(1 << 20))
    world.feeds.replace((gone, spoilt))
    headers = {"Accept-Encoding": "identity"}
    answer = await client.get("/feeds/spoilt", headers=headers)
    with pytest.raises(aiohttp.ClientError):
        await answer.read()
    answer = await client.get("/feeds/large", headers=headers)
    assert await answer.content.read(1000) == large[:1000]
    answer.close()
    assert await (await client.get("/feeds/large", headers=headers)).read() == large
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


async def test_feed_list_and_unknown_names(client: TestClient[Any, Any]) -> None:
    """The list names what there is; anything else is 404, paths included."""
    listed = await (await client.get("/feeds/", headers={"Accept-Encoding": "identity"})).json()
    assert [(one["name"], one["serial"]) for one in listed["feeds"]] == [("any.zone", 17), ("tiny", 1)]
    for path in ("/feeds/none", "/feeds/..%2f..%2fetc%2fpasswd", "/nothing"):
        assert (await client.get(path)).status == 404
    assert (await client.post("/feeds/any.zone")).status == 405


async def test_taken_port_is_named(world: World) -> None:
    """A port in use says which one, and the setting that changes it; port 0 takes a free one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StateError, match=rf"{listen}: another program listens there.*http: \{{listen"):
            await world.web.start(listen)
    await world.web.start("127.0.0.1:0")
    ((host, port),) = world.web.addresses()
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/healthz") as answer:
        assert answer.status == 200
    await world.web.stop()
    assert world.web.addresses() == []
