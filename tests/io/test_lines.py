"""Lines as logs really hold them, through the whole daemon: what is between good lines harms none of them."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.running import InLoop, bind_line, soon


def good(number: int, ending: bytes = b"\n") -> bytes:
    """A line that opens an alert of its own client."""
    return bind_line("api.telegram.org", f"10.0.10.{number}", time.time() - 3600 + number).encode()[:-1] + ending


GARBAGE = b"\xff\xfe\xa0\x85 \xe2\x80\xa8 api.telegram.org \x1c\n"
FOREIGN = bind_line("b\u00fccher.example", "10.0.10.99").encode("latin-1")
LONG = b"x" * (500 << 10) + b" api.telegram.org " + b"y" * (500 << 10) + b"\n"


async def test_what_logs_hold_besides_lines(tmp_path: Path) -> None:
    """CRLF, runs of NUL bytes, a line of 1 MB, bytes that are no text: the lines around them count, each once."""
    running = InLoop(tmp_path)
    data = (
        good(1, b"\r\n") + good(2, b"\r\n") + b"\r\n\n" + b"\0" * 5000 + good(3) + GARBAGE + good(4) + LONG + good(5)
        + b"\0" * (300 << 10) + good(6) + FOREIGN + good(7) + b"\0" + good(8)
    )  # fmt: skip
    running.log.touch()
    async with running:
        with running.log.open("ab", buffering=0) as log:
            for start in range(0, len(data), 50_021):
                log.write(data[start : start + 50_021])
                await asyncio.sleep(0.005)
        await soon(lambda: len(running.alerts()) >= 8)
        weird = running.daemon.rows()[f"source:{running.log}"]["weird"]
    assert [one["client_ip"] for one in running.alerts()] == [f"10.0.10.{number}" for number in range(1, 9)]
    assert {one["count"] for one in running.alerts()} == {1}
    assert sum(weird.values()) >= 3, weird


async def test_an_unfinished_line_waits_across_restarts(tmp_path: Path) -> None:
    """``buffered yes``: a log ends inside a line for long; also inside one of 1 MB, and over a restart each."""
    running = InLoop(tmp_path)
    line, half = good(2), len(good(2)) // 2
    running.log.write_bytes(b"")
    with running.log.open("ab", buffering=0) as log:
        async with running:
            log.write(good(1) + line[:half])
            await soon(running.alerts)
        async with running:
            await asyncio.sleep(0.05)
            assert len(running.alerts()) == 1
            log.write(line[half:] + LONG[: 700 << 10])
            await soon(lambda: len(running.alerts()) == 2)
            reader = running.daemon.following.readers[str(running.log)]
            await soon(lambda: reader.position is not None and reader.position.offset > 600 << 10)
        async with running:
            log.write(LONG[700 << 10 :] + good(3))
            await soon(lambda: len(running.alerts()) == 3)
    assert [(one["client_ip"], one["count"]) for one in running.alerts()] == [
        (f"10.0.10.{number}", 1) for number in (1, 2, 3)
    ]


async def test_a_log_with_a_hole_for_a_beginning(tmp_path: Path) -> None:
    """copytruncate under a writer without O_APPEND: the file begins with as many NUL bytes as it was long before."""
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        with running.log.open("wb", buffering=0) as log:  # not O_APPEND: it goes on where it was
            log.write(good(1) * 1000)
            await soon(running.alerts)
            os.truncate(running.log, 0)
            log.write(good(2))
            await soon(lambda: len(running.alerts()) == 2)
    assert running.log.read_bytes().startswith(b"\0" * 1000)
    assert [one["client_ip"] for one in running.alerts()] == ["10.0.10.1", "10.0.10.2"]


async def test_what_dnsmasq_logs_hold_besides_lines(tmp_path: Path) -> None:
    """The same for lines with stamps to the second and without a year."""
    running = InLoop(tmp_path, sources=f"sources: [{{type: dnsmasq, path: {tmp_path}/query.log, timezone: UTC}}]")

    def line(number: int, ending: bytes = b"\n") -> bytes:
        stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(time.time() - 60 + number))
        said = f"{stamp} dnsmasq[1]: {number} 10.0.10.{number}/4711 query[A] api.telegram.org from 10.0.10.{number}"
        return said.encode() + ending

    data = (
        line(1, b"\r\n") + b"\r\n\n" + b"\0" * 5000 + line(2) + GARBAGE + line(3) + LONG + line(4)
        + b"\0" * (300 << 10) + line(5) + line(6).replace(b"api.telegram.org", b"b\xfccher.example") + line(7)[:-30]
    )  # fmt: skip
    running.log.touch()
    async with running:
        with running.log.open("ab", buffering=0) as log:
            for start in range(0, len(data), 50_021):
                log.write(data[start : start + 50_021])
                await asyncio.sleep(0.005)
            await soon(lambda: len(running.alerts()) >= 5)
            log.write(line(7)[-30:])
        await soon(lambda: len(running.alerts()) >= 6)
    assert [one["client_ip"] for one in running.alerts()] == [f"10.0.10.{number}" for number in (1, 2, 3, 4, 5, 7)]


async def test_a_name_with_a_final_dot(tmp_path: Path) -> None:
    """As `explain` reads it, so does the daemon: whoever ships BIND's lines may have written the name absolute."""
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        running.write(bind_line("api.telegram.org").replace("query: api.telegram.org", "query: api.telegram.org."))
        await soon(running.alerts)
    assert running.alerts()[0]["qname"] == "api.telegram.org"


async def test_the_estimate_of_lines_never_falls(tmp_path: Path) -> None:
    """Many short lines at once, then long ones one by one: what was estimated of the short ones stays."""
    running = InLoop(tmp_path)
    running.log.touch()
    async with running:
        reader = running.daemon.following.readers[str(running.log)]
        running.write("some text that is no query line\n" * 20_000)
        await soon(lambda: reader.counts["read_bytes"] == running.log.stat().st_size)
        counted = [reader.lines]
        for number in range(20):
            running.write(bind_line("www.example.org", f"10.0.0.{number}"))
            await soon(lambda: reader.counts["read_bytes"] == running.log.stat().st_size)
            counted.append(reader.lines)
        assert counted == sorted(counted)
        assert counted[0] == pytest.approx(20_000, rel=0.2)
