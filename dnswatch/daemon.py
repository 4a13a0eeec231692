"""The daemon: builds the engine, starts the shell around it, routes effects, reloads and ends. The composition root.

    logs ─ io/following ─► engine ─► io/ledger ─ checkpoint ─► outbox ─ io/courier ─► sinks
                             ▲                                   policy ─ io/publish ─► feeds (files, HTTP, DNS)
              policy, leases ┘        io/housekeeping: leases, feeds, expectations, retention

Never: decides what a line means or when to alert. Start here to see how it runs, then read ``io/ledger.py``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnswatch import __version__
from dnswatch.config.build import Loaded, load_policy
from dnswatch.config.model import Config
from dnswatch.config.triage import triage_of
from dnswatch.config.values import split_listen
from dnswatch.core.detect.engine import Engine
from dnswatch.core.policy import Policy
from dnswatch.errors import ConfigError, DnswatchError, StateError
from dnswatch.io import systemd
from dnswatch.io.beat import until_beat
from dnswatch.io.blind_spots import BlindSpots
from dnswatch.io.bounds import Bounds
from dnswatch.io.courier import Courier
from dnswatch.io.following import Following
from dnswatch.io.foresight import read_ahead
from dnswatch.io.housekeeping import Housekeeping
from dnswatch.io.jobs import Jobs
from dnswatch.io.ledger import Ledger
from dnswatch.io.lock import StateLock
from dnswatch.io.press import is_large
from dnswatch.io.primary import Primary
from dnswatch.io.sinks import SINKS
from dnswatch.io.store import FILE, Store, Writings
from dnswatch.io.store.upgrade import upgrade
from dnswatch.io.supervise import describe
from dnswatch.io.watch import Watch
from dnswatch.io.web.feeds import PublishedFeeds

if TYPE_CHECKING:  # what only some configurations need is imported where they do (tests/test_imports.py)
    from dnswatch.io.web.app import Web

TICK_S = 0.25
"""How often log time follows the clock at the end of a log: bounds how late a timer fires."""
QUIET_S = 10.0
"""So long after the last line only timers of minutes and more are left (the others: 5 s): once a second is enough."""
STANDSTILL_S = 1.0
"""After a tick as late as this the logs are read first: what came meanwhile belongs before the time that passed."""
STATUS_S = 2.0
"""How old status rows may be when something has changed."""
STATUS_IDLE_S = 30.0
"""How old they may be when nothing has: a server without queries should not write to its disk for saying so."""
LEAVE_S = 9.0
"""From SIGTERM to the end of the process, at most ten seconds; every part of the end is bound to less."""
RELOAD_AGAIN_S = 5.0  # after a reload that the disk did not let finish

log = logging.getLogger("dnswatch")


@dataclass(slots=True)
class Reloads:
    """How reloads went."""

    asked: int = 0
    done: int = 0  # taken or refused
    error: str = ""  # of the last one; "" = taken
    at: float = 0.0


class Daemon:
    """Everything that runs, from one configuration file. `run` returns when the daemon has ended in order."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path.absolute()
        self.loaded = load_policy(self.config_path)
        self.loaded.config.require_sources()
        self.engine = Engine(self.loaded.policy)
        self.blind_spots = BlindSpots(lambda alerts, size: self.ledger.note(alerts, size))
        self.watch = Watch(self.blind_spots)
        self.feeds = PublishedFeeds()
        self.feeds.require(token.reveal() for token in self.loaded.config.http.tokens)
        self.jobs = Jobs()
        self.reloads = Reloads(at=time.time())
        self.couriers: dict[str, tuple[Any, Courier]] = {}  # sink id → its settings and its courier
        self.started_at = time.time()
        self.loop_lag_s = 0.0
        self.web: Web | None = None
        self.store: Store
        self.ledger: Ledger
        self.following: Following
        self.upkeep: Housekeeping
        self.primary: Primary
        self._group: asyncio.TaskGroup
        self.is_ready = asyncio.Event()
        self._end = asyncio.Event()
        self._reload_asked = asyncio.Event()

    # ── Life ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Watch until SIGTERM or SIGINT. Raises `DnswatchError` when it cannot start."""
        config = self.loaded.config
        with StateLock(config.state_dir):
            if (upgraded := await upgrade(config.state_dir / FILE)) is not None:
                log.warning("the store was of layout %d and is of layout %d now; as it was: %s", upgraded.before,
                            upgraded.after, upgraded.backup)  # fmt: skip
            async with await Store.open(config.state_dir / FILE) as store:
                self.store = store
                try:
                    async with asyncio.TaskGroup() as group:
                        self._group = group
                        await self._live()
                except BaseExceptionGroup as failed:
                    raise _cause(failed) from None
        log.info("stopped")

    async def _live(self) -> None:
        await self._start()
        ticks = [self._spawn(self._tick()), self._spawn(self._keep_status())]
        await self._serve()
        await self._stop(ticks)

    def end(self) -> None:
        """Ask it to leave in order (SIGTERM)."""
        self._end.set()

    def reload(self) -> None:
        """Ask it to read its configuration again (SIGHUP)."""
        self._reload_asked.set()

    def obey_signals(self) -> None:
        """Let SIGTERM and SIGINT end, SIGHUP reload. Needs the main thread's loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    def _leave(self) -> None:
        """End in order; what does not end within `LEAVE_S` is named, and then everything ends."""
        loop = asyncio.get_running_loop()
        if not self._end.is_set():
            timer = threading.Timer(LEAVE_S, _leave_at_once, [loop])
            timer.daemon = True
            timer.start()
        self.end()

    async def _start(self) -> None:
        config, policy = self.loaded.config, self.loaded.policy
        watched = (
            f"{len(policy.catalog.enabled)} services, {len(config.expect)} expectation{'s' * (len(config.expect) != 1)}"
        )
        log.info("dnswatch %s, %s: %s, feeds: %s", __version__, self.config_path, watched, config.feeds.mode)
        for problem in config.warnings:
            log.warning("%s", problem)
        saved = await self.store.load()
        self.engine.restore(saved.rows)
        self.blind_spots.restore(saved.health)
        self.watch.restore(saved.health)
        health = self.blind_spots, self.watch
        self.ledger = Ledger(self.engine, self.store, lambda: self.following.states(), health)
        self.following = Following(self.engine, self.ledger, self.store, self._spawn, self.watch.lost_before,
                                   config.state_dir / "automata")  # fmt: skip
        self.watch.follow(self.following.readers)
        self.following.begin(saved.positions)
        self.primary = Primary(self.store, self.blind_spots)
        self.upkeep = Housekeeping(lambda: self.loaded, self.engine, self.store, self.jobs, self.feeds, self.primary,
                                   self.blind_spots)  # fmt: skip
        self.ledger.decided = lambda: self.jobs.now("feeds")
        self.upkeep.plan(self.following.look, lambda: list(self.couriers))
        await self.upkeep.refresh_leases()
        await self._set_sinks(self.loaded)
        self._checkpoints = self._spawn(self.ledger.task.run())
        await self._follow(self.loaded)  # alerts come first: all else may take seconds
        await self.upkeep.publishing.begin()  # before anybody can ask: a list that is not there is an empty one to some
        await self._listen(config, policy)
        self.jobs.start()
        systemd.ready(self._watching())
        self.is_ready.set()
        log.info("ready")

    def _watching(self) -> str:
        count = len(self.following.readers)
        return f"watching {count} log{'s' * (count != 1)}"

    async def _serve(self) -> None:
        """Wait for the end, reloading when asked."""
        end = self._spawn(self._wait(self._end))
        while not end.done():
            asked = self._spawn(self._wait(self._reload_asked))
            await asyncio.wait([end, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if self._reload_asked.is_set() and not end.done():
                self._reload_asked.clear()
                await self._reload()

    @staticmethod
    async def _wait(event: asyncio.Event) -> None:
        await event.wait()

    async def _until_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for what may take long, but not when all ends."""
        tasks = self._spawn(work), self._spawn(self._wait(self._end))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(work)

    async def _stop(self, ticks: Iterable[asyncio.Task[None]]) -> None:
        """Leave in order: stop reading, store everything, hand over what sinks take in time. Within 10 s."""
        log.info("stopping")
        systemd.notify(STOPPING=1)
        for task in ticks:
            task.cancel()
        await self.following.stop()
        self._checkpoints.cancel()
        await asyncio.wait([self._checkpoints])
        try:
            await self.ledger.commit(final=True)
        except OSError as error:
            log.error("the last checkpoint failed: %s; the lines since the one before are read again", describe(error))
        await self.upkeep.stop()
        await asyncio.gather(self.jobs.stop(), *(courier.stop() for _, courier in self.couriers.values()))
        if self.web is not None:
            await self.web.stop()
        await self.primary.stop()
        with suppress(OSError):
            await self._look_at_the_outbox()
            rows = self.rows()
            rows["run"]["stopped_at"] = time.time()
            await self.store.save_status(rows)

    # ── Configuration ─────────────────────────────────────────────────────────────────────────────────────────

    async def _reload(self) -> None:
        """Validate everything, then swap; on an error everything stays as it is and the log says why."""
        systemd.reloading()
        self.reloads.asked += 1
        try:
            await self._until_end(read_ahead(self.config_path, self.loaded.policy))
            if self._end.is_set():
                return
            loaded = await asyncio.to_thread(load_policy, self.config_path)
            loaded.config.require_sources()
            await self._listen(loaded.config, loaded.policy)
        except ConfigError as error:
            for problem in error.problems[1:]:
                log.error("%s", problem)
            more = f", and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
            self._reload_failed(f"{error.problems[0]}{more}")
        except DnswatchError as error:
            self._reload_failed(str(error))
        except OSError as error:
            self._reload_later(error)
        else:
            try:
                await self._swap(loaded)
            except OSError as error:  # every step can be done again
                self._reload_later(error)
            else:
                self.reloads.error = ""
                self.reloads.at = time.time()
                log.info("reloaded %s", self.config_path)
        self.reloads.done += 1
        systemd.ready(self._watching())

    def _reload_failed(self, why: str) -> None:
        self.reloads.error = why
        log.error("the new configuration is not used, the old one stays: %s", why)

    def _reload_later(self, error: OSError) -> None:
        self._reload_failed(f"{describe(error)}; trying again in {RELOAD_AGAIN_S:.0f} s")
        asyncio.get_running_loop().call_later(RELOAD_AGAIN_S, self._reload_asked.set)

    async def _swap(self, loaded: Loaded) -> None:
        before, config = self.loaded.config, loaded.config
        if config.state_dir != before.state_dir:
            log.warning("state_dir stays %s until a restart", before.state_dir)
        for problem in config.warnings:
            log.warning("%s", problem)
        self.loaded = loaded
        self.feeds.require(token.reveal() for token in config.http.tokens)
        if config.http.listen is None and self.web is not None:
            await self.web.stop()
            self.web = None
        await self.upkeep.refresh_leases()
        self.jobs.now("feeds")  # beside the logs: both may take seconds of work in a child
        await self._follow(loaded)
        await self._set_sinks(loaded)

    async def _listen(self, config: Config, policy: Policy) -> None:
        """Serve HTTP and zones where the configuration says from now on, and only then no longer elsewhere.

        Both or neither: raises `StateError` or `OSError`, and nothing has changed then.
        """
        web = await self._open_http(config)
        try:
            await self.primary.configure(config, later=is_large(policy))
        except (StateError, OSError):
            if web is not None:
                await web.stop()
                await self._reopen_http()
            raise
        if web is None:
            return
        if self.web is not None:
            await self.web.stop()
        self.web = web
        for host, port in web.addresses():
            log.info(
                "HTTP on http://%s:%d (healthz, readyz, metrics, feeds)", f"[{host}]" if ":" in host else host, port
            )

    async def _open_http(self, config: Config) -> Web | None:
        """Open HTTP where it is not open yet; None: there is nothing to open."""
        listen = config.http.listen
        if listen is None or (self.web is not None and listen == self.loaded.config.http.listen):
            return None
        from dnswatch.io.metrics import registry
        from dnswatch.io.web.app import Web

        web = Web(self, registry(__version__, self.rows), self.feeds)
        if self.web is not None and split_listen(listen).port in (port for _, port in self.web.addresses()):
            await self.web.stop()  # 127.0.0.1 and 0.0.0.0 cannot both have a port
        try:
            await web.start(listen)
        except StateError as error:
            await self._reopen_http()
            if "listen" in config.http.model_fields_set:
                raise
            log.error("%s. Going on without HTTP", error)  # nobody asked for it: no reason not to watch
            return None
        return web

    async def _reopen_http(self) -> None:
        """Listen again where HTTP was closed for a new address that could not be had."""
        before = self.loaded.config.http.listen
        if self.web is not None and before is not None and not self.web.addresses():
            await self.web.start(before)

    async def _follow(self, loaded: Loaded) -> None:
        """Follow the logs, and store where each was begun: a crash must not make the end begin later."""
        await self.following.follow(loaded.config.sources, loaded.policy)
        try:
            await self.ledger.commit()
        except OSError as error:
            log.warning("checkpoint: %s; trying again", describe(error))

    async def _set_sinks(self, loaded: Loaded) -> None:
        """Run a courier for every sink of the configuration; those whose settings stay are not touched."""
        sensor = loaded.config.sensor or socket.gethostname()
        triage = triage_of(loaded.policy.catalog, loaded.config.lang)
        wanted = {settings.id: (sensor, loaded.config.lang, settings) for settings in loaded.config.sinks}
        for name, (settings, courier) in list(self.couriers.items()):
            if wanted.get(name) != settings:
                await courier.stop(drain=False)
                del self.couriers[name]
        for name, (_, _, settings) in wanted.items():
            if name in self.couriers:
                continue
            courier = Courier(
                self.store, name, SINKS[settings.type](settings, sensor, triage), settings.min_severity,
                Bounds(settings.max_rows, settings.max_age, self.blind_spots),
            )  # fmt: skip
            await courier.start()
            self.couriers[name] = (wanted[name], courier)
            log.info("sink %s: %s as %s, from severity %s", name, settings.type, settings.format, settings.min_severity)
        self.ledger.on_revision([courier.wake for _, courier in self.couriers.values()])

    # ── Ticks ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        """Let log time follow the clock once everything has been read, and keep an eye on the loop."""
        every_s = systemd.watchdog_s()
        alive_at, fed_at = 0.0, time.monotonic()
        while True:
            before = time.monotonic()
            if self.ledger.fed.is_set():
                self.ledger.fed.clear()
                fed_at = before
            await self._pause(TICK_S if before - fed_at < QUIET_S else until_beat())
            self.following.tell()
            self.blind_spots.tick()
            now = time.time()
            log_now = self.following.log_now(now)
            if log_now is not None and self.loop_lag_s < STANDSTILL_S:
                self.ledger.note(self.engine.advance(log_now, now), 0)
            if every_s is not None and before - alive_at >= every_s:
                systemd.notify(WATCHDOG=1)
                alive_at = before

    async def _pause(self, pause_s: float) -> None:
        """Wait, a long pause only until a line comes; note by how much too long it was."""
        before = time.monotonic()
        with suppress(TimeoutError):
            if pause_s > TICK_S:
                async with asyncio.timeout(pause_s):
                    await self.ledger.fed.wait()
            else:
                await asyncio.sleep(pause_s)
        self.loop_lag_s = max(time.monotonic() - before - pause_s, 0.0)

    async def _keep_status(self) -> None:
        writings, waiting = Writings(self.store.path), True
        told, told_at = "", 0.0
        while True:
            self.watch.look((self.loaded.config.state_dir, self.loaded.config.feeds_directory))
            with suppress(OSError):  # the checkpoint says it when the store cannot be written
                if writings.since() or waiting:  # what waits grows older
                    waiting = True
                    waiting = await self._look_at_the_outbox()
                rows = self.rows()
                now = _telling(rows)
                if now != told or time.monotonic() - told_at >= STATUS_IDLE_S:
                    await self.store.save_status(rows)
                    told, told_at = now, time.monotonic()
            await asyncio.sleep(until_beat(STATUS_S))

    async def _look_at_the_outbox(self) -> bool:
        """Let couriers know what waits for them; say whether anything does."""
        backlog = await self.store.backlog()
        for name, (_, courier) in self.couriers.items():
            if name in backlog:
                courier.look(backlog[name])
        return any(one.rows or one.asked for one in backlog.values())

    # ── Showing ───────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self) -> dict[str, dict[str, Any]]:
        """Give the status rows: `status`, metrics and readiness all show these."""
        rows: dict[str, dict[str, Any]] = {
            "run": {
                "pid": os.getpid(), "version": __version__, "config": str(self.config_path),
                "started_at": self.started_at, "stopped_at": None, "ready": not self.unready(),
                "unready": self.unready(), "feeds_mode": self.loaded.policy.feeds.mode,
                "reloads": self.reloads.asked, "reload_error": self.reloads.error,
                "reload_ok": int(not self.reloads.error), "reloaded_at": self.reloads.at,
                "checkpoints": self.ledger.commits, "checkpoint_at": self.ledger.committed_at,
                "checkpoint_s": round(self.ledger.commit_s, 4), "checkpoint_error": self.ledger.task.error,
                "checkpoint_failures": self.ledger.task.failures, "revisions": self.ledger.revisions,
                "loop_lag_s": round(self.loop_lag_s, 4), "http_requests": self.web.requests if self.web else 0,
                "http": [f"{host}:{port}" for host, port in self.web.addresses()] if self.web else [],
            },
            "engine": {
                "log_now": self.engine.log_now, "counters": dict(sorted(self.engine.counters.items())),
                "sizes": {**self.engine.sizes(), "identity": len(self.engine.identity)},
                "alerts": dict(sorted(self.ledger.alerts.items())),
                "began_at": self.engine.history.began_at,
                "learning_s": self.loaded.policy.detection.learning_s,
            },
            "health": {"blind_spots": [list(one) for one in self.blind_spots.open() + self.engine.blind_spots()],
                       "untold": self.blind_spots.alarms.dropped},
            **self.following.rows(),
            **self.upkeep.feed_rows,
            **self.primary.rows(),
        }  # fmt: skip
        for name, (_, courier) in sorted(self.couriers.items()):
            rows[f"sink:{name}"] = courier.row()
        for name in self.jobs.names():
            rows[f"job:{name}"] = {
                "done": self.jobs.done[name], "failed": self.jobs.failed[name], "missed": self.jobs.missed[name],
                "error": self.jobs.errors.get(name, ""),
            }  # fmt: skip
        return rows

    def unready(self) -> list[str]:
        """Say why not everything works: the store, the logs, the feeds. A sink that is down is not our unreadiness."""
        reasons = []
        if self.ledger.task.error:
            reasons.append(f"checkpoints fail: {self.ledger.task.error}")
        if not self.following.readers:
            reasons.append("no log matches the configured sources")
        for name, reader in sorted(self.following.readers.items()):
            if waiting := reader.waiting():
                reasons.append(f"source {name}: {waiting}")
        if error := self.jobs.errors.get("feeds"):
            reasons.append(f"feeds: {error}")
        elif not self.upkeep.feed_rows and self.loaded.policy.feeds.mode != "off":
            reasons.append("feeds are not published yet")
        return reasons


def _telling(rows: dict[str, dict[str, Any]]) -> str:
    """Give what of the status rows is worth writing: not what goes on by itself."""
    own = {"run": {"loop_lag_s", "checkpoints", "checkpoint_at", "checkpoint_s"}, "engine": {"log_now"}}
    kept = {
        name: {key: value for key, value in row.items()
               if key not in own.get(name, ()) and not (key == "done" and name.startswith("job:"))}
        for name, row in rows.items()
    }  # fmt: skip
    return json.dumps(kept, default=str)


def _leave_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Leave as a kill would: what is not stored yet is read again from the logs at the next start."""
    waiting = sorted(str(task.get_coro()).split(" at ")[0] for task in asyncio.all_tasks(loop))
    log.error("the end took more than %.0f s, leaving at once; what is not stored yet is read again; waited for: %s",
              LEAVE_S, ", ".join(waiting) or "the interpreter")  # fmt: skip
    os._exit(1)


def _cause(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give what ended the task group: an error for the user where there is one, else the first bug."""
    for one in failed.exceptions:
        inner = _cause(one) if isinstance(one, BaseExceptionGroup) else one
        if isinstance(inner, DnswatchError):
            return inner
    first = failed.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first
