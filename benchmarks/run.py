"""Runs the benchmarks: everybody in turn, round after round, on the same files; writes the table and the numbers.

    make bench                                  # BIND and dnsmasq, 0.1, 1 and 5 % watched, 2 M lines, 5 rounds
    make bench BENCH="--lines 20000000"         # files far larger than any cache of ours
    make bench BENCH="--log my.log --type bind" # a log of your own
    make bench-quick                            # under a minute; compares ratios with the recorded ones

Speed is lines per CPU second (user + system, children included), start-up included. Nothing counts whose output does
not agree with the reference on the same bytes in this run. Never: writes data into the repository; logs are generated
in a temporary directory and removed. Read next: ``contenders.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import generate, reference
from benchmarks.contenders import CONTENDERS, LEFT_OUT, Contender, Job, head
from benchmarks.measure import Run, compile_product
from benchmarks.names import catalogue

HERE = Path(__file__).resolve().parent
RESULTS, TABLE = HERE / "results.json", HERE / "RESULTS.md"
PRODUCT, RIVAL, WALL = "dnswatch scan", "ripgrep -F -i -f", "wc -l"
QUICK = ("cat", "wc -l", PRODUCT, RIVAL, "mawk")
QUICK_LINES, QUICK_ROUNDS = 1_000_000, 5
MOVED = 0.15
"""A ratio that differs by more from the recorded one is reported: on shared machines a tenth is noise."""


TABLE_HEAD = """\
# Results

Written by `make bench`; how to read and repeat it: [README.md](README.md). Ratios travel, absolute numbers are this
machine's: {told}.

A bar's length is the square root of the speed. Each program's output agreed with the reference in this run."""


@dataclass
class Case:
    """One log."""

    name: str
    form: str
    log: Path
    about: dict[str, Any]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def measure_case(case: Case, chosen: list[Contender], rounds: int, work: Path) -> None:
    """Run everybody ``rounds`` times in turn."""
    names = catalogue()
    jobs: dict[int | None, Job] = {}
    runs: dict[str, list[Run]] = {}
    wrong: dict[str, str] = {}
    for each in chosen:
        if why := each.absent():
            case.skipped[each.name] = why
            continue
        runs[each.name] = []
        if each.lines not in jobs:
            short = head(case.log, each.lines, work / f"{each.lines}.log") if each.lines else case.log
            jobs[each.lines] = Job(case.form, short, reference.ask(short, case.form), work, names)
    whole = jobs.get(None) or Job(case.form, case.log, reference.ask(case.log, case.form), work, names)
    case.about |= {**whole.truth._asdict(), "repeats": round(whole.truth.repeats, 3), "bytes": case.log.stat().st_size}
    for turn in range(rounds):
        for each in chosen:
            if each.name not in runs or each.name in wrong:
                continue
            if each.lines and turn >= 3:  # the slow ones vary little
                continue
            job = jobs[each.lines]
            _warm(job.log)
            run = each.run(job)
            problem = each.check(job, run)
            if problem:
                said = run.err.decode("utf-8", "replace")[-200:] if run.status else ""
                wrong[each.name] = f"{problem} {said}".rstrip()
            runs[each.name].append(run)
            print(
                f"  {turn + 1}/{rounds} {each.name:28} {run.cpu_s:7.2f} CPU s  {problem or 'as the reference'}",
                flush=True,
            )
    for each in chosen:
        if each.name in wrong:
            case.skipped[each.name] = f"no result: {wrong[each.name]}"
        elif each.name in runs:
            case.results[each.name] = _summary(runs[each.name], jobs[each.lines])


def _summary(runs: list[Run], job: Job) -> dict[str, Any]:
    cpu = [run.cpu_s for run in runs]
    median = statistics.median(cpu)
    return {
        "lines": job.truth.lines,
        "cpu_s": round(median, 3),
        "cpu_min_s": round(min(cpu), 3),
        "cpu_max_s": round(max(cpu), 3),
        "wall_s": round(statistics.median(run.wall_s for run in runs), 3),
        "rss_mb": round(max(run.rss_mb for run in runs), 1),
        "lines_per_cpu_s": round(job.truth.lines / median) if median else 0,
        "mb_per_cpu_s": round(job.log.stat().st_size / 1e6 / median) if median else 0,
    }


def ratios(case: Case) -> dict[str, float]:
    """Give the product's speed as a multiple of everybody else's."""
    mine = case.results.get(PRODUCT)
    if mine is None:
        return {}
    return {
        name: round(mine["lines_per_cpu_s"] / other["lines_per_cpu_s"], 3)
        for name, other in case.results.items()
        if name != PRODUCT and other["lines_per_cpu_s"]
    }


def _warm(log: Path) -> None:
    """Have the file in the page cache: a cold one costs three to five times the system time."""
    with log.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass


# ── What is told ──────────────────────────────────────────────────────────────────────────────────────────────


def table(case: Case) -> str:
    """Write one log's results as Markdown, with a bar for each speed."""
    about = case.about
    quick = max((each["lines_per_cpu_s"] for each in case.results.values()), default=1)
    factor = ratios(case)
    rows = [
        f"### {case.name}",
        "",
        f"{about['lines']:,} lines, {about['bytes'] / 1e6:,.0f} MB; {100 * about['matching'] / about['lines']:.2f} % "
        f"of the lines match a watched name; {about['sightings']:,} lookups of api names are {about['attempts']:,} "
        f"attempts ({100 * about['repeats']:.0f} % repeats) and {about['alerts']:,} alerts.",
        "",
        "| program | M lines / CPU s | dnswatch is | CPU s (min–max) | wall s | lines read | RSS MB | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, one in case.results.items():
        bar = "█" * max(1, round(24 * (one["lines_per_cpu_s"] / quick) ** 0.5))
        times = "1" if name == PRODUCT else f"{factor.get(name, 0):.3g} ×"
        rows.append(f"| {name} | {one['lines_per_cpu_s'] / 1e6:.3f} | {times} | {one['cpu_s']:.2f} "
                    f"({one['cpu_min_s']:.2f}–{one['cpu_max_s']:.2f}) | {one['wall_s']:.2f} | {one['lines']:,} "
                    f"| {one['rss_mb']:.0f} | {bar} |")  # fmt: skip
    skipped = {**case.skipped, **LEFT_OUT}
    rows += ["", "Skipped: " + "; ".join(f"{name} ({why})" for name, why in skipped.items()) + "."]
    return "\n".join(rows)


def machine() -> dict[str, str]:
    """Say on what this ran: absolute numbers mean this machine and no other."""
    model = next((line.split(":")[1].strip() for line in _text("/proc/cpuinfo").splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    rg = subprocess.run(["rg", "--version"], capture_output=True, text=True, check=False).stdout if _has_rg() else ""
    return {"cpu": model, "cores": str(os.cpu_count()), "kernel": platform.release(),
            "python": platform.python_version(), "ripgrep": (rg.split("\n") or [""])[0]}  # fmt: skip


def _has_rg() -> bool:
    return not next(each for each in CONTENDERS if each.name == RIVAL).absent()


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def record(cases: list[Case], part: str) -> None:
    """Write ``results.json`` (one part of it) and, for the whole set, the table."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known[part] = {
        "machine": machine(),
        "cases": {case.name: {"log": case.about, "results": case.results, "ratios": ratios(case),
                              "skipped": {**case.skipped, **LEFT_OUT}} for case in cases},
    }  # fmt: skip
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    if part == "full":
        told = ", ".join(f"{key} {value}" for key, value in machine().items() if value)
        head = TABLE_HEAD.format(told=told)
        TABLE.write_text("\n\n".join([head, *map(table, cases)]) + "\n", "utf-8")


def compare(cases: list[Case]) -> None:
    """Say which ratios moved since they were recorded."""
    known = json.loads(RESULTS.read_text("utf-8")).get("quick", {}).get("cases", {}) if RESULTS.exists() else {}
    for case in cases:
        before = known.get(case.name, {}).get("ratios", {})
        for name, now in ratios(case).items():
            if name not in before:
                print(f"{case.name}: {now:.2f} × {name}; nothing recorded")
                continue
            change = now / before[name] - 1
            word = "as recorded" if abs(change) <= MOVED else f"MOVED by {100 * change:+.0f} %"
            print(f"{case.name}: {now:.2f} × {name}, recorded {before[name]:.2f}: {word}")
        for name, why in case.skipped.items():
            print(f"{case.name}: skipped {name} ({why})")


# ── Choosing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few programs, one log; compare with what is recorded")
    parser.add_argument("--record", action="store_true", help="write the results (with --quick: its part of them)")
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rates", default="0.001,0.01,0.05,1", help="shares of watched lines; 1: every line is one")
    parser.add_argument("--formats", default="bind,dnsmasq")
    parser.add_argument("--only", default="", help="names of programs, separated by commas")
    parser.add_argument("--repeats", type=float, default=0.95, help="share of api lookups by habitual pairs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="a log of your own instead of generated ones")
    parser.add_argument("--type", choices=sorted(generate.FORMATS), default="bind", help="its format")
    return parser.parse_args()


def _generate(given: argparse.Namespace, form: str, rate: float, directory: Path) -> Case:
    lines = given.lines // 4 if rate == 1 else given.lines
    qps = 5_000 if rate == 1 else 20_000
    name = f"{form}, every line watched" if rate == 1 else f"{form}, {100 * rate:g} % watched"
    log = directory / f"{form}-{rate}.log"
    options = {"rate": rate, "lines": lines, "seed": given.seed, "repeats": given.repeats, "qps": qps}
    command = [sys.executable, "-m", "benchmarks.generate", form, str(log), *(f"--{k}={v}" for k, v in options.items())]
    sha = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE.parent).stdout.split()[0].decode()
    return Case(
        name, form, log, {"sha256": sha, "seed": given.seed, "rate": rate, "habitual": given.repeats, "qps": qps}
    )


def main() -> int:
    """Run what is asked; 1 when the product's output was wrong."""
    given = _arguments()
    compile_product()
    if given.quick:
        given.lines, given.rounds, given.rates, given.formats = QUICK_LINES, QUICK_ROUNDS, "0.01", "bind"
    only = set(given.only.split(",")) if given.only else set(QUICK) if given.quick else set()
    chosen = [each for each in CONTENDERS if not only or each.name in only]
    cases: list[Case] = []
    with tempfile.TemporaryDirectory(prefix="dnswatch-bench-") as text:
        directory = Path(text)
        wanted = [(form, float(rate)) for form in given.formats.split(",") for rate in given.rates.split(",")]
        if given.log:
            wanted = [(given.type, 0.0)]
        for form, rate in wanted:
            case = Case(given.log.name, form, given.log, {}) if given.log else _generate(given, form, rate, directory)
            print(f"{case.name}: {case.log.stat().st_size / 1e6:,.0f} MB", flush=True)
            measure_case(case, chosen, given.rounds, directory)
            if not given.quick:
                print("\n" + table(case) + "\n", flush=True)
            if not given.log:
                case.log.unlink()
                case.log.with_name(f"{case.log.name}.gz").unlink(missing_ok=True)
            cases.append(case)
    if given.quick:
        compare(cases)
    if given.record:
        record(cases, "quick" if given.quick else "full")
    return int(any(PRODUCT in case.skipped for case in cases))


if __name__ == "__main__":
    sys.exit(main())
