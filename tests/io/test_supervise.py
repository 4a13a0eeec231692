"""The retry loop: pauses grow, failures are told once, recovery is told, bugs do not kill a sink."""

import asyncio
import logging

import pytest

from dnswatch.errors import StateError
from dnswatch.io import supervise
from dnswatch.io.supervise import Supervised, describe


async def test_failures_are_told_once_and_recovery_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same failure again is not told again; working again is."""
    caplog.set_level(logging.INFO, "dnswatch")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    monkeypatch.setattr(supervise.random, "uniform", lambda low, high: high)
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise ConnectionRefusedError(111, "Connection refused")
        if tries == 5:
            raise StateError("something else")
        task.progress()

    task = Supervised("sink x", work, first_s=1, most_s=5)
    await task.run()
    assert pauses == [1, 2, 4, 5, 5]
    assert [record.getMessage() for record in caplog.records] == [
        "sink x: Connection refused; trying again",
        "sink x: something else; trying again",
        "sink x: works again after 0 s",
    ]
    assert (task.failures, task.error) == (5, "")


async def test_a_bug_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception restarts the work too, unless half done work must not go on."""
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise KeyError("bug")

    await Supervised("x", work, first_s=0).run()
    assert tries == 2
    assert any(record.exc_info for record in caplog.records)
    tries = 0
    with pytest.raises(KeyError):
        await Supervised("x", work, survives_bugs=False).run()


def test_errors_in_one_line() -> None:
    """Errors are described without Python's decoration."""
    assert describe(FileNotFoundError(2, "No such file or directory", "/x")) == "No such file or directory: /x"
    assert describe(TimeoutError()) == "no answer in time"
    assert describe(StateError("a\nb")) == "a; b"
    assert describe(ValueError()) == "ValueError"
