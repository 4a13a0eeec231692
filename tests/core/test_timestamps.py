"""Stamps become Unix seconds whatever they leave out: zone, year, fold, or everything."""

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs.timestamps import Stamps

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
NAIVE = st.datetimes(datetime(2001, 1, 1), datetime(2037, 12, 31))  # noqa: DTZ001 (the zone is given later)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


def bsd(when: datetime) -> bytes:
    """A stamp as ctime writes it, without the year; month names of the C locale."""
    return f"{MONTHS[when.month - 1]} {when.day:2d} {when:%H:%M:%S}".encode()


@pytest.mark.parametrize(
    ("second", "fraction", "offset"),
    [
        (b"22-Nov-2026 19:18:19", b".281", None),
        (b"2026-11-22T19:18:19", b".281", None),
        (b"2026-11-22T19:18:19", b".281", b"Z"),
        (b"2026-11-22T20:18:19", b".281", b"+01:00"),
        (b"2026-11-22T14:18:19", b".281000", b"-0500"),
        (b"Nov 22 19:18:19", b".281", None),
        (b"Sun Nov 22 19:18:19 2026", b".281000000", None),
    ],
)
def test_one_instant_in_every_form(second: bytes, fraction: bytes, offset: bytes | None) -> None:
    """BIND, ISO 8601, RFC 3164 and ctime stamps of one instant read the same."""
    assert Stamps(None, utc(2026, 11, 23)).read(second, fraction, offset) == pytest.approx(
        utc(2026, 11, 22, 19, 18, 19) + 0.281, abs=1e-6
    )


@pytest.mark.parametrize(
    ("second", "offset", "zoneless"),
    [
        (b"22-Nov-2026 19:18:19", None, True),
        (b"2026-11-22T19:18:19", None, True),
        (b"2026-11-22T19:18:19", b"Z", False),
        (b"2026-11-22T19:18:19", b"+02:00", False),
        (b"Nov 22 19:18:19", None, True),
        (None, None, False),
    ],
)
def test_stamps_without_a_zone_are_told(second: bytes | None, offset: bytes | None, zoneless: bool) -> None:
    """`zoneless` says that an assumption about the zone was made."""
    stamps = Stamps(None, utc(2026, 11, 23))
    stamps.read(second, None, offset)
    assert stamps.zoneless is zoneless


def test_the_zone_of_the_source_counts_only_where_the_stamp_has_none() -> None:
    """BIND's local stamp in New York and its UTC stamp of the same moment agree."""
    stamps = Stamps(NEW_YORK, utc(2026, 11, 23))
    assert stamps.read(b"22-Nov-2026 14:26:56") == stamps.read(b"2026-11-22T19:26:56", None, b"Z")


@pytest.mark.parametrize(
    "second",
    [
        b"31-Nov-2026 19:18:19",
        b"22-Nop-2026 19:18:19",
        b"22-Nov-2026 24:18:19",
        b"22-Nov-2026 19:18:75",
        b"22-Nov-0000 19:18:19",
        b"2026-13-22T19:18:19",
        b"Nov 31 19:18:19",
        b"Nox 22 19:18:19",
        b"Nov 22 19:60:19",
        b"Sun Nox 22 19:18:19 2026",
        b"",
        b"yesterday",
    ],
)
def test_unreadable_stamps_are_none(second: bytes) -> None:
    """A stamp that names no moment gives None, never an exception."""
    assert Stamps(BERLIN, utc(2026, 11, 23)).read(second) is None


@pytest.mark.parametrize("offset", [b"+25:00", b"UTC", b"+1:00", b"+99:99"])
def test_unreadable_offsets_are_none(offset: bytes) -> None:
    """An offset no zone has gives None."""
    assert Stamps(None, 0.0).read(b"2026-11-22T19:18:19", None, offset) is None


def test_a_leap_second_is_its_predecessor() -> None:
    """23:59:60 counts as 23:59:59, which is what Unix time can say."""
    assert Stamps(None, 0.0).read(b"2016-12-31T23:59:60", None, b"Z") == utc(2016, 12, 31, 23, 59, 59)


def test_lines_without_a_stamp_take_the_arrival_time() -> None:
    """BIND's print-time no and dnsmasq on stderr: the anchor at first, then what the caller sets."""
    stamps = Stamps(None, 1000.0)
    assert stamps.read(None) == 1000.0
    stamps.arrival = 2000.5
    assert stamps.read(None) == 2000.5


def test_a_line_that_lost_its_stamp_has_no_time() -> None:
    """Once stamps were seen, arrival and anchor are out: neither may move a log's clock to now; a restart knows it."""
    stamps = Stamps(None, utc(2026, 11, 23))
    stamps.arrival = utc(2026, 12, 24)
    at = stamps.read(b"22-Nov-2026 19:18:19")
    assert stamps.read(None) is None
    again = Stamps(None, 0.0)
    again.restore(json.loads(json.dumps(stamps.state())))
    assert again.read(None) is None
    assert again.read(b"22-Nov-2026 19:18:19") == at
    assert Stamps(None, 0.0).known(utc(2026, 11, 22)) == utc(2026, 11, 22)


def test_an_older_state_knows_by_its_last_stamp() -> None:
    """A state without the new word: a last stamp is proof of stamps."""
    for last, read in ((utc(2026, 11, 22), None), (None, 7.0)):
        stamps = Stamps(None, 7.0)
        stamps.restore({"anchor": 7.0, "last": last, "zoneless": False})
        assert stamps.read(None) == read


@pytest.mark.parametrize(("arrival", "expected"), [(utc(2026, 12, 24), utc(2026, 12, 24)), (None, utc(2026, 11, 22))])
def test_a_server_told_to_print_no_stamps_any_more_is_believed(arrival: float | None, expected: float) -> None:
    """A hundred lines in a row are no torn heads: arrival counts, in an old log the last stamp; until stamps return."""
    stamps = Stamps(None, 0.0)
    stamps.read(b"22-Nov-2026 00:00:00")
    stamps.arrival = arrival
    assert [stamps.read(None) for _ in range(99)] == [None] * 99
    assert stamps.read(None) == expected
    stamps.read(b"22-Nov-2026 00:00:00")
    assert stamps.read(None) is None


@pytest.mark.parametrize(
    ("anchor", "second", "expected"),
    [
        (utc(2026, 11, 22), b"Nov 22 19:00:00", utc(2026, 11, 22, 19)),  # later the same day
        (utc(2026, 11, 22), b"Nov 24 00:00:01", utc(2025, 11, 24, 0, 0, 1)),  # more than a day ahead
        (utc(2026, 1, 3), b"Dec 31 23:59:59", utc(2025, 12, 31, 23, 59, 59)),
        (utc(2025, 12, 31, 23), b"Jan  1 00:00:05", utc(2026, 1, 1, 0, 0, 5)),
        (utc(2026, 11, 22), b"Feb 29 12:00:00", utc(2024, 2, 29, 12)),
        (utc(2103, 6, 1), b"Feb 29 12:00:00", utc(2096, 2, 29, 12)),  # 2100 is no leap year
    ],
)
def test_the_anchor_dates_the_first_stamp_without_a_year(anchor: float, second: bytes, expected: float) -> None:
    """The latest year that puts the stamp at most a day after the anchor."""
    assert Stamps(None, anchor).read(second) == expected


def test_the_year_turns_between_lines() -> None:
    """December to January goes on into the next year, with a late line of December staying behind."""
    stamps = Stamps(None, utc(2025, 12, 31))
    seen = [
        stamps.read(text) for text in (b"Dec 31 23:59:58", b"Jan  1 00:00:01", b"Dec 31 23:59:59", b"Jan  2 08:00:00")
    ]
    assert seen == [utc(2025, 12, 31, 23, 59, 58), utc(2026, 1, 1, 0, 0, 1), utc(2025, 12, 31, 23, 59, 59),
                    utc(2026, 1, 2, 8)]  # fmt: skip


def test_a_file_of_several_years_stays_in_order() -> None:
    """Weekly lines of four years, leap day included, are each dated right from one anchor before the first."""
    stamps = Stamps(None, utc(2022, 11, 20))
    when = datetime(2022, 11, 20, 3, 4, 5, tzinfo=UTC)
    while when.year < 2027:
        assert stamps.read(bsd(when)) == when.timestamp()
        when += timedelta(days=5)


def test_a_clock_nobody_has_set_takes_the_time_of_the_line_before() -> None:
    """A router boots on 1 January (1970, or without a year) until NTP; its lines stay where they stand."""
    stamps = Stamps(None, utc(2026, 8, 1))
    assert stamps.read(b"Jul 30 10:00:00") == utc(2026, 7, 30, 10)
    assert stamps.read(b"Jan  1 00:00:30") == utc(2026, 7, 30, 10)
    assert stamps.read(b"Thu Jan  1 00:00:42 1970") == utc(2026, 7, 30, 10)
    assert stamps.read(b"Jul 30 10:01:00") == utc(2026, 7, 30, 10, 1)


def test_a_file_that_begins_before_ntp_is_dated_by_the_anchor() -> None:
    """A first line of 1 January does not become the reference for the year of the next."""
    stamps = Stamps(None, utc(2026, 8, 3))
    stamps.read(b"Jan  1 00:00:30")
    assert stamps.read(b"Aug  3 10:00:00") == utc(2026, 8, 3, 10)
    assert Stamps(None, 0.0).read(b"Thu Jan  1 00:00:42 1970") == 42.0


def test_new_year_is_a_real_day() -> None:
    """After a line of December the 1st of January is believed, even across quiet holidays."""
    stamps = Stamps(None, utc(2025, 12, 20))
    stamps.read(b"Dec 19 17:00:00")
    assert stamps.read(b"Jan  1 09:00:00") == utc(2026, 1, 1, 9)


def test_a_known_instant_corrects_the_year() -> None:
    """dnsmasq's ``time N`` outranks an anchor that was years off; within a day the zone decides, not the year."""
    stamps = Stamps(None, utc(2020, 1, 1))
    assert stamps.read(b"Nov 22 19:25:35") == utc(2019, 11, 22, 19, 25, 35)
    stamps.settle(utc(2026, 11, 22, 19, 25, 35))
    assert stamps.read(b"Nov 22 19:25:35") == utc(2026, 11, 22, 19, 25, 35)
    stamps.settle(utc(2026, 11, 22, 14, 25, 35))
    assert stamps.read(b"Nov 22 19:25:36") == utc(2026, 11, 22, 19, 25, 36)


def test_the_order_of_lines_picks_the_side_of_a_dst_fold() -> None:
    """Local stamps that go back by an hour are the second pass of that hour; a second's lateness is not."""
    stamps = Stamps(NEW_YORK, utc(2026, 11, 1))
    times = ["00:59:59", "01:10:00", "01:09:59", "01:59:59", "01:00:00", "01:30:00", "01:59:59", "02:00:00"]
    fold = utc(2026, 11, 1, 6)
    seen = [stamps.read(b"01-Nov-2026 " + text.encode()) for text in times]
    assert [at - fold for at in seen if at is not None] == [-3601, -3000, -3001, -1, 0, 1800, 3599, 3600]


def test_the_fold_is_found_without_a_year_too() -> None:
    """dnsmasq in Berlin: 02:00–03:00 happens twice on the last Sunday of October."""
    stamps = Stamps(BERLIN, utc(2026, 10, 26))
    texts = [b"Oct 25 02:59:00", b"Oct 25 02:01:00", b"Oct 25 03:00:00"]
    assert [stamps.read(text) for text in texts] == [
        utc(2026, 10, 25, 0, 59),
        utc(2026, 10, 25, 1, 1),
        utc(2026, 10, 25, 2),
    ]


def test_the_missing_hour_in_spring_is_readable() -> None:
    """A stamp inside the gap (a clock set by hand) still gives a time within that hour."""
    at = Stamps(BERLIN, 0.0).read(b"2026-03-29T02:30:00")
    assert at is not None
    assert abs(at - utc(2026, 3, 29, 1)) <= 3600


def test_state_survives_as_plain_data() -> None:
    """After a restart the year, the fold and the zone warning go on as before."""
    stamps = Stamps(NEW_YORK, utc(2026, 11, 1))
    stamps.read(b"Nov  1 01:59:59")
    again = Stamps(NEW_YORK, 0.0)
    again.restore(json.loads(json.dumps(stamps.state())))
    assert again.zoneless
    assert again.read(b"Nov  1 01:00:00") == stamps.read(b"Nov  1 01:00:00") == utc(2026, 11, 1, 6)
    assert Stamps(None, 5.0).state() == {
        "anchor": 5.0, "last": None, "zoneless": False, "stamped": False, "silent": 0,
    }  # fmt: skip


def test_stamps_travel_to_another_process() -> None:
    """Parsing may run in a worker: a pickled reader goes on where it was."""
    stamps = Stamps(BERLIN, utc(2026, 11, 1))
    stamps.read(b"Oct 31 10:00:00")
    again = pickle.loads(pickle.dumps(stamps))  # noqa: S301
    assert again.read(b"Oct 31 10:00:01") == stamps.read(b"Oct 31 10:00:01")


@settings(deadline=None, max_examples=200)
@given(NAIVE, st.integers(-14 * 60, 14 * 60))
def test_law_zoned_stamps_are_exact(when: datetime, minutes: int) -> None:
    """Any moment with any offset reads as that moment, to the second."""
    zone = timezone(timedelta(minutes=minutes))
    moment = when.replace(microsecond=0, tzinfo=zone)
    sign = "+" if minutes >= 0 else "-"
    offset = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}".encode()
    assert Stamps(BERLIN, 0.0).read(moment.strftime("%Y-%m-%dT%H:%M:%S").encode(), None, offset) == moment.timestamp()


@settings(deadline=None, max_examples=100)
@given(NAIVE, st.lists(st.integers(1, 150 * 86_400), max_size=12))
def test_law_year_less_stamps_follow_their_file(start: datetime, gaps: list[int]) -> None:
    """Lines in order, none more than five months after the last, keep their true year; boot days aside."""
    when = start.replace(microsecond=0, tzinfo=UTC)
    stamps = Stamps(None, when.timestamp() + 2 * 86_400)
    for gap in [0, *gaps]:
        when += timedelta(seconds=gap)
        if (when.month, when.day) in ((1, 1), (12, 31)):
            when += timedelta(days=2)
        assert stamps.read(bsd(when)) == when.timestamp()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=30), st.one_of(st.none(), st.binary(max_size=8)))
def test_law_no_bytes_raise(second: bytes, offset: bytes | None) -> None:
    """Whatever stands where a stamp belongs, the answer is a float or None."""
    assert isinstance(Stamps(NEW_YORK, 1e9).read(second, None, offset), float | None)
