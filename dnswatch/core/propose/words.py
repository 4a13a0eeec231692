"""Words for counts, lists and times, as the lines and the evidence of a proposal write them; times are UTC.

Never: anything else. Read next: ``habits.py``.
"""

from __future__ import annotations

import datetime


def plural(count: int, word: str) -> str:
    """Give a noun for so many."""
    return word if count == 1 else word + "s"


def span(begin: str, end: str) -> str:
    """Write a span of time whose ends may be the same."""
    return begin if begin == end else f"{begin} to {end}"


def some(addresses: list[str], most: int = 5) -> str:
    """Write the first of a list, and how many more there are."""
    more = f" and {len(addresses) - most} more" if len(addresses) > most else ""
    return ", ".join(addresses[:most]) + more


def utc(at: float) -> datetime.datetime:
    """Give a time in UTC."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def day(at: float) -> str:
    """Write a day."""
    return f"{utc(at):%Y-%m-%d}"


def minute(at: float) -> str:
    """Write a time to the minute."""
    return f"{utc(at):%Y-%m-%d %H:%M}"
