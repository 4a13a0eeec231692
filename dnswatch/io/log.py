"""Our own log on stderr: short lines for people, priorities for the journal.

Names from query logs are hostile: everything is printed escaped, one line a record (a traceback of a bug of ours is
the exception). Never: alerts; those go to sinks. Read next: ``daemon.py``.
"""

from __future__ import annotations

import logging
import os
import sys
import time

PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class Lines(logging.Formatter):
    """``2026-11-22T10:15:00Z warning: text``; in the journal, which has its own clock, ``<4>text`` (sd-daemon(3))."""

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        text = escaped(record.getMessage())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if self._journal:
            priority = PRIORITY.get(record.levelno, 6)
            return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        level = "" if record.levelno == logging.INFO else f" {record.levelname.lower()}:"
        return f"{stamp}{level} {text}"


def escaped(text: str) -> str:
    """Show control and other unprintable characters as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def log_to_stderr(verbose: bool = False) -> None:
    """Send our log to stderr, and nothing of it to the root logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(in_journal()))
    ours = logging.getLogger("dnswatch")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.DEBUG if verbose else logging.INFO)
    ours.propagate = False


def in_journal() -> bool:
    """Say whether stderr is the journal: systemd names its device and inode (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        here = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(here.st_dev), str(here.st_ino))
