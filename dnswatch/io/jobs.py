"""Periodic work: the scheduler, and nothing else imports it.

Every job is an async function without arguments that a command can run too. A late job runs late, never not at all:
the scheduler's own default skips a job that a paused machine delayed by one second (delivery.md §7). Never: batching,
retries, deadlines of detection. Read next: ``daemon.py`` for which jobs there are.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from dnswatch.errors import DnswatchError
from dnswatch.io.beat import until_beat
from dnswatch.io.supervise import describe

STOP_S = 3.0
"""A job that runs at the end may finish for this long; the scheduler alone would cancel it."""

Job = Callable[[], Awaitable[None]]
log = logging.getLogger("dnswatch")


class Jobs:
    """Runs jobs in the current loop, in UTC, one instance of each at a time; counts what went wrong."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.errors: dict[str, str] = {}  # job → its last failure, until it works again
        self._running: dict[asyncio.Task[Any], str] = {}
        self._again: set[str] = set()  # asked for while they ran
        # Failures are told by us, in one line; "next run" lines interest nobody.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL + 1)
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
        self._scheduler.add_listener(self._heard, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def every(self, name: str, seconds: float, job: Job, *, first_s: float | None = None) -> None:
        """Run ``job`` every ``seconds``, the first time after ``first_s`` (default: one interval)."""
        after_s = seconds if first_s is None else first_s
        start = datetime.now(UTC) + timedelta(seconds=until_beat(after_s))
        self._scheduler.add_job(
            self._tracked(name, job), "interval", seconds=seconds, next_run_time=start, id=name, replace_existing=True
        )

    def daily(self, name: str, hour: int, minute: int, job: Job) -> None:
        """Run ``job`` once a day at this time, UTC."""
        self._scheduler.add_job(
            self._tracked(name, job), "cron", hour=hour, minute=minute, id=name, replace_existing=True
        )

    def now(self, name: str) -> None:
        """Run the job as soon as the loop is free, once more if it runs; its schedule goes on as before."""
        if name in self._running.values():  # the scheduler would leave it out until its next time
            self._again.add(name)
            return
        found = self._scheduler.get_job(name)
        if found is not None:
            found.modify(next_run_time=datetime.now(UTC))

    def names(self) -> list[str]:
        """Give the jobs' names, sorted."""
        return sorted(job.id for job in self._scheduler.get_jobs())

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Start no more jobs and let running ones finish, at most `STOP_S`."""
        if not self._scheduler.running:
            return
        self._scheduler.pause()
        if self._running:
            await asyncio.wait(set(self._running), timeout=STOP_S)
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # its shutdown is a callback of the loop

    def _tracked(self, name: str, job: Job) -> Job:
        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._running[task] = name
            try:
                await job()
            finally:
                del self._running[task]

        return run

    def _heard(self, event: Any) -> None:
        name = event.job_id
        if event.code == EVENT_JOB_MISSED:
            self.missed[name] += 1
            log.warning("job %s: missed its time", name)
        elif event.code == EVENT_JOB_EXECUTED:
            self.done[name] += 1
            if self.errors.pop(name, None):
                log.info("job %s: works again", name)
        elif not isinstance(event.exception, asyncio.CancelledError):  # the end of everything is no failure of a job
            error = event.exception
            self.failed[name] += 1
            known = isinstance(error, OSError | DnswatchError)
            said = describe(error) if known else f"internal error: {type(error).__name__}: {error}"
            if self.errors.get(name) != said:
                log.warning("job %s: %s", name, said)
                if not known:
                    log.error("job %s: internal error, please report it", name, exc_info=error)
            self.errors[name] = said
        if name in self._again:
            self._again.discard(name)
            self.now(name)
