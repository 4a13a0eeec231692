"""The published feeds over HTTP, from the disk, each with its own validators.

A publication replaces the whole set at once, so a client never sees two serials mixed; a reader that began on the old
version gets all of the old version. Never: decides content, holds a file in memory. Read next: ``app.py``,
``../packed.py``.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING

from dnswatch.io.packed import FeedFile

if TYPE_CHECKING:  # the daemon has one of these where HTTP is off, too, and must not import a server for it
    from aiohttp import ETag, web

CHUNK = 64 * 1024
"""Octets sent at once: unpacking them takes 0.2 ms, and alerts wait no longer than that."""
GZIP = 16 + zlib.MAX_WBITS


class PublishedFeeds:
    """What ``/feeds/`` serves at this moment."""

    def __init__(self) -> None:
        self._files: Mapping[str, FeedFile] = {}
        self._tokens: tuple[bytes, ...] = ()

    def require(self, tokens: Iterable[str]) -> None:
        """Serve only who shows one of these from now on; none: everybody who reaches us."""
        self._tokens = tuple(token.encode() for token in tokens)

    def replace(self, files: Iterable[FeedFile]) -> None:
        """Serve these files from now on, and nothing else; files whose bytes stay the same keep their time."""
        self._files = {one.name: one for one in files}

    @property
    def files(self) -> tuple[FeedFile, ...]:
        """Give what is served."""
        return tuple(self._files.values())

    def names(self) -> list[str]:
        """Give the served names, sorted."""
        return sorted(self._files)

    async def list(self, request: web.Request) -> web.Response:
        """Name what is served, with serials."""
        from aiohttp import web

        if not self._may_read(request):
            return _unauthorized()
        entries = [
            {"name": one.name, "serial": one.serial, "size": one.size, "sha256": one.sha256, "updated": one.at}
            for _, one in sorted(self._files.items())
        ]
        return web.json_response({"feeds": entries})

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Serve one file, or 304 when the client has it."""
        from aiohttp import hdrs, web

        if not self._may_read(request):
            return _unauthorized()
        file = self._files.get(request.match_info["name"])
        if file is None:
            return web.json_response({"error": "no such feed", "feeds": self.names()}, status=404)
        # The gzip variant is another representation and has its own ETag (RFC 9110 §8.8.3).
        packed = bool(file.packed_size) and _takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        etag = file.sha256 + "-gz" if packed else file.sha256
        headers = {
            hdrs.ETAG: f'"{etag}"',
            hdrs.LAST_MODIFIED: formatdate(file.at, usegmt=True),
            hdrs.CACHE_CONTROL: "no-cache",  # keep it, but ask before using it
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            "X-Feed-Serial": str(file.serial),
        }
        if _has_it(request, etag, file.at):
            return web.Response(status=304, headers=headers)
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)  # nothing ran since: the version that we name
        except OSError:
            return web.json_response({"error": "the file is gone; it is made again within a minute"}, status=503)
        try:
            if packed:
                headers[hdrs.CONTENT_ENCODING] = "gzip"
            kind = "application/json" if file.name.endswith(".json") else "text/plain; charset=utf-8"
            response = web.StreamResponse(headers={**headers, hdrs.CONTENT_TYPE: kind})
            response.content_length = file.packed_size if packed else file.size
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                for chunk in _chunks(descriptor, unpack=bool(file.packed_size) and not packed):
                    await response.write(chunk)
                    await asyncio.sleep(0)  # one chunk each time round the loop
            await response.write_eof()
        except (OSError, zlib.error):  # the reader has gone, or the file is spoilt: half of it must not look whole
            if request.transport is not None:
                request.transport.abort()
        finally:
            os.close(descriptor)
        return response

    def _may_read(self, request: web.Request) -> bool:
        """Say whether the request shows a token. Every token is compared, each in constant time."""
        shown = _shown(request.headers.get("Authorization", ""))
        return not self._tokens or sum(hmac.compare_digest(shown, token) for token in self._tokens) > 0


def _chunks(descriptor: int, *, unpack: bool) -> Iterator[bytes]:
    """Yield what a file holds, a little at a time."""
    unpacking = zlib.decompressobj(GZIP)
    while chunk := os.read(descriptor, CHUNK):
        if not unpack:
            yield chunk
            continue
        while chunk:
            yield unpacking.decompress(chunk, CHUNK)
            chunk = unpacking.unconsumed_tail


def _shown(authorization: str) -> bytes:
    """Give the token of a request: ``Bearer TOKEN``, or the password of ``Basic`` (lists are named by URLs, and
    ``http://dnswatch:TOKEN@host/`` is all that some consumers can say)."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def _unauthorized() -> web.Response:
    from aiohttp import hdrs, web

    headers = {hdrs.WWW_AUTHENTICATE: 'Basic realm="dnswatch feeds", charset="UTF-8"'}
    body = {
        "error": "this needs a token (http.tokens): as a bearer token, or as the password of http://user:TOKEN@host/"
    }
    return web.json_response(body, status=401, headers=headers)


def _has_it(request: web.Request, etag: str, at: float) -> bool:
    """Say whether the client's copy is current; If-None-Match beats If-Modified-Since (RFC 9110 §13.2.2)."""
    known: tuple[ETag, ...] | None = request.if_none_match
    if known is not None:
        return any(one.value in (etag, "*") for one in known)
    since = request.if_modified_since
    return since is not None and int(at) <= since.timestamp()


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
