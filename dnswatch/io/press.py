"""Large publications, made in a child process: zones of a million rules take ten seconds and more of work.

The child (``press_child.py``) compiles, guards, encodes and writes. We store its versions and serve its pages, so that
what a consumer sees is stored first, and then let it write the files. It keeps the interpreter of the daemon free for
logs and alerts, and its memory is gone when it ends; what stays here are pages, not rules.

A child that breaks is a publication that failed: what was served stays. Never: outlives the daemon, has two children.
Read next: ``press_child.py``, ``publishing.py``.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, Protocol
from weakref import WeakValueDictionary

from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.audiences import audiences, enabled
from dnswatch.core.feeds.pages import Page
from dnswatch.core.feeds.xfr import Version
from dnswatch.core.model import Name, Snapshot
from dnswatch.core.policy import Policy
from dnswatch.errors import FeedRefused
from dnswatch.io.packed import FeedFile
from dnswatch.io.store.versions import Packed

LARGE = 10_000
"""From so many names in all zones together on; fewer take a third of a second of work, as long as a child to start."""
PATIENCE_S = 600.0
"""A child that says nothing for so long has gone wrong; the longest work without a word is ten seconds for a million
rules, on a machine with nothing else to do."""
LAST_S = 0.5
"""A child whose input has ended is gone within milliseconds."""
LENGTH = 4
"""Bytes that say how long a message is."""
GO = b"g"
"""What the child waits for before it writes files: its versions are stored."""
_SHOWN = 300  # characters of a broken child's last words

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from dnswatch.io.press_child import serve; serve()"


class Task(NamedTuple):
    """What a child is told."""

    policy: Policy
    identity: Identity
    at: float
    store: Path
    directory: Path
    served: Path
    forced: bool
    hooked: bool  # there are hooks, so it is noted for which files they are due
    overdue: bool
    pages: frozenset[bytes] | None  # sums of those that the parent has; None: nobody fetches zones
    stored: bool  # what is in the store is wanted first: nothing is served yet
    files: Mapping[str, FeedFile]  # as the last publication of this process left them
    whole: frozenset[str]  # sums of packed files that are there


class Leaf(NamedTuple):
    """A page, by its sum."""

    digest: bytes
    records: int
    octets: bytes


class Listed(NamedTuple):
    """A version of a zone as a list of pages; ``pages`` is None where it stays as it is, or where nobody fetches it."""

    snapshot: Snapshot  # an outline
    rules: int
    pages: tuple[bytes, ...] | None
    past: tuple[tuple[int, tuple[bytes, ...]], ...] = ()


class Stored(NamedTuple):
    """The newest versions in the store."""

    zones: tuple[Listed, ...]


class Planned(NamedTuple):
    """What is to be served, after its changed versions have been stored."""

    before: Mapping[Name, tuple[int, float]]  # the versions that this was made from
    zones: tuple[Listed, ...]
    changed: tuple[Packed, ...]


class Written(NamedTuple):
    """The files are right now."""

    names: tuple[str, ...]  # that were not
    due: frozenset[str]  # whose hooks are to run
    files: tuple[FeedFile, ...]


class Refused(NamedTuple):
    """The guard has said no."""

    why: str


class Failed(NamedTuple):
    """The disk has."""

    code: int
    why: str
    path: str


class History(Protocol):
    """The part of the store that the parent writes."""

    async def heads(self) -> Mapping[Name, tuple[int, float]]:
        """Give serial and time of the newest versions."""
        ...

    async def save_packed(self, rows: tuple[Packed, ...]) -> object:
        """Keep versions durably."""
        ...


class Outdated(Exception):  # not an error: somebody gave a zone another serial meanwhile
    """What was planned is not what comes next any more."""


Message = tuple[Leaf, ...] | Stored | Planned | Written | Refused | Failed
Serve = Callable[[list[Version], bool], Awaitable[None]]
"""Serves these versions and no other zones; whether they are what files will say, too."""


def is_large(policy: Policy) -> bool:
    """Say whether the zones of a policy are better made in a child."""
    if policy.feeds.mode == "off":
        return False
    names = sum(len(service.indicators) for service in enabled(policy.catalog))
    return names * (len(audiences(policy)) + 1) >= LARGE


class Press:
    """Has publications made, one at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._code: int | None = None
        self._stopped = False
        self._pages: WeakValueDictionary[bytes, Page] = WeakValueDictionary()  # those that are served somewhere

    async def publish(self, task: Task, history: History, serve: Serve) -> tuple[Planned, Written]:
        """Publish: store, serve, let files be written.

        Raises `FeedRefused` and `OSError`; a child that ends early is one, too.
        """
        while True:
            known = dict(self._pages) if task.pages is not None else {}
            try:
                pages = None if task.pages is None else frozenset(known)
                return await self._publish(task._replace(pages=pages), history, known, serve)
            except Outdated:
                continue

    async def stop(self) -> None:
        """End the child, and begin none any more."""
        self._stopped = True
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _publish(
        self, task: Task, history: History, pages: dict[bytes, Page], serve: Serve
    ) -> tuple[Planned, Written]:
        told = await asyncio.to_thread(pickle.dumps, task, pickle.HIGHEST_PROTOCOL)
        planned: Planned | None = None
        with tempfile.TemporaryFile(dir=task.store.parent) as words:  # a sandbox need not have a /tmp
            async with aclosing(self._messages(told, words)) as messages:
                async for message in messages:
                    match message:
                        case Stored():
                            await serve([_version(one, pages) for one in message.zones], False)
                        case Planned():
                            if dict(await history.heads()) != dict(message.before):
                                raise Outdated
                            planned = message
                            await history.save_packed(message.changed)
                            await serve([_version(one, pages) for one in message.zones], True)
                            pages.clear()
                            self._go()
                        case Written():
                            assert planned is not None
                            return planned, message
                        case Refused():
                            raise FeedRefused(message.why)
                        case Failed():
                            raise OSError(message.code, message.why, message.path or None)
                        case _:
                            new = {leaf.digest: Page(leaf.records, leaf.octets) for leaf in message}
                            pages.update(new)
                            self._pages.update(new)
            raise self._broken(words)

    async def _messages(self, told: bytes, words: IO[bytes]) -> AsyncGenerator[Message, None]:
        """Run a child; yield what it says until it ends. Nothing is left of it then."""
        if self._stopped:
            raise asyncio.CancelledError
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", _BOOT, *sys.path, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=words,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        self._has_begun(process)
        try:
            with suppress(ConnectionError):  # it broke at once, which its end tells
                async with _patience():
                    process.stdin.write(told)
                    await process.stdin.drain()
            del told
            with suppress(asyncio.IncompleteReadError):
                while True:
                    async with _patience():
                        size = int.from_bytes(await process.stdout.readexactly(LENGTH), "big")
                        body = await process.stdout.readexactly(size)
                    yield pickle.loads(body)  # noqa: S301  # from our own child
        finally:
            # To kill one that ends anyway could take its exit code from asyncio, which would tell another.
            process.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), LAST_S)
            if process.returncode is None:
                self._kill()
                await process.wait()
            self._process = None
            self._code = process.returncode

    def _has_begun(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        if self._stopped:  # meanwhile
            self._kill()

    def _go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(GO)

    def _broken(self, words: IO[bytes]) -> BaseException:
        if self._stopped:
            return asyncio.CancelledError()
        words.seek(0)
        last = words.read().decode("utf-8", "replace").strip().rpartition("\n")[2][-_SHOWN:]
        how = f"signal {-self._code}" if self._code is not None and self._code < 0 else f"exit code {self._code}"
        return OSError(f"the process that makes the zones broke ({how}){': ' if last else ''}{last}; what was "
                       "published before stays, and it is tried again")  # fmt: skip


@asynccontextmanager
async def _patience() -> AsyncGenerator[None, None]:
    """Raise `OSError` where it takes longer than `PATIENCE_S`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except TimeoutError:
        raise OSError(f"the process that makes the zones said nothing for {PATIENCE_S:g} s and was ended; what was "
                      "published before stays, and it is tried again") from None  # fmt: skip


def _version(one: Listed, pages: Mapping[bytes, Page]) -> Version:
    past = tuple((serial, tuple(pages[digest] for digest in digests)) for serial, digests in one.past)
    return Version(one.snapshot, None if one.pages is None else tuple(pages[digest] for digest in one.pages), past)
