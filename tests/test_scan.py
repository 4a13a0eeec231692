"""Scanning existing logs: same lines, same alerts, however they are packed, cut, named and interleaved."""

import gzip
import lzma
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dnswatch.core.alerts.plain import to_plain
from dnswatch.core.model import Alert
from dnswatch.core.policy import Policy
from dnswatch.errors import StateError
from dnswatch.io import blocks
from dnswatch.io.archive import discover
from dnswatch.io.store import FILE
from dnswatch.scan import Options, Scan, bare_policy
from tests.core.taps import CLIENT_RESPONSE, query, response, stream, tap


@pytest.fixture(scope="module")
def policy() -> Policy:
    return bare_policy()


def bind(at: float, client: str, name: str) -> str:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%d-%b-%Y %H:%M:%S.%f")[:-3]
    return f"{stamp} queries: info: client @0x7f {client}#38510 ({name}): query: {name} IN A + (127.0.0.1)\n"


def dnsmasq(at: float, client: str, name: str) -> str:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%b %e %H:%M:%S")
    return f"{stamp} dnsmasq[7607]: query[A] {name} from {client}\n"


T = 1_795_370_000.0
NAMES = ("api.telegram.org", "hooks.slack.com", "webhook.site", "example.net", "discord.com")
LINES = [bind(T + 60 * i, f"10.0.{i % 7}.{i % 5}", NAMES[i % 5]) for i in range(400)]


def run(policy: Policy, paths: Sequence[Path], options: Options | None = None) -> tuple[list[Alert], Scan]:
    scan = Scan(policy, discover([str(path) for path in paths]).families, options)
    return list(scan.revisions()), scan


def plain(alerts: Sequence[Alert]) -> list[dict[str, object]]:
    """Revisions without the paths of their evidence and timeline."""
    return [{**to_plain(alert), "evidence": None, "timeline": None} for alert in alerts]


@pytest.fixture
def whole(tmp_path: Path, policy: Policy) -> list[dict[str, object]]:
    path = tmp_path / "whole" / "query.log"
    path.parent.mkdir()
    path.write_text("".join(LINES))
    return plain(run(policy, [path])[0])


def test_finds_unexpected_clients(tmp_path: Path, policy: Policy) -> None:
    """One client, one service: an alert with its lines, in log time."""
    path = tmp_path / "query.log"
    path.write_text(bind(T, "10.0.0.1", "example.net") + bind(T + 1, "10.0.0.1", "webhook.site"))
    (alert,), scan = run(policy, [path])
    assert (alert.client.address, alert.qname, alert.first_at, alert.rev) == ("10.0.0.1", "webhook.site", T + 1, 1)
    assert alert.evidence[0].path == str(path)
    assert (scan.unexpected, scan.expected, scan.tally.files) == (1, 0, 1)


def test_rotated_and_packed_files_are_one_log(
    tmp_path: Path, policy: Policy, whole: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Split over rotated files of all kinds and read in small blocks: the same revisions as from one file."""
    parts = ["".join(LINES[i : i + 100]).encode() for i in range(0, 400, 100)]
    (tmp_path / "query.log.2.xz").write_bytes(lzma.compress(parts[0]))
    (tmp_path / "query.log.1.gz").write_bytes(gzip.compress(parts[1]))
    (tmp_path / "query.log.0").write_bytes(parts[2])
    (tmp_path / "query.log").write_bytes(parts[3])
    assert plain(run(policy, [tmp_path])[0]) == whole
    monkeypatch.setattr(blocks, "BLOCK", 70_000)
    assert plain(run(policy, [tmp_path])[0]) == whole


def test_first_stamps_have_the_last_word_on_order(
    tmp_path: Path, policy: Policy, whole: list[dict[str, object]]
) -> None:
    """Names that lie about the order (here: the lower the older) do not matter."""
    for number in range(4):
        (tmp_path / f"query.log.{number}").write_text("".join(LINES[number * 100 : number * 100 + 100]))
    alerts, scan = run(policy, [tmp_path])
    assert plain(alerts) == whole
    assert any("order of first stamps" in note for note in scan.tally.notes)


def test_logs_of_two_servers_are_woven_together(tmp_path: Path, policy: Policy) -> None:
    """Two logs with interleaved lines: revisions come in time order, whatever the directory says."""
    for server in range(2):
        folder = tmp_path / f"ns{server}"
        folder.mkdir()
        (folder / "query.log").write_text("".join(LINES[server::2]))
    alerts, scan = run(policy, [tmp_path / "ns1", tmp_path / "ns0"])
    assert [alert.at for alert in alerts] == sorted(alert.at for alert in alerts)
    assert scan.engine.counters["late"] == 0
    assert plain(alerts) == plain(run(policy, [tmp_path / "ns0", tmp_path / "ns1"])[0])


def test_years_come_from_the_file_or_the_option(tmp_path: Path, policy: Policy) -> None:
    """dnsmasq prints no year: the file's time of last change tells, ``--year`` overrules."""
    path = tmp_path / "dnsmasq.log"
    path.write_text(dnsmasq(T, "10.0.0.1", "webhook.site"))
    os.utime(path, (T + 60, T + 60))
    assert run(policy, [path])[0][0].first_at == T
    (alert,), _ = run(policy, [path], Options(year=2019))
    assert datetime.fromtimestamp(alert.first_at, UTC).year == 2019
    path.write_text(dnsmasq(datetime(2018, 1, 1, tzinfo=UTC).timestamp(), "10.0.0.1", "webhook.site"))
    (alert,), _ = run(policy, [path], Options(year=2018))
    assert datetime.fromtimestamp(alert.first_at, UTC) == datetime(2018, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("year", [None, 2017, 2026])
def test_lines_that_never_had_a_stamp_are_of_the_files_own_time(
    tmp_path: Path, policy: Policy, year: int | None
) -> None:
    """A bare CoreDNS log counts as of the last write to each of its files, whatever year is given."""
    line = '[INFO] 10.0.0.1:40312 - 54321 "A IN webhook.site. udp 45 false 1232" NOERROR qr,rd,ra 90 0.012s\n'
    for name, at in (("core.log.1", T - 86_400), ("core.log", T)):
        (tmp_path / name).write_text(line)
        os.utime(tmp_path / name, (at, at))
    alerts, done = run(policy, [tmp_path], Options(year=year))
    assert alerts[0].first_at == done.tally.first_at == T - 86_400
    assert done.tally.last_at == T
    assert not done.tally.notes
    assert not done.tally.weird


@pytest.mark.parametrize("written", [0.0, 315_532_800.0, T - 40 * 86_400])
def test_a_file_whose_own_date_is_not_of_its_last_write_is_read(tmp_path: Path, policy: Policy, written: float) -> None:
    """Archives give files 1970, 1980 or a day long past: its lines are believed, and a note says so."""
    path = tmp_path / "query.log"
    path.write_text(bind(T, "10.0.0.1", "example.net") + bind(T + 1, "10.0.0.1", "webhook.site"))
    os.utime(path, (written, written))
    alerts, done = run(policy, [path])
    assert [alert.first_at for alert in alerts] == [T + 1]
    assert not done.tally.weird
    assert bool(done.tally.notes) == (written == T - 40 * 86_400)


ANSWERS_ONLY = {
    "adguard": '{{"T":"2026-11-23T01:0{i}:00.0Z","QH":"{name}","QT":"A","QC":"IN","CP":"","Answer":"","Result":{{}},'
    '"Elapsed":100,"IP":"10.0.0.7"}}',
    "efficientip": "Nov 23 01:0{i}:00 ns named[1]: client @0x7f 10.0.0.7#4711 ({name}): answer: {name} IN A "
    "(192.0.2.53) -> NOERROR",
    "infoblox": "2026-11-23T01:0{i}:00.000Z daemon named[1]: 23-Nov-2026 01:0{i}:00.000 client 10.0.0.7#4711: UDP: "
    "query: {name} IN A response: NOERROR +A {name}. 30 IN A 192.0.2.1;",
    "suricata": '{{"timestamp":"2026-11-23T01:0{i}:00.000000+0000","event_type":"dns","src_ip":"10.0.0.53",'
    '"src_port":53,"dest_ip":"10.0.0.7","dest_port":4711,"proto":"UDP","dns":{{"version":2,"type":"answer","id":1,'
    '"rrname":"{name}","rrtype":"A","rcode":"NOERROR"}}}}',
    "unbound": "[179539560{i}] unbound[7:1] reply: 10.0.0.7 {name}. A IN NOERROR 0.000524 0 50",
}


@pytest.mark.parametrize("form", ANSWERS_ONLY)
@pytest.mark.parametrize("app", [True, False])
def test_a_log_of_answers_alone_tells_an_app_from_a_bot(form: str, app: bool, tmp_path: Path, policy: Policy) -> None:
    """Each answer is a lookup, also of the names that vouch for a client, which are no alerts themselves."""
    names = ("updates.discord.com" if app else "www.example.com", "discord.com", "www.example.com", "discord.com")
    lines = [ANSWERS_ONLY[form].format(i=i, name=name) for i, name in enumerate(names)]
    (tmp_path / "dns.log").write_text("\n".join(lines) + "\n")
    learned = replace(policy, detection=replace(policy.detection, learning_s=0.0))
    alerts, _ = run(learned, [tmp_path])
    assert {(alert.service, alert.client.address) for alert in alerts} == {("discord", "10.0.0.7")}
    assert any("runs an app of discord" in reason.text for reason in alerts[-1].because) == app


def test_formats_are_found_file_by_file(tmp_path: Path, policy: Policy) -> None:
    """A directory with two formats and files that are no DNS logs: those are skipped with a word."""
    (tmp_path / "query.log").write_text("".join(LINES[:20]))
    (tmp_path / "dnsmasq.log").write_text(dnsmasq(T, "10.9.0.1", "webhook.site"))
    (tmp_path / "README").write_text("These are logs.\n")
    (tmp_path / "core").write_bytes(os.urandom(5000))
    (tmp_path / "empty.log").touch()
    alerts, scan = run(policy, [tmp_path])
    assert scan.tally.formats == {"bind": 1, "dnsmasq": 1}
    assert any(alert.client.address == "10.9.0.1" for alert in alerts)
    assert {Path(path).name: why.split(":")[0].split(" that")[0] for path, why in scan.tally.skipped} == {
        "README": "no DNS log", "core": "no DNS log", "empty.log": "empty",
    }  # fmt: skip


def test_a_truncated_archive_is_analysed_as_far_as_it_goes(tmp_path: Path, policy: Policy) -> None:
    """What is there counts, and the note says that more was."""
    noise = "".join(bind(T + i, f"10.1.{i % 251}.{i % 13}", f"{os.urandom(8).hex()}.net") for i in range(3000))
    packed = gzip.compress((LINES[0] + noise).encode())
    (tmp_path / "query.log.1.gz").write_bytes(packed[: len(packed) // 2])
    alerts, scan = run(policy, [tmp_path])
    assert alerts[0].qname == "api.telegram.org"
    assert any("ends early" in note for note in scan.tally.notes)


def test_an_unfinished_last_line_is_counted(tmp_path: Path, policy: Policy) -> None:
    """No newline at the end: perhaps half a line, so it is not judged."""
    (tmp_path / "query.log").write_text(LINES[0] + LINES[1].rstrip())
    _, scan = run(policy, [tmp_path])
    assert scan.tally.weird == {"unfinished last line": 1}


def test_episodes_stay_open_at_the_end(tmp_path: Path, policy: Policy) -> None:
    """The clock does not close what happened years ago; only log time does."""
    old = datetime(2011, 5, 1, tzinfo=UTC).timestamp()
    (tmp_path / "query.log").write_text(bind(old, "10.0.0.1", "webhook.site"))
    _, scan = run(policy, [tmp_path])
    assert [alert.state for alert in scan.alerts.values()] == ["open"]


def test_state_is_kept_and_begun_with(tmp_path: Path, policy: Policy, whole: list[dict[str, object]]) -> None:
    """Half of the logs, then the other half on its state: the revisions of both are those of the whole."""
    for name, lines in (("a.log", LINES[:200]), ("b.log", LINES[200:])):
        (tmp_path / name).write_text("".join(lines))
    state = tmp_path / "state"
    first, _ = run(policy, [tmp_path / "a.log"], Options(state=state))
    before = (state / FILE).read_bytes()
    second, _ = run(policy, [tmp_path / "b.log"], Options(from_state=state))
    assert [(a["id"], a["rev"], a["severity"], a["count"]) for a in plain([*first, *second])] == [
        (a["id"], a["rev"], a["severity"], a["count"]) for a in whole
    ]
    assert (state / FILE).read_bytes() == before, "from_state is only read"
    with pytest.raises(StateError, match="exists"):
        run(policy, [tmp_path / "b.log"], Options(state=state))
    with pytest.raises(StateError):
        run(policy, [tmp_path / "b.log"], Options(from_state=tmp_path / "nothing"))


@pytest.mark.parametrize("torn", range(4))
@pytest.mark.parametrize("write", [bind, dnsmasq])
def test_a_line_that_lost_its_stamp_moves_no_time(
    tmp_path: Path, policy: Policy, torn: int, write: Callable[[float, str, str], str]
) -> None:
    """Wherever it stands, the first line too: one open alert in log time, not closed by the file's last change."""
    lines = [write(T - 40 * 86_400 + 60 * i, f"10.9.9.{i}", "api.telegram.org") for i in range(4)]
    lines[torn] = lines[torn][lines[torn].index("client @" if write is bind else "dnsmasq[") :]
    path = tmp_path / "query.log"
    path.write_text("".join(lines))
    os.utime(path, (T, T))
    alerts, scan = run(policy, [path])
    assert [(alert.client.address, alert.rev, alert.state) for alert in alerts] == [
        (f"10.9.9.{i}", 1, "open") for i in range(4) if i != torn
    ]
    assert max(alert.at for alert in alerts) < T - 39 * 86_400
    assert scan.tally.weird == {"no stamp": 1}


def test_alerts_stand_at_the_end_as_they_do_there(tmp_path: Path, policy: Policy) -> None:
    """Between revisions lookups are counted: the result shows the last of 600, the stream had 1, 10 and 100."""
    path = tmp_path / "query.log"
    path.write_text("".join(bind(T + 30 * i, "10.0.0.1", "webhook.site") for i in range(600)))
    alerts, scan = run(policy, [path])
    (alert,) = scan.alerts.values()
    assert (alert.count, alert.last_at, alert.evidence) == (600, T + 30 * 599, ())
    assert (alert.id, alert.rev) == (alerts[-1].id, alerts[-1].rev)
    assert alerts[-1].count == 100


def test_alerts_that_nobody_asks_for_are_not_kept(tmp_path: Path, policy: Policy) -> None:
    """Where revisions are enough, only severities stay: memory does not grow with alerts."""
    path = tmp_path / "query.log"
    path.write_text("".join(bind(T + 30 * i, f"10.0.0.{i}", "webhook.site") for i in range(9)))
    alerts, scan = run(policy, [path], Options(collect=False))
    _, collected = run(policy, [path])
    assert not scan.alerts
    assert scan.severities == {one.id: one.severity for one in collected.alerts.values()}
    assert scan.by_severity() == collected.by_severity()
    assert len(alerts) == 9


def test_a_state_that_knows_these_lines_says_so(tmp_path: Path, policy: Policy) -> None:
    """The same lines again are late and counted twice: a note says it; later lines get none."""
    (tmp_path / "a.log").write_text("".join(LINES[:20]))
    (tmp_path / "b.log").write_text("".join(LINES[20:40]))
    state = tmp_path / "state"
    run(policy, [tmp_path / "a.log"], Options(state=state))
    _, scan = run(policy, [tmp_path / "a.log"], Options(from_state=state))
    assert ["has already seen the logs up to" in note for note in scan.tally.notes] == [True]
    _, scan = run(policy, [tmp_path / "b.log"], Options(from_state=state))
    assert scan.tally.notes == []


def test_a_small_log_is_judged_by_more_than_its_first_line(tmp_path: Path, policy: Policy) -> None:
    """One sample in 8 KiB is one line here; 20 lines are, lines counted, and a large log is sampled."""
    (tmp_path / "query.log").write_text("x\n" + "".join(LINES[:19]))
    _, scan = run(policy, [tmp_path])
    assert (scan.tally.samples_good, scan.tally.samples_bad) == (19, 1)
    assert (scan.tally.lines, scan.tally.exact) == (20, True)
    (tmp_path / "query.log").write_text("".join(LINES) * 4)
    _, scan = run(policy, [tmp_path])
    assert scan.tally.samples_good < 40
    assert (scan.tally.lines, scan.tally.exact) == (1600, True)


def test_taps_are_scanned_with_logs(tmp_path: Path) -> None:
    """A folder of both, packed or not, in time order: query and answer are one attempt, in whichever format."""
    at = 1_795_376_000.0
    names = ["api.telegram.org", "webhook.site"]
    later = stream(*(tap(query(name), at=at + i) + tap(response(name, "A", "192.0.2.1"), CLIENT_RESPONSE, at=at + i)
                     for i, name in enumerate(names)))  # fmt: skip
    earlier = stream(tap(query("api.telegram.org"), client="10.0.0.8", at=at - 90_000))
    (tmp_path / "dns.tap").write_bytes(later)
    (tmp_path / "dns.tap.0.gz").write_bytes(gzip.compress(earlier + b"\0\0\1"))
    (tmp_path / "cut.tap").write_bytes(earlier[:-20])
    scan = Scan(bare_policy(), discover([str(tmp_path)]).families)
    found = {alert.client.address: alert for alert in scan.revisions()}
    assert set(found) == {"10.0.0.7", "10.0.0.8"}
    mine = [one for one in scan.alerts.values() if one.client.address == "10.0.0.7"]
    assert [(one.qname, one.count, one.answers) for one in mine] == [
        (name, 1, ("192.0.2.1",)) for name in names]  # fmt: skip
    assert scan.tally.formats == {"dnstap": 3}
    assert scan.tally.weird == {"unfinished last frame": 2}
