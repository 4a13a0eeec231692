"""The child process that makes a large publication (``press.py`` is the parent and says why).

It says what it made on standard output, in messages behind their length: pages, then versions; the parent stores and
serves them; then it writes the files. It reads the store, and never writes there.

Never: goes on when the parent has gone, writes a file before its serial is stored, minds Ctrl-C, gets in the way of
who watches logs (`NICE`). Read next: ``packed.py``, ``publish/files.py``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from dnswatch.core.feeds import impact, zonefile
from dnswatch.core.feeds.audiences import EVERYONE
from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.guard import refuse
from dnswatch.core.feeds.history import outline
from dnswatch.core.feeds.pages import Page, Pages
from dnswatch.core.feeds.publication import Publication, Rendered, Writing, plan
from dnswatch.core.feeds.xfr import KEPT_VERSIONS
from dnswatch.core.model import Name, Snapshot
from dnswatch.core.policy import DAY_S
from dnswatch.errors import FeedRefused
from dnswatch.io.packed import FeedFile, pack
from dnswatch.io.press import GO, LENGTH, Failed, Leaf, Listed, Message, Planned, Refused, Stored, Task, Written
from dnswatch.io.publish import files
from dnswatch.io.store import Store
from dnswatch.io.store.feeds import MOST_RULES
from dnswatch.io.store.versions import Rules, unpack
from dnswatch.io.store.versions import pack as pack_version

NICE = 5
"""Where both want the processor, logs and alerts go first."""
FIRST_TO_GO = "500"
"""Where memory runs out, this process goes and not the daemon, whose unit says 200 (proc(5), oom_score_adj)."""
DIGEST_BYTES = 16
AT_ONCE = 1 << 20
"""Octets of pages in one message: the parent takes one in a millisecond."""


def serve() -> None:
    """Read a `Task` from standard input and do it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _step_back()
    gc.disable()  # what is made here is needed to the end, and nothing of it in a circle
    task = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
    assert isinstance(task, Task)
    made = _Made(task)
    try:
        asyncio.run(made.publish())
    except FeedRefused as error:
        made.say(Refused(str(error)))
    except OSError as error:
        made.say(Failed(error.errno or 0, error.strerror or str(error), str(error.filename or "")))


def _step_back() -> None:
    """Let the daemon go first, where a sandbox does not forbid to say so."""
    with suppress(OSError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


class _Parent:
    """The process that wants this: it says when to go on, and its end is ours."""

    def __init__(self) -> None:
        self._said = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def go(self) -> None:
        """Wait until it says so."""
        self._said.wait()

    def _listen(self) -> None:
        while os.read(sys.stdin.fileno(), 1) == GO:
            self._said.set()
        os._exit(1)  # it is gone: nobody stores or serves what we make


class _Made:
    """A publication in the making."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._parent = _Parent()
        self._pages = Pages()
        self._digests: dict[Page, bytes] = {}
        self._known = set(task.pages or ())
        self._files: dict[str, FeedFile] = {}

    async def publish(self) -> None:
        """Make everything, in the order in which it is wanted."""
        task = self._task
        async with await Store.open(task.store, create=False, readonly=True) as store:
            shared = Rules()
            latest = await self._latest(store, shared)
            publication = plan(task.policy, task.identity, task.at, latest, forced=task.forced)
            if publication.changed and task.policy.feeds.mode == "enforce" and not task.forced:
                seen = await store.sightings(task.at - impact.DAYS * DAY_S)
                zones = [one.zone for one in publication.snapshots if one.zone.name not in publication.retired]
                found = impact.replay(task.policy, task.identity, task.at, seen, zones)
                refuse(task.policy.feeds.zone, impact.impact_faults(task.policy, found, task.at))
        self._gate(publication)
        listed = self._listed(publication)
        texts: dict[int, str] = {}
        before = {name: (one.serial, one.at) for name, one in latest.items()}
        changed = tuple(pack_version(one, texts) for one in publication.changed)
        self.say(Planned(before, listed, changed))
        del latest, shared, texts, changed
        self._parent.go()
        self._write(publication)

    async def _latest(self, store: Store, shared: Rules) -> dict[Name, Snapshot]:
        """Read what was published last, and say its pages where they are wanted."""
        latest, listed = {}, []
        for name in await store.heads():
            rows = await store.packed(name, KEPT_VERSIONS if self._task.stored else 1)
            latest[name] = unpack(rows[0], shared)
            if not self._task.stored or latest[name].zone.audience == EVERYONE:
                continue
            pages = self._paged(latest[name])
            past: list[tuple[int, tuple[bytes, ...]]] = []
            count = 0
            for row in rows[1:]:
                one = unpack(row, shared)
                count += len(one.zone.rules)
                if past and count > MOST_RULES:
                    break
                past.append((one.serial, self._paged(one) or ()))
            listed.append(Listed(outline(latest[name]), len(latest[name].zone.rules), pages, tuple(past)))
        if self._task.stored:
            self.say(Stored(tuple(listed)))
        return latest

    # ── What is served ────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self, publication: Publication) -> tuple[Listed, ...]:
        """Say the pages of changed zones; the others stay as they are."""
        changed = {one.zone.name for one in publication.changed}
        return tuple(
            Listed(outline(one), len(one.zone.rules),
                   self._paged(one) if one.zone.name in changed and one.zone.audience != EVERYONE else None)
            for one in publication.snapshots
        )  # fmt: skip

    def _paged(self, snapshot: Snapshot) -> tuple[bytes, ...] | None:
        """Say the pages of a version that the parent does not have; give all of their sums."""
        if self._task.pages is None:
            return None
        sums, new, octets = [], [], 0
        for page in self._pages.of(snapshot):
            digest = self._digests.get(page)
            if digest is None:
                digest = blake2b(page.octets, digest_size=DIGEST_BYTES).digest()
                if page.rules:  # the others are made anew each time
                    self._digests[page] = digest
            sums.append(digest)
            if digest not in self._known:
                self._known.add(digest)
                new.append(Leaf(digest, page.records, page.octets))
                octets += len(page.octets)
                if octets > AT_ONCE:
                    self.say(tuple(new))
                    new, octets = [], 0
        if new:
            self.say(tuple(new))
        return tuple(sums)

    # ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _gate(self, publication: Publication) -> None:
        """Write the new zone files where nobody reads them, and read them back. Raises `FeedRefused`."""
        rpz = FORMATS["rpz"]
        sound: zonefile.Sound = {}
        for one in filter(rpz.accepts, publication.changed):
            made = Rendered(rpz.file_name(one), rpz.render(one), one.serial, one.at)
            refuse(one.zone.name, zonefile.faults(made.content, one.zone.name, one.serial, sound))
            self._files[made.name] = pack(self._task.served, made, self._task.whole)

    def _write(self, publication: Publication) -> None:
        """Make the files what they should be; note first for which of them hooks are due."""
        task = self._task
        changed = {one.zone.name for one in publication.changed}
        made = [self._file(one, changed) for one in publication.writings()]
        new = files.differ(task.directory, made)
        due: frozenset[str] = frozenset()
        if task.hooked:
            known, names = files.owed(task.directory), frozenset(one.name for one in new)
            if names:
                files.owe(task.directory, known | names)
            due = known | names if names or task.overdue else frozenset()
        files.unpack(task.directory, new)
        self.say(Written(tuple(one.name for one in new), due, tuple(made)))

    def _file(self, one: Writing, changed: set[Name]) -> FeedFile:
        """Give a file packed; of a zone that has not changed the one that is there."""
        if one.name in self._files:
            return self._files[one.name]
        known = self._task.files.get(one.name)
        if one.zone and one.zone not in changed and known is not None and known.serial == one.serial and (
            known.sha256 in self._task.whole and known.path.is_file()
        ):  # fmt: skip
            return known
        return pack(self._task.served, one.rendered(), self._task.whole)

    def say(self, message: Message) -> None:
        """Tell the parent."""
        body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        out = sys.stdout.buffer
        out.write(len(body).to_bytes(LENGTH, "big"))
        out.write(body)
        out.flush()
