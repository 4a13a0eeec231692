"""What `feed lint` has to say: one flaw each.

Never: finds any. Read next: ``lint.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
"""Error: would not be published, or blocks what is expected. Warning: says less than it seems to. Note: as ordered."""


@dataclass(frozen=True, slots=True, order=True)
class Flaw:
    """One thing that lint has to say."""

    level: Level
    kind: str  # expected-blocked, refused, expired, contradiction, shadowed, empty, capped, future-serial, override
    subject: str  # entry, zone, client
    text: str
    where: str = ""  # file:line
