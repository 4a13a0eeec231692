"""Whether what comes still parses: every change of format is told, from every format, and no shared file is."""

from collections.abc import Iterable

import pytest

from dnswatch.core.health.parsing import LASTS_S, Parsing
from dnswatch.core.health.profile import Profile
from dnswatch.core.logs import formats
from dnswatch.core.logs.digest import Digest, Sampling
from dnswatch.core.logs.parsers import PARSERS
from dnswatch.core.logs.prescan import build_prescan
from dnswatch.core.logs.telling import Counts, Telling
from dnswatch.core.logs.timestamps import Stamps

NOW = 1_795_375_000.0
LOOK_S = 2.0
CRON = b"Nov 22 19:30:01 vm CRON[%d]: (root) CMD (test -x /usr/sbin/anacron)"
SSHD = b"Nov 22 19:30:01 vm sshd[%d]: Invalid user admin from 203.0.113.7 port 40022"
NAMED = (
    b"Nov 22 19:30:01 vm named[947]: client @0x7fa484f14098 10.0.0.%d#3851 (a.test): query: a.test IN A + (192.0.2.53)"
)
FORWARDED = b"Nov 22 19:23:16 dnsmasq[7607]: forwarded www.example.test to 192.0.2.%d"
STRANGE = {
    "its own stamp": b"23-Nov-2026 07:00:00.%03d LOOKUP src=10.0.0.7 name=a.example.test query: yes",
    "JSON": b'{"ts": "2026-11-23T07:00:00Z", "n": %d, "query": {"name": "a.example.test"}}',
    "prose": b"somebody asked for a.example.test, %d times",
    "another stamp": b"2026-11-23T07:00:00Z n=%d level=info query: a.example.test client=10.0.0.7",
    "syslog": b"Nov 23 07:00:00 vm resolver[%d]: lookup a.example.test from 10.0.0.7",
    "nothing but stamps": b"23-Nov-2026 07:00:00.%03d",
}


class Log:
    """A log that grows, is digested, and looked at every two seconds."""

    def __init__(self, kind: str, sample: Sampling = "all", profile: Profile | None = None) -> None:
        self.profile = profile or Profile()
        self.now = NOW
        self.parsing = Parsing(self.profile, self.now)
        self.telling = Telling(kind)
        self.at = 0
        self.open = False
        self.told: list[str] = []
        parser = PARSERS[kind](Stamps(None, NOW))
        parser.stamps.arrival = NOW
        self.digest = Digest(parser, build_prescan((), parser.literals, tails=parser.tails), sample)

    def write(self, *lines: bytes) -> "Log":
        """Let lines come, and look."""
        data = b"".join(line + b"\n" for line in lines)
        digested = self.digest.block(data, self.at)
        samples = digested.samples
        if self.digest.sample != "all":
            more = self.digest.glance(digested, data, self.at, self.telling.more(self.now))
            self.telling.looked(len(more))
            samples = samples + more
        self.telling.take(samples, data, self.at, "query.log")
        self.at += len(data)
        for holds, text in self.parsing.look(self.telling.counts, self.telling.describe, False, self.now):
            if holds and not self.open:
                self.told.append(text)
            self.open = holds
        self.now += LOOK_S
        return self

    def live(self, seconds: float, *lines: bytes) -> "Log":
        """Let the same lines come at each look."""
        for _ in range(int(seconds / LOOK_S)):
            self.write(*lines)
        return self


def numbered(line: bytes, count: int) -> list[bytes]:
    return [line % (n % 250 + 1) for n in range(count)]


KINDS = sorted(PARSERS)


@pytest.mark.parametrize("step", [0, 1, 4], ids=["itself", "the next", "the fourth"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_servers_lines_are_told(kind: str, step: int) -> None:
    """From each format to two others, with what it is now; over when the old one is back."""
    other = KINDS[(KINDS.index(kind) + step) % len(KINDS)]
    log = Log(kind).live(120, *[PARSERS[kind].example] * 40)
    assert log.telling.ratio == 1.0
    log.live(400, *[PARSERS[other].example] * 5)
    if kind == other:
        assert log.told == []
        return
    assert len(log.told) == 1
    assert log.telling.ratio == 0.0
    assert f"type: {other}" in log.told[0]
    assert "at byte" in log.told[0]
    log.live(60, *[PARSERS[kind].example] * 5)
    assert not log.open
    assert log.telling.ratio == 1.0


@pytest.mark.parametrize("sample", ["all", "position"])
@pytest.mark.parametrize("name", sorted(STRANGE))
def test_a_format_that_nobody_knows_is_told(name: str, sample: Sampling) -> None:
    """None of these lines holds a watched name; the text shows one of them."""
    lines = numbered(STRANGE[name], 100)
    log = Log("bind", sample).live(120, *[PARSERS["bind"].example] * 100)
    log.live(20, *lines)
    assert not log.open  # not at once: a rotation, a start
    log.live(300, *lines)
    assert len(log.told) == 1
    assert "100% are usual" in log.told[0] or "100% usually do" in log.told[0]
    assert any(formats.shown(line) in log.told[0] for line in lines)


def test_a_drop_lasts_before_it_is_told() -> None:
    """A stack trace of a thousand lines between lookups is no change of format; half of the lines for a minute is."""
    good = PARSERS["bind"].example
    log = Log("bind").live(60, *[good] * 40)
    log.write(*[b"\tat some.Class(File.java:17)"] * 1000).live(LASTS_S * 3, *[good] * 2)
    assert log.told == []
    log.live(60, *[good] * 10, *numbered(STRANGE["prose"], 10))
    assert len(log.told) == 1
    assert log.told[0].startswith("50% of the sampled lines parse, 100% are usual")
    assert "somebody asked" in log.told[0]


def test_where_the_lookups_stop_the_last_lines_tell() -> None:
    """400 lines of another format and then nothing at all: it is told all the same."""
    log = Log("bind").write(*[PARSERS["bind"].example] * 3300)
    log.write(*numbered(STRANGE["prose"], 400)).live(40)
    assert len(log.told) == 1


@pytest.mark.parametrize(("kind", "other"), [("bind", "unbound"), ("dnsmasq", "bind"), ("unbound", "bind")])
def test_a_quiet_logs_change_is_told_as_soon(kind: str, other: str) -> None:
    """A line every two seconds: far fewer than one in 8 KiB, so each is looked at besides the samples."""
    log = Log(kind, "position").live(120, PARSERS[kind].example).live(36, PARSERS[other].example)
    assert len(log.told) == 1
    assert PARSERS[other].example[:40].decode() in log.told[0]
    assert not log.live(60, PARSERS[kind].example).open


def test_a_burst_is_enough_to_know() -> None:
    """500 lines at once, later 500 of garbage at once."""
    log = Log("bind", "position").write(*[PARSERS["bind"].example] * 500).live(60)
    log.write(*numbered(b"%d lines of garbage", 500))
    assert log.told == []  # not at once: more may follow
    assert len(log.live(40).told) == 1


def test_few_lines_are_looked_at_besides_the_samples() -> None:
    """Twenty a second in the mean, forty at once, however much comes."""
    log = Log("bind", "position").live(60, *[PARSERS["bind"].example] * 1000)
    assert 0.9 <= (sum(log.telling.counts) - log.at / 8192) / (30 * 40) <= 1.0  # less those that are samples


# ── Shared files ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sample", ["all", "position"])
def test_a_shared_syslog_is_well(sample: Sampling) -> None:
    """Three lines in ten are lookups; a storm of sshd, and a night with cron alone."""
    mixed = [*numbered(NAMED, 30), *numbered(CRON, 35), *numbered(SSHD, 35)]
    log = Log("bind", sample).live(600, *mixed)
    log.live(300, *numbered(NAMED, 1), *numbered(SSHD, 400))
    for _ in range(8 * 60):
        log.now += 60
        log.write(*numbered(CRON, 3))
    assert log.told == []
    assert log.live(60, *mixed).telling.ratio in (1.0, None)


def test_a_shared_syslog_whose_server_changes_its_lines() -> None:
    """Other programs' lines hide nothing: named's own lines do not parse any more."""
    broken = b"Nov 22 19:30:01 vm named[947]: client @0x7fa484f14098 10.0.0.%d#3851 (a.test): query: a.test"
    log = Log("bind").live(600, *numbered(NAMED, 3), *numbered(CRON, 7))
    log.live(200, *numbered(broken, 3), *numbered(CRON, 7))
    assert len(log.told) == 1
    assert "named[947]" in log.told[0]


def test_a_shared_syslog_that_begins_with_others_lines() -> None:
    """Nothing is usual before the first lookups; what comes then is."""
    log = Log("bind").live(600, *numbered(CRON, 20)).live(60, *numbered(NAMED, 5), *numbered(CRON, 20))
    assert (log.told, log.profile.parsed) == ([], 1.0)


def test_the_servers_own_other_lines_are_well() -> None:
    """dnsmasq's ``forwarded`` may be any part of the log; a start of named takes its time."""
    log = Log("dnsmasq").live(600, *[PARSERS["dnsmasq"].example] * 10)
    log.live(600, PARSERS["dnsmasq"].example, *numbered(FORWARDED, 40))
    assert log.told == []
    loads = b"23-Nov-2026 07:00:00.%03d general: info: zone example.test/IN: loaded serial 1"
    log = Log("bind").live(600, *[PARSERS["bind"].example] * 10).live(50, *numbered(loads, 500))
    log.live(60, *[PARSERS["bind"].example] * 10)
    assert log.told == []


def test_a_night_with_the_servers_own_lines_alone_is_well() -> None:
    """A small network goes to bed; zones are transferred, or cron runs, every few minutes."""
    transfer = b"23-Nov-2026 07:00:00.%03d general: info: zone example.test/IN: Transfer started."
    for line, good in ((transfer, PARSERS["bind"].example), (CRON, NAMED % 7)):
        log = Log("bind", "position").live(600, *[good] * 5)
        for _ in range(80):
            log.now += 360
            log.write(*numbered(line, 2))
        assert log.told == []


def test_a_log_that_had_no_other_programs_lines() -> None:
    """A reboot: the kernel's lines alone for a minute, where there were lookups only."""
    kernel = b"Nov 22 19:30:01 vm kernel: [    0.%06d] pci 0000:00:1f.0: reg 0x10: [io 0x01]"
    log = Log("bind", "position").live(600, *[NAMED % 7] * 50).live(60, *numbered(kernel, 400))
    assert log.live(10, NAMED % 7).told == []


def test_a_quiet_log_waits_longer() -> None:
    """One lookup a minute, then a scanner's ten names that cannot be read: that is no change of format."""
    log = Log("bind")
    for _ in range(200):
        log.now += 60
        log.write(PARSERS["bind"].example)
    log.write(*numbered(STRANGE["prose"], 10)).live(120)
    log.write(PARSERS["bind"].example)
    assert log.told == []


# ── What is usual ─────────────────────────────────────────────────────────────────────────────────────────────


def looks(profile: Profile, ratios: Iterable[float]) -> list[str]:
    """Judge 40 lines a minute with these parse ratios; give what is told."""
    parsing, seen, now, told = Parsing(profile, NOW), Counts(), NOW, []
    for ratio in ratios:
        seen = seen.plus(Counts(round(40 * ratio), 40 - round(40 * ratio)))
        for _ in range(20):
            told += [text for holds, text in parsing.look(seen, lambda _: "", False, now) if holds]
            now += 3
    return told


def test_a_bad_beginning_is_not_usual() -> None:
    """What was never read rightly is told at once, and what it becomes then is usual."""
    profile = Profile()
    assert looks(profile, [0.3] * 3)[0] == "30% of the sampled lines parse, more were never seen"
    assert profile.row()["parsed"] is None
    assert looks(profile, [1.0] * 3) == []
    assert profile.row()["parsed"] == 1.0
    assert looks(profile, [0.3] * 3)[0] == "30% of the sampled lines parse, 100% are usual"


def test_what_gets_worse_bit_by_bit_is_told() -> None:
    """A percent an hour does not become usual before it is seen."""
    profile = Profile()
    assert looks(profile, [1.0 - 0.005 * n for n in range(120)])
    assert profile.parsed
    assert profile.parsed > 0.8


def test_what_gets_better_becomes_usual_soon() -> None:
    """A log that began with damage is not judged by it for long."""
    profile = Profile()
    assert looks(profile, [0.55, *[1.0] * 12]) == []
    assert profile.parsed
    assert profile.parsed > 0.95


def test_after_a_restart_the_usual_is_known() -> None:
    """A format that changed while nobody looked is told of the first lines."""
    before = Log("bind").live(120, *[PARSERS["bind"].example] * 40)
    again = Log("bind", profile=Profile.of_row(before.profile.row()))
    assert len(again.live(60, *numbered(STRANGE["prose"], 10)).told) == 1
