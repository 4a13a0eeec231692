"""The monitor: each kind of blind spot is seen, told with what matters, over when it is over; nothing else is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dnswatch.core.health.alarms import Alarms
from dnswatch.core.health.kinds import KINDS
from dnswatch.core.health.monitor import HOST, Disk, Monitor, Seen
from dnswatch.core.health.profile import Profile
from dnswatch.core.logs.telling import Counts

LOG = "/var/log/named/query.log"
MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0
MIB = 1 << 20


class Site:
    """A log that is looked at every so often; what the monitor says goes to the table of alarms, as in the daemon."""

    def __init__(self, per_hour: Callable[[float], float] = lambda at: 600.0, **fixed: Any) -> None:
        self.monitor = Monitor()
        self.alarms = Alarms()
        self.now = MONDAY
        self.per_hour = per_hour
        self.fixed = fixed
        self.lines = 0.0
        self.told: list[tuple[str, str, str]] = []

    def look(self, **more: Any) -> None:
        """Look once now."""
        fields = {"source": LOG, "type": "bind", "at_end": True, "lines": self.lines, **self.fixed, **more}
        for one in self.monitor.look(Seen(**fields), self.now):
            say = self.alarms.report if one.holds else self.alarms.clear
            self._tell(say(one.kind, one.subject, one.text, self.now))
        self._tell(self.alarms.due(self.now))

    def _tell(self, made: Any) -> None:
        self.told += [(one.service, one.state, one.because[1].text) for one in made]

    def live(self, seconds: float, step_s: float = 30.0, **more: Any) -> "Site":
        """Let time go by, with the lines that come meanwhile."""
        end = self.now + seconds
        while self.now < end:
            self.now += step_s
            self.lines += self.per_hour(self.now) * step_s / HOUR
            self.look(**more)
        return self

    def dead(self, seconds: float, step_s: float = 30.0, **more: Any) -> "Site":
        """Let time go by without a line."""
        usual, self.per_hour = self.per_hour, lambda at: 0.0
        self.live(seconds, step_s, **more)
        self.per_hour = usual
        return self

    def restart(self) -> None:
        """Go on in a new process, from the rows that were stored."""
        rows = [(kind, key, row) for (kind, key), row in self.monitor.changes().items() if row]
        again = Alarms()
        again.restore(row for row in self.alarms.take_changes().values() if row)
        self.monitor, self.alarms, self.lines = Monitor(), again, 0.0
        self.monitor.restore(rows)

    def kinds(self) -> list[tuple[str, str]]:
        return [(kind, state) for kind, state, _ in self.told]


def office(at: float) -> float:
    """Lines per hour of an office: weekdays from 7 to 19 many, at night few, nothing on Sundays."""
    day = datetime.fromtimestamp(at, UTC)
    if day.weekday() == 6:
        return 0.0
    return 2400.0 if 7 <= day.hour < 19 else 40.0


# ── Silence ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_busy_log_that_falls_silent_is_told_within_minutes() -> None:
    """Two weeks of 600 lines an hour make 5 minutes of nothing strange; the first line ends it."""
    site = Site().live(15 * DAY, 60)
    assert site.told == []
    site.dead(10 * 60)
    ((kind, state, text),) = site.told
    assert (kind, state) == ("source-silent", "open")
    assert "at least 50 were to be expected" in text
    site.live(60)
    assert site.kinds()[1:] == [("source-silent", "closed")]


def test_quiet_sundays_nights_and_weekends_raise_nothing() -> None:
    """An office for five weeks from its very first day, a change of daylight saving in it."""
    site = Site(office).live(27 * DAY, 300)
    site.per_hour = lambda at: office(at + HOUR)  # from 29 March on local time is an hour earlier in UTC
    site.live(14 * DAY, 300)
    assert site.told == []


def test_the_same_silence_on_a_tuesday_is_told() -> None:
    """What is normal on a Sunday is not at ten on a weekday."""
    site = Site(office).live(22 * DAY + 10 * HOUR, 120)
    assert site.told == []
    assert site.dead(20 * 60).kinds() == [("source-silent", "open")]


def test_before_a_habit_is_known_the_longest_silence_counts() -> None:
    """In the second week: five minutes say nothing, an hour does."""
    site = Site().live(9 * DAY, 60)
    assert site.dead(50 * 60, 60).told == []
    assert site.dead(20 * 60, 60).kinds() == [("source-silent", "open")]
    assert "longest silence so far" in site.told[0][2]


def test_a_new_log_is_not_judged() -> None:
    """In the first week nobody can know, but three days are too long for anybody."""
    site = Site().live(HOUR)
    assert site.dead(62 * HOUR, 60).told == []
    assert site.dead(12 * HOUR, 60).kinds() == [("source-silent", "open")]


def test_a_restart_neither_ends_nor_repeats_a_silence() -> None:
    """The profile and the alert survive; only a line ends it."""
    site = Site().live(15 * DAY, 60).dead(20 * 60)
    site.restart()
    site.dead(HOUR)
    assert site.kinds() == [("source-silent", "open")]
    site.live(60)
    assert site.kinds() == [("source-silent", "open"), ("source-silent", "closed")]
    assert site.dead(10 * 60).kinds()[2:] == [("source-silent", "open")]  # and what was learned is known


def test_restarts_do_not_keep_it_from_learning() -> None:
    """Restarted every hour, in the middle of it: the hour goes on; what came meanwhile is no part of its habit."""
    site = Site()
    for _ in range(15 * 24):
        site.live(HOUR, 60)
        site.restart()
        site.now += 60  # down for a minute
        site.lines = 50_000.0  # caught up with before the first look
    assert site.told == []
    assert site.live(60, 2).dead(10 * 60).kinds() == [("source-silent", "open")]
    assert "at least 4" in site.told[0][2]


def test_an_hour_of_which_minutes_are_missing_is_not_learned() -> None:
    """Down for a quarter of an hour in each hour: nobody knows what is usual."""
    site = Site()
    for _ in range(15 * 24):
        site.live(HOUR - 900, 60)
        site.restart()
        site.now += 900
    assert site.live(60, 2).dead(10 * 60).told == []


def test_an_outage_is_no_habit() -> None:
    """A day of silence that was told does not make silence usual."""
    site = Site().live(21 * DAY, 120).dead(DAY, 120).live(7 * DAY, 120)
    assert len(site.told) == 2
    assert site.dead(10 * 60).kinds()[2:] == [("source-silent", "open")]


def test_downtime_and_its_backlog_raise_nothing() -> None:
    """Two days off, then an hour of catching up, in which nothing is learned either."""
    site = Site().live(15 * DAY, 60)
    site.restart()
    site.now += 2 * DAY
    site.live(HOUR, 2, at_end=False, lag_bytes=5 * MIB)
    site.live(10 * 60, 2)
    assert site.told == []


@pytest.mark.parametrize(("after", "expected"), [(60.0, [("source-silent", "open")]), ("off", [])])
def test_the_operator_knows_better(after: Any, expected: list[tuple[str, str]]) -> None:
    """`silent_after` counts from the first look on; `off` never tells."""
    assert Site(silent_after=after).dead(90).kinds() == expected
    assert Site(silent_after=after).live(15 * DAY, 60).dead(12 * 60).kinds() == expected


def test_profile_survives_as_plain_data() -> None:
    """What was learned is the same after a restart."""
    site = Site().live(15 * DAY, 300)
    ((_, row),) = site.monitor.changes().items()
    assert row
    assert Profile.of_row(row).row() == row


# ── What the server does ──────────────────────────────────────────────────────────────────────────────────────


def test_query_logging_switched_off_and_on() -> None:
    """named's own word, for as long as no newer query is seen."""
    site = Site().live(HOUR)
    off = site.now
    site.dead(120, logging=(off, False), asked=off - 1)
    assert site.kinds() == [("querylog-off", "open")]
    site.live(120, logging=(off + 100, True), asked=off - 1)
    assert site.kinds()[-1] == ("querylog-off", "closed")


def test_a_restart_without_query_logging() -> None:
    """dnsmasq restarted without log-queries says that it has started, and nothing more."""
    site = Site(type="dnsmasq").live(HOUR, 2)
    began = site.now
    site.live(60, 2, started=began, asked=began + 30)
    assert site.told == []
    site.dead(10 * 60, 2, started=began + 61, asked=began + 60)
    assert site.kinds() == [("querylog-off", "open")]


def test_a_restart_of_the_server_raises_nothing() -> None:
    """Neither at work nor at night, when the next query comes minutes later."""
    site = Site(lambda at: 60.0).live(DAY, 30)
    began = site.now
    site.dead(4 * 60, started=began, asked=began - 9).live(600, started=began, asked=began + 250)
    assert site.told == []


def test_a_size_limit_without_versions() -> None:
    """A file that just passed 100 MiB and does not grow; it grows again once it was moved away."""
    site = Site().live(HOUR, 2, size=50 * MIB + 4711)
    site.dead(10 * 60, 2, size=100 * MIB + 87, lag_bytes=0)
    assert [kind for kind, _, _ in site.told] == ["size-stop"]
    assert "size 100m" in site.told[0][2]
    site.live(120, 2, size=4711)
    assert site.kinds()[-1] == ("size-stop", "closed")


@pytest.mark.parametrize(
    "more", [{"rotated": True}, {"size": 100 * MIB + 5000}, {"type": "dnsmasq"}, {"size": 300}],
    ids=["versions", "not at a limit", "dnsmasq", "small"],
)  # fmt: skip
def test_what_is_no_size_limit(more: dict[str, Any]) -> None:
    """A quiet log is not a stopped one."""
    site = Site().live(HOUR, 2)
    site.dead(10 * 60, 2, **{"size": 100 * MIB + 87, **more})
    assert site.told == []


def test_lines_that_the_server_lost_are_one_alert_an_outbreak() -> None:
    """Overflow every few seconds is one alert; it is over ten minutes after the last."""
    site = Site().live(60)
    for lost in range(1, 100):
        site.live(4, 2, overflow=lost * 7)
    assert site.kinds()[0] == ("overflow", "open")
    assert len([one for one in site.kinds() if one[1] == "open"]) <= 2  # the tenth time is a revision
    site.live(700, overflow=99 * 7)
    assert site.kinds()[-1] == ("overflow", "closed")


# ── The file ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_log_is_told_after_a_while() -> None:
    """A rotation or a restart is no blind spot; half a minute is."""
    site = Site().live(HOUR)
    site.live(20, 2, waiting="no such file", at_end=False)
    site.live(60, 2)
    assert site.told == []
    site.dead(60, 2, waiting="no such file", at_end=False)
    assert site.kinds() == [("log-unreadable", "open")]
    site.live(120, 2)
    assert site.kinds()[-1] == ("log-unreadable", "closed")


def test_a_server_that_writes_on_into_the_rotated_file() -> None:
    """The path is empty or gone, the old file grows: for dnsmasq only after its TCP children are done."""
    site = Site(type="dnsmasq").live(HOUR)
    site.live(150, 2, late_s=149.0, waiting="", held=True)
    assert site.told == []
    site.live(10, 2, late_s=161.0, waiting="empty while query.log.1 is still written", held=True)
    assert site.kinds() == [("log-stuck", "open")]
    other = Site().live(HOUR)
    other.live(60, 2, waiting="no such file; still reading what was query.log.1", held=True)
    assert other.kinds() == [("log-stuck", "open")]


def test_lines_that_do_not_parse_any_more() -> None:
    """From all to one in two; well again at the usual ratio."""
    site = Site()
    good = 0
    for _ in range(10):
        good += 50
        site.live(60, parsed=Counts(good))
    assert site.told == []
    site.live(60, parsed=Counts(good + 25, 25))
    ((kind, _, text),) = site.told
    assert (kind, text.split(": ")[1]) == ("parse-drop", "50% of the sampled lines parse, 100% are usual")
    site.live(200, parsed=Counts(good + 125, 25))
    assert site.kinds()[-1] == ("parse-drop", "closed")


def test_a_log_of_another_format_becomes_right_slowly() -> None:
    """Enough lines for its share to be well come before it is no longer held to be of another format."""
    site = Site().live(60, parsed=Counts(0, 40), wrong_format="no bind line")
    assert site.kinds() == [("parse-drop", "open")]
    for good in range(0, 40, 2):
        site.live(4, parsed=Counts(good, 40), wrong_format="no bind line" if good < 20 else "")
    site.live(120, parsed=Counts(40, 40), wrong_format="")
    assert site.kinds() == [("parse-drop", "open"), ("parse-drop", "closed")]


def test_a_log_that_always_holds_other_lines_is_well() -> None:
    """A file shared with other messages: its own ratio is usual."""
    site = Site()
    for n in range(1, 40):
        site.live(60, parsed=Counts(30 * n, 20 * n))
    assert site.told == []


def test_lost_parts_and_skipped_ones_are_told() -> None:
    """Rotated away before it was read; left out by catch_up."""
    site = Site().live(60)
    site.live(2, 2, lost={"rotated away before it was read": 1})
    site.live(2, 2, lost={"rotated away before it was read": 1}, skipped=3 * MIB)
    assert site.kinds() == [("lines-lost", "open"), ("lines-skipped", "open")]


def test_a_lag_that_grows_and_one_that_shrinks() -> None:
    """Five minutes of growth are told; a backlog after downtime, which shrinks, is not."""
    site = Site().live(60)
    for step in range(8):
        site.live(60, 2, at_end=False, lag_bytes=(2 + step) * MIB)
    assert site.kinds() == [("lag-growing", "open")]
    for step in range(4):
        site.live(60, 2, at_end=False, lag_bytes=(8 - step) * MIB)
    assert site.kinds()[-1] == ("lag-growing", "closed")
    other = Site().live(60)
    for step in range(30):
        other.live(60, 10, at_end=False, lag_bytes=(900 - 30 * step) * MIB)
    assert other.told == []


# ── Clocks and disks ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ahead_s", "words"), [(3600.0, "60 min ahead of"), (-7200.0, "2 h behind")])
def test_a_log_with_a_wrong_clock_or_zone(ahead_s: float, words: str) -> None:
    """All lines an hour off are told; one late line, or a burst of old ones, is not."""
    site = Site()
    for reads in range(1, 20):
        site.live(30, ahead_s=-0.1 if reads % 5 else ahead_s, reads=reads)
    assert site.told == []
    for reads in range(20, 40):
        site.live(30, ahead_s=ahead_s, reads=reads)
    assert words in site.told[0][2]
    site.live(400, ahead_s=-0.2, reads=41)
    assert site.kinds() == [("clock-jump", "open"), ("clock-jump", "closed")]


def test_our_own_clock_is_set() -> None:
    """A step of an hour is told, once, and makes no silence; drift is not."""
    site = Site().live(15 * DAY, 60)
    said = list(site.monitor.look_at_clock(site.now, 1000.0)) + list(site.monitor.look_at_clock(site.now + 2, 1001.5))
    assert said == []
    site.now += 6 * HOUR
    first, last = site.monitor.look_at_clock(site.now, 1003.5)
    assert (first.kind, first.subject, first.holds, last.holds) == ("clock-jump", HOST, True, False)
    assert "6 h" in first.text
    site.dead(60)
    assert site.told == []


def test_a_disk_that_fills_up() -> None:
    """Below 1 GiB and 3 %, or in a small one below 10 %; over with some room to spare."""
    monitor = Monitor()

    def full(free: float, total: float) -> bool:
        (said,) = monitor.look_at_disks([Disk("/var/log", int(free), int(total))])
        return said.holds

    gib = 1 << 30
    assert not full(2 * gib, 1000 * gib)
    assert full(0.9 * gib, 1000 * gib)
    assert full(1.1 * gib, 1000 * gib)  # not over yet
    assert not full(1.3 * gib, 1000 * gib)
    assert not full(8 * MIB, 32 * MIB)
    assert full(2 * MIB, 32 * MIB)


def test_a_log_that_is_not_followed_any_more_is_forgotten() -> None:
    """Its profile stays for the day it comes back."""
    site = Site().live(15 * DAY, 60)
    assert site.monitor.forget([]) == [LOG]
    site.live(60)
    assert site.dead(10 * 60).kinds() == [("source-silent", "open")]


def test_every_kind_tells_what_to_do() -> None:
    """Sorted, and each with a meaning and an act that end without a full stop (the sentence has it)."""
    assert list(KINDS) == sorted(KINDS)
    for kind in KINDS.values():
        assert kind.means
        assert kind.act
        assert not kind.act.endswith(".")
        assert not kind.means.endswith(".")
