"""Our own log: short lines, escaped, with priorities for the journal; and what systemd is told."""

import io
import logging
import os
import socket
import sys
from pathlib import Path

import pytest

from dnswatch.io import systemd
from dnswatch.io.log import Lines, escaped, in_journal, log_to_stderr


def record(level: int, text: str) -> logging.LogRecord:
    made = logging.LogRecord("dnswatch", level, "", 0, text, None, None)
    made.created = 1_795_000_000.5
    return made


def test_lines() -> None:
    """Time in UTC and the level where it is not plain information; the journal gets a priority instead."""
    assert Lines(False).format(record(logging.INFO, "ready")) == "2026-11-18T11:06:40Z ready"
    assert Lines(False).format(record(logging.WARNING, "x")) == "2026-11-18T11:06:40Z warning: x"
    assert Lines(True).format(record(logging.ERROR, "x")) == "<3>x"


def test_hostile_text_stays_on_its_line() -> None:
    """Control characters and newlines of names are shown as escapes."""
    assert escaped("a\nb\x1b[31m\u202e") == "a\\nb\\x1b[31m\\u202e"
    assert "\n" not in Lines(False).format(record(logging.INFO, "evil\n2026-11-18T11:06:40Z stopped"))


def test_traceback_of_a_bug_is_shown() -> None:
    """Only there a record has several lines, each with its priority in the journal."""
    try:
        raise KeyError("bug")
    except KeyError:
        made = record(logging.ERROR, "internal error")
        made.exc_info = sys.exc_info()
    lines = Lines(True).format(made).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


def test_journal_is_recognised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stderr is the journal when systemd's device and inode are those of our stderr."""
    with (tmp_path / "stderr").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        info = os.fstat(file.fileno())
        assert not in_journal()
        monkeypatch.setenv("JOURNAL_STREAM", f"{info.st_dev}:{info.st_ino}")
        assert in_journal()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not in_journal()


def test_only_our_log_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Other libraries' loggers stay as they are; a second call does not double lines."""
    ours = logging.getLogger("dnswatch")
    before = ours.handlers[:], ours.level, ours.propagate
    try:
        log_to_stderr()
        log_to_stderr()
        ours.info("hello")
        assert capsys.readouterr().err.count("hello") == 1
    finally:
        ours.handlers[:], ours.level, ours.propagate = before


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready, reloading with its stamp, watchdog interval; nothing without systemd, and a dead socket is no failure."""
    systemd.ready("nobody listens")
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    systemd.ready("nobody listens yet")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(1)
        systemd.ready("watching 2 logs")
        assert manager.recv(999) == b"READY=1\nSTATUS=watching 2 logs"
        systemd.reloading()
        assert manager.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert systemd.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert systemd.watchdog_s() == 15.0
