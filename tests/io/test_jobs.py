"""Periodic work: late jobs run, failing ones are told once and counted, the end waits for running ones."""

import asyncio
import logging

import pytest

from dnswatch.io.jobs import Jobs


async def test_jobs_run_and_failures_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A job that fails runs again at its next time; the same failure is told once."""
    caplog.set_level(logging.INFO, "dnswatch")
    jobs, runs, done = Jobs(), 0, asyncio.Event()

    async def shaky() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise OSError(13, "Permission denied", "/x")
        done.set()

    jobs.every("shaky", 0.02, shaky, first_s=0)
    jobs.start()
    async with asyncio.timeout(60):
        await done.wait()
        while jobs.done["shaky"] < 1:  # noqa: ASYNC110 (the scheduler tells after the job)
            await asyncio.sleep(0.005)
    await jobs.stop()
    assert jobs.failed["shaky"] == 2
    assert jobs.errors == {}
    told = [record.getMessage() for record in caplog.records]
    assert told == ["job shaky: Permission denied: /x", "job shaky: works again"]


async def test_a_late_job_runs_late() -> None:
    """After the loop was blocked past a job's time it runs once (the scheduler's default skips it)."""
    import time

    jobs, runs = Jobs(), []

    async def note() -> None:
        runs.append(1)

    jobs.every("late", 1.2, note)
    jobs.start()
    time.sleep(2.6)  # noqa: ASYNC251 (a machine that was suspended)
    async with asyncio.timeout(60):
        while not runs:  # noqa: ASYNC110 (the scheduler has no event for us)
            await asyncio.sleep(0.005)
    await jobs.stop()
    assert len(runs) == 1
    assert jobs.missed["late"] == 0


async def test_now_while_it_runs_is_once_more() -> None:
    """What changed after a job had looked is not left until its next time."""
    jobs, runs, may_end = Jobs(), [], asyncio.Event()

    async def look() -> None:
        runs.append(1)
        await may_end.wait()

    jobs.every("look", 3600, look, first_s=0)
    jobs.start()
    async with asyncio.timeout(60):
        while not runs:  # noqa: ASYNC110 (the scheduler has no event for us)
            await asyncio.sleep(0.005)
        jobs.now("look")
        jobs.now("look")
        await asyncio.sleep(0.02)
        may_end.set()
        while jobs.done["look"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await jobs.stop()
    assert len(runs) == 2


async def test_now_and_the_end() -> None:
    """A job can be asked to run at once, and the end waits for one that runs."""
    jobs, started, finished = Jobs(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(0.05)
        finished.set()

    jobs.every("slow", 3600, slow)
    jobs.daily("daily", 3, 17, slow)
    jobs.start()
    assert jobs.names() == ["daily", "slow"]
    jobs.now("slow")
    async with asyncio.timeout(60):
        await started.wait()
    await jobs.stop()
    assert finished.is_set()
    await jobs.stop()
