"""Every kind of blind spot: how grave it is, what it means at three in the morning, what to do about it.

A new kind is one entry here; who sees it calls ``BlindSpots.report`` and ``clear`` (``io/blind_spots.py``). Never:
decides when one is there. Read next: ``alarms.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from dnswatch.core.model import Severity

SETTLE_S = 60.0
"""A condition that is over is told as over after it has stayed so this long: flapping makes one alert, not many."""
EVENT_S = 600.0
"""What is seen as events, not as a condition (lines lost), is over when this long none came."""


class Kind(NamedTuple):
    """One kind of blind spot."""

    severity: Severity
    title: str  # what is wrong, in a few words
    about: str  # what its subject is: source, zone, sink, disk, consumer, feed, ""
    means: str  # what we do not see meanwhile
    act: str  # what to do, as an imperative sentence without its full stop
    settle_s: float = SETTLE_S


KINDS: dict[str, Kind] = {
    "client-flood": Kind(
        "high", "a flood of lookups by clients that nobody knows", "",
        "they are counted here only: a real client that was never seen before may hide among them, and whoever wants "
        "to hide may have sent them. Known clients, and the first that came, have alerts of their own",
        "look at the services and networks: see who asks, in the log; senders are forged, or a network is new. Let the "
        "server refuse strangers (BIND: allow-query), and the network forged senders (RFC 2827)",
        EVENT_S,
    ),
    "clock-jump": Kind(
        "medium", "a clock is wrong or was set", "",
        "lookups are dated wrong: sequences and rhythms around it cannot be trusted",
        "compare `date` with the newest line of the log; check NTP on both hosts and `timezone:` of the source", 300.0,
    ),
    "disk-full": Kind(
        "high", "a disk is nearly full", "disk",
        "once it is full no log is written and no alert can be stored",
        "make room, or move the directory; dnswatch goes on by itself and reads what was written meanwhile",
    ),
    "feed-capped": Kind(
        "medium", "a bound on what is cut off or blocked is reached", "feed",
        "whoever comes next is not cut off, or their tenant is not blocked; alerts are raised as ever",
        "see whether so many are right (`dnswatch feed quarantine list`, `dnswatch feed show`): lift what is settled "
        "(`feed quarantine remove`), raise the setting, or switch it off while somebody provokes it",
        0.0,
    ),
    "feed-not-live": Kind(
        "high", "a resolver does not answer from the newest feeds", "consumer",
        "what the policy blocks may pass there, and who is expected to pass may be blocked",
        "run `dnswatch status` and `dnswatch feed probe`; look at the resolver's log for the zones named here, and at "
        "its configuration (`dnswatch consumer-config`)",
        0.0,
    ),
    "feed-refused": Kind(
        "high", "a feed was refused", "zone",
        "the last good version stays served; newer policy is not in force",
        "run `dnswatch feed lint` and `dnswatch feed diff`, then correct the policy it names",
    ),
    "hook-failed": Kind(
        "high", "a resolver was not told of new zones", "feed",
        "it may go on blocking, or letting pass, by the version before",
        "run the command of feeds.on_change by hand as the user of dnswatch; it is tried again by itself", 0.0,
    ),
    "lag-growing": Kind(
        "medium", "a log grows faster than it is read", "source",
        "alerts come late, and what is rotated away before it is read is lost",
        "look at `dnswatch status` and the CPU and disk of this host; keep more rotated files (BIND: versions)",
    ),
    "lines-lost": Kind(
        "medium", "part of a log could not be read any more", "source",
        "lookups in it were not seen",
        "keep more rotated files, or rotate less often; `dnswatch status` shows what was lost and why", EVENT_S,
    ),
    "lines-skipped": Kind(
        "medium", "catching up was cut short as configured (catch_up)", "source",
        "lookups in the skipped part were not seen",
        "run `dnswatch scan` over the rotated files of that time", EVENT_S,
    ),
    "log-stuck": Kind(
        "high", "the server writes to a file that was rotated away", "source",
        "what is written there is read as long as it is open, and lost with the next restart of dnswatch",
        "make the server open its log anew (BIND: rndc reconfig; dnsmasq: SIGUSR2) and put that into logrotate's "
        "postrotate",
    ),
    "log-unreadable": Kind(
        "high", "a log cannot be read", "source",
        "no lookup of this source is seen",
        "look at the path and its permissions: the user of dnswatch needs the log's group",
    ),
    "outbox-full": Kind(
        "high", "alerts pile up for a sink", "sink",
        "nobody sees new alerts there; once max_rows or max_age is reached the oldest are dropped for this sink",
        "run `dnswatch sink list` and `dnswatch sink test`; delivery goes on by itself once it can be reached",
    ),
    "overflow": Kind(
        "medium", "the server could not log every line", "source",
        "the lookups it left out were not seen",
        "dnsmasq: raise log-async=100; syslog: raise its rate limit; BIND: log to a file instead", EVENT_S,
    ),
    "parse-drop": Kind(
        "high", "lines of a log do not parse any more", "source",
        "lookups in these lines are not seen",
        "run `dnswatch explain 'LINE'` on the line shown; set `type:` to what the server writes now, or let it write "
        "as before, and run `dnswatch scan` over what came meanwhile: it is not read again",
    ),
    "querylog-off": Kind(
        "high", "query logging is switched off", "source",
        "no lookup at this server is seen",
        "switch it on again (BIND: rndc querylog on; dnsmasq: log-queries=extra, restart) and ask who switched it off",
        0.0,
    ),
    "size-stop": Kind(
        "high", "the server has stopped logging at its size limit", "source",
        "no lookup at this server is seen until the file is moved away",
        "give BIND's channel `versions` beside `size`; move the file away now, and named logs on",
    ),
    "source-silent": Kind(
        "high", "a log has fallen silent", "source",
        "either nobody asks this server, or it does not log: lookups would not be seen",
        "send a query to the server and look for it in the log; then check its logging and the rotation",
        0.0,
    ),
}  # fmt: skip
