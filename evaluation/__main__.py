"""Runs the evaluation: ``python -m evaluation --help``.

``make eval`` measures on seeds that nothing was tuned on and writes the report; ``make eval-quick`` is one small
network with the same gates. Never: tunes. Read next: ``simulator.py``, ``judge.py``, ``gates.py``, ``report.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dnswatch.core.detect.signals import SIGNALS
from evaluation import baselines, gates, judge, product, recorded, replays, report, simulator
from evaluation.services import COLLATERAL
from evaluation.world import build

ROOT = Path(__file__).resolve().parent.parent
QUICK = {"seeds": "100", "clients": 200, "days": 16, "learning": 9, "each": 5, "noise": 0.6}


def main() -> int:
    """Run what is asked for; 1: a gate does not hold."""
    given = _arguments()
    runs, started = [], time.monotonic()
    for seed in _seeds(given.seeds):
        runs.append(_measured(seed, given))
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    found = gates.verdicts(runs, small=given.quick)
    for verdict in found:
        print(
            f"{'ok    ' if verdict.passed else 'FAILED'} {verdict.name}: {verdict.value:.3f} "
            f"({'≥' if verdict.at_least else '≤'} {verdict.bound:g}{verdict.by_interval}, n = {verdict.of})"
        )
    if given.verbose:
        print(report.why(runs))
    if given.out is not None:
        settings = {name: getattr(given, name) for name in (*QUICK, "ablation")}
        ablations = _ablate(given) if given.ablation else {}
        real = recorded.run(given.recorded) if given.recorded else []
        report.write(given.out, runs, found, replays.run(), real, ablations, settings, product.catalogue_hash(ROOT))
    return 0 if all(verdict.passed for verdict in found) else 1


def measure(seed: int, given: argparse.Namespace, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Simulate one network, scan it, judge what was said."""
    with tempfile.TemporaryDirectory(prefix="dnswatch-eval-") as name:
        directory = Path(given.keep) / str(seed) if given.keep else Path(name)
        if not (directory / "truth.jsonl").exists():
            simulator.simulate(directory, seed, given.clients, given.days, given.learning, given.each, given.noise)
        world = build(seed, given.clients, given.days, given.learning)
        learnt_at = world.start + given.learning * 86400
        logs, policy, truth = directory / "logs", directory / "policy.yaml", judge.labels(directory / "truth.jsonl")
        found = product.revisions(logs, policy, without)
        run: dict[str, Any] = {
            "seed": seed,
            "clients": len(world.clients),
            "product": judge.judge(found, judge.Truth(truth), world.start, learnt_at, given.days),
            "blocked": product.blocked(policy, COLLATERAL, learnt_at),
            "baselines": {},
        }
        if not without:
            for kind, alarms in baselines.run(logs, policy, ROOT, product.YEAR, learnt_at).items():
                run["baselines"][kind] = judge.judge_baseline(alarms, judge.Truth(truth), learnt_at)
        return run


def _measured(seed: int, given: argparse.Namespace, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measure, or take what an interrupted run with the same settings left behind."""
    if not given.cache:
        return measure(seed, given, without)
    settings = "-".join([*(str(getattr(given, name)) for name in QUICK if name != "seeds"), *without])
    path = given.cache / f"{seed}-{settings}.json"
    if not path.exists():
        run = measure(seed, given, without)
        given.cache.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run))
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def _ablate(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure networks of the quick size again and again, without one fact at a time."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="dnswatch-ablation-") as name:
        small = argparse.Namespace(**{**vars(given), **QUICK, "keep": name})
        for signal in ("", *SIGNALS):
            found[signal] = [_measured(seed, small, (signal,) if signal else ()) for seed in _seeds(given.seeds)[:2]]
    return found


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small network, in three minutes")
    parser.add_argument("--seeds", default="100-109", help="0-9 are for tuning, from 100 on for reporting [100-109]")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--learning", type=int, default=14, help="days, as in the policy [14]")
    parser.add_argument("--each", type=int, default=20, help="incidents of each scenario and network [20]")
    parser.add_argument("--noise", type=float, default=0.5, help="times the ordinary lookups [0.5]")
    parser.add_argument("--ablation", action="store_true", help="again without one fact at a time")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the report and results.json here")
    parser.add_argument("--keep", metavar="DIR", help="keep the logs here, and use those that are there")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the results of each network here, and go on from them"
    )
    parser.add_argument("--recorded", type=Path, metavar="DIR", help="real logs that recorded.yaml lists")
    parser.add_argument("--verbose", action="store_true", help="also print what the false alerts and misses were")
    given = parser.parse_args()
    if given.quick:
        for name, value in QUICK.items():
            if getattr(given, name) == parser.get_default(name):
                setattr(given, name, value)
    return given


if __name__ == "__main__":
    sys.exit(main())
