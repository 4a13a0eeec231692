"""How whoever waits about a second waits: until the same moment as everybody else, so that the process wakes once.

A daemon with twenty idle logs would otherwise wake twenty times a second, each time for nothing. Never: makes anybody
wait for data; whoever can be woken by it is woken at once. Read next: ``tail.py``, ``ledger.py``.
"""

from __future__ import annotations

import math
import time

BEAT_S = 1.0
EARLY_S = 0.05
"""A timer may fire a little before its time: whoever then looked for the next beat would wake twice."""


def until_beat(about_s: float = BEAT_S) -> float:
    """Give the seconds to the last beat (whole second of the clock) that is at most ``about_s`` away.

    What is shorter than a beat stays as it is.
    """
    if about_s < BEAT_S:
        return about_s
    now = time.time()
    last = math.floor((now + about_s) / BEAT_S) * BEAT_S
    return last - now if last - now >= EARLY_S else last + BEAT_S - now
