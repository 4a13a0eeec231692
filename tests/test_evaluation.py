"""The evaluation measures what it says it measures: labels, intervals, verdicts, and a generator on its own feet."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import gates, recorded, simulator
from evaluation.intervals import poisson, wilson
from evaluation.judge import Truth, judge
from evaluation.product import Revision

ROOT = Path(__file__).parent.parent
GENERATOR = ("services", "world", "habits", "attacks", "simulator", "baselines", "intervals")


def label(**more: Any) -> dict[str, Any]:
    return {
        "id": 0, "scenario": "S1", "client": "10.1.0.1", "services": ["telegram-bot"], "victim": "pc", "mac": "",
        "outside": False, "doh": False, "path": "stub", "begin": 1000.0, "end": 1100.0, "lookups": 2, "first_hour": 2,
        **more,
    }  # fmt: skip


def revision(at: float, grade: int, **more: Any) -> Revision:
    given = {
        "id": "A",
        "client": "10.1.0.1",
        "mac": "",
        "service": "telegram-bot",
        "score": 50,
        "terms": (),
        "count": 1,
    }
    return Revision(at=at, grade=grade, **(given | more))


@pytest.mark.parametrize("name", GENERATOR)
def test_generator_and_baselines_do_not_know_the_product(name: str) -> None:
    """What makes the truth must not share a mistake with what is measured."""
    tree = ast.parse((ROOT / "evaluation" / f"{name}.py").read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [module for module in modules if module.split(".")[0] == "dnswatch"]


def test_the_same_seed_gives_the_same_logs_and_labels_stay_beside_them(tmp_path: Path) -> None:
    """A run can be repeated anywhere; what is read holds no label."""
    for name in ("one", "two"):
        simulator.simulate(tmp_path / name, seed=4, clients=60, days=9, learning=5, each=1, noise=0.05)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    assert {path.parts[0] for path in files} == {"logs", "policy.yaml", "truth.jsonl"}
    told = [json.loads(line) for line in (tmp_path / "one" / "truth.jsonl").read_text().splitlines()]
    assert {"S1", "S8", "S12", "S14"} <= {one["scenario"] for one in told}
    assert all(not one["lookups"] for one in told if one["scenario"] == "S14")


def test_a_revision_counts_for_its_incident_only_in_time() -> None:
    """From the first lookup until an hour after the last; later it is false."""
    truth = Truth([label()])
    said = judge([revision(1005, 1), revision(1030, 3), revision(9000, 2, id="B")], truth, 0.0, 0.0, 1)
    (outcome,) = truth.outcomes
    assert outcome.first == [5.0, 5.0, 30.0, 30.0, None]
    assert [one["grade"] for one in said["false"]] == [0, 1, 2]
    assert said["true"] == [1, 1, 1, 1, 0]


def test_another_client_or_service_is_false_and_a_second_alert_a_duplicate() -> None:
    """Being right about somebody else does not count."""
    truth = Truth([label()])
    found = [revision(1005, 2), revision(1010, 2, id="B"), revision(1011, 2, id="C", client="10.1.0.2"),
             revision(1012, 2, id="D", service="discord")]  # fmt: skip
    said = judge(found, truth, 0.0, 0.0, 1)
    assert truth.outcomes[0].duplicates == 1
    assert sum(one["grade"] == 2 for one in said["false"]) == 2


def test_the_rhythm_must_stand_in_the_reasons() -> None:
    """S4 is not met by a medium alert that does not say why it is a program's."""
    truth = Truth([label(scenario="S4")])
    judge([revision(1005, 2), revision(1060, 2, terms=("regular",))], truth, 0.0, 0.0, 1)
    assert truth.outcomes[0].regular == 60.0


def test_intervals_are_the_textbooks() -> None:
    """Wilson for 8 of 10; Poisson for 0 and for 10 events."""
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert poisson(0, 1.0) == pytest.approx((0.0, 3.69), abs=0.1)
    assert poisson(10, 1.0) == pytest.approx((4.80, 18.39), abs=0.05)


def test_a_gate_without_incidents_does_not_hold() -> None:
    """Nothing simulated is nothing shown."""
    empty = {"product": {"incidents": [], "false": [], "true": [0] * 5, "days": [0, 1]}, "clients": 10, "blocked": [],
             "baselines": {"list": {"true": 0, "false": 0, "hit": 0, "asked": 0}}}  # fmt: skip
    assert not any(one.passed for one in gates.verdicts([empty], small=True) if one.name.startswith("S"))


ZEEK = """#separator \\x09
#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\tquery\tqclass\tqtype\tqtype_name
#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tstring\tcount\tcount\tstring
1714417205.4\tC1\t10.0.0.8\t5000\t10.0.0.1\t53\tudp\t1\twebhook.site\t1\t1\tA
1714420805.4\tC2\t10.0.0.9\t5000\t10.0.0.1\t53\tudp\t2\twww.example.com\t1\t1\tA
1714420806.4\tC3\t10.0.0.9\t5000\t10.0.0.1\t53\tudp\t3\twww.example.com\t1\t1\tA
"""


def test_a_real_log_is_judged_when_it_is_the_one_that_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts and client-hours of a log that lies there; those that do not are left out."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dns.log").write_text(ZEEK)
    entry = {"about": "a home", "repository": "owner/name", "commit": "c" * 40, "path": "dns.log"}
    entry["sha256"] = recorded.digest([folder / "dns.log"], folder)
    monkeypatch.setattr(recorded, "LOGS", {"home": entry, "elsewhere.log": entry})
    (found,) = recorded.run(tmp_path)
    assert (found.lines, found.clients, found.client_hours) == (3, 2, 2)
    assert [service for _, service, _ in found.alerts] == ["webhook-site"]
    assert recorded.by_severity(found.alerts) == f"1 {found.alerts[0][0]}"


def test_a_real_log_that_is_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of a log that nobody can look up would prove nothing."""
    entry = {"about": "", "repository": "owner/name", "commit": "c" * 40, "path": "dns.log", "sha256": "0" * 64}
    monkeypatch.setattr(recorded, "LOGS", {"home.log": entry})
    (tmp_path / "home.log").write_text(ZEEK)
    with pytest.raises(ValueError, match=r"take dns\.log of owner/name at commit ccc"):
        recorded.run(tmp_path)
