"""Writes the report: Markdown, the numbers as JSON, and plots where matplotlib is installed (extra ``eval``).

Simulated, replayed and real results stand in sections of their own and are never averaged together; real logs with
known truth are not to be had, and the report says so. Never: leaves out what was missed. Read next: ``README.md``.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from evaluation import gates
from evaluation.gates import HIGH, LOW, MEDIUM, Verdict
from evaluation.intervals import bootstrap, quantile, wilson
from evaluation.judge import f1
from evaluation.product import GRADES
from evaluation.recorded import Recorded, by_severity
from evaluation.replays import Replayed

Runs = Sequence[dict[str, Any]]
SHOWN = (LOW, MEDIUM, HIGH)
PREVALENCES = (1e-2, 1e-3, 1e-4, 1e-5)
"""Incidents per client and day at which the value of an alert is worked out."""
ABOUT = {
    "S1": "stealer, IP check first",
    "S2": "one post, service new to the client",
    "S3": "bot, polls every 5–30 s",
    "S3-keep-alive": "bot, one lookup per connection",
    "S4": "beacon, 15–60 min",
    "S5": "beacon as slow as the cache",
    "S6": "burst of 20–500 posts",
    "S7": "once a day",
    "S8": "build machine posts to a request bin",
    "S9": "allowed client, five times as much",
    "S10": "machine of a Discord user",
    "S11": "callback from a server",
    "S12": "tunnel agent starts",
    "S13": "rotation over 3–10 services",
    "S14": "DoH, fixed address, proxy",
    "S15": "stealer behind a forwarder",
    "S16": "address changes hands",
    "S17": "infected before learning",
    "S18": "the attacker's own domain",
}
KNOWN_MISSES = """\
- S14: a program with DNS over HTTPS, a fixed address, a hosts file or a proxy makes no lookup: recall 0.
- S18 and every service outside the catalogue (`outside` above): a list cannot know them.
- S10: on the machine of a Discord user the app vouches for its user. An IP check just before adds points, not enough.
- S3-keep-alive, S6 with a kept connection: a connection that lasts is one lookup, the same as S2.
- S7: one lookup a day is medium where the service is rare here, and hardly ever more.
- Discord from a client that uses DNS over HTTPS, up to the ninth lookup: its companions would not show, so their
  absence means nothing yet.
- Names that pages and apps use without companions (ntfy, Pushbullet, DingTalk …), from a desk: a rhythm is told and
  adds nothing, so severity stays where the first lookup put it.
- S9: more of what is allowed is a deviation, low by design, and only above three times the client's own median day and
  above its busiest; where the answer is cached as long as the client's pauses are, five times as many posts are not
  three times as many lookups.
"""


def write(
    out: Path,
    runs: Runs,
    verdicts: Sequence[Verdict],
    replayed: Sequence[Replayed],
    real: Sequence[Recorded],
    ablations: Mapping[str, Runs],
    settings: Mapping[str, Any],
    catalogue: str,
) -> None:
    """Write ``REPORT.md``, ``results.json`` and the plots into a directory."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = _plots(out, runs)
    text = "\n".join(
        [
            *_head(runs, settings, catalogue),
            *_gates(verdicts),
            *_recall(runs),
            *_rates(runs),
            *_beside(runs),
            *_values(runs),
            *_calibration(runs),
            *_ablation(ablations),
            *_other(runs),
            "## Known misses",
            "",
            KNOWN_MISSES,
            *_replays(replayed),
            *_recorded(real),
            *[f"![{name}]({name}.svg)" for name in drawn],
            "",
        ]
    )
    (out / "REPORT.md").write_text(text)
    slim = [{**run, "product": _slim(run["product"])} for run in runs]
    (out / "results.json").write_text(
        json.dumps(
            {"settings": {k: str(v) for k, v in settings.items()}, "catalogue": catalogue, "runs": slim},
            separators=(",", ":"),
        )
    )


def _slim(product: dict[str, Any]) -> dict[str, Any]:
    """Leave out what would make a large file: scores, parts of seconds, honest alerts below medium but their number."""
    false = Counter(GRADES[one["grade"]] for one in product["false"])
    return {
        **product,
        "scores": len(product["scores"]),
        "false": [one for one in product["false"] if one["grade"] >= MEDIUM],
        "false_by_severity": dict(false),
        "incidents": [
            {
                "scenario": one["label"]["scenario"],
                "outside": one["label"]["outside"],
                "lookups": one["label"]["lookups"],
                "first": [at if at is None else round(at) for at in one["first"]],
                "regular": one["regular"] if one["regular"] is None else round(one["regular"]),
            }
            for one in product["incidents"]
        ],
    }


def _head(runs: Runs, settings: Mapping[str, Any], catalogue: str) -> Iterator[str]:
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    yield "# Evaluation of detection"
    yield ""
    yield (
        "Made by `make eval`. Everything in the first sections is **simulated**; replayed stories have a section of "
        "their own, and so do real logs. No real log with known truth of such intrusions can be had, and benign logs "
        "that can be had hold so few client-days that they prove next to nothing of a rate (rule of three). "
        "Let `feeds.mode: shadow` and `min_severity` of a sink measure your own rate."
    )
    yield ""
    yield f"Settings: {said}; catalogue {catalogue}. Seeds 0–9 are for tuning; seeds from 100 on add services and "
    yield "parameters that no tuning has met."
    yield ""


def _gates(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield from (
        "## Gates (simulated)",
        "",
        "| gate | measured | 95 % | wanted | n | |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    )
    for one in verdicts:
        interval = f"{one.interval[0]:.2f} – {one.interval[1]:.2f}" if one.interval else ""
        yield (
            f"| {one.name} | {one.value:.3f} | {interval} | {'≥' if one.at_least else '≤'} {one.bound:g} | {one.of} | "
            f"{'holds' if one.passed else '**does not hold**'} |"
        )
    yield ""


def _recall(runs: Runs) -> Iterator[str]:
    yield from (
        "## Recall and time to detect by scenario (simulated)",
        "",
        "Time from the first malicious lookup that the log shows to the first revision of that severity.",
        "",
        "| scenario | incidents | ≥ low | ≥ medium | ≥ high | median, 90 % until low | until medium | until high |",
        "| --- | ---: | --- | --- | --- | ---: | ---: | ---: |",
    )
    for scenario, about in ABOUT.items():
        for outside in (False, True):
            every = [
                one
                for run in runs
                for one in run["product"]["incidents"]
                if one["label"]["scenario"] == scenario and one["label"]["outside"] == outside
            ]
            ones = [one for one in every if one["label"]["lookups"]]
            if not every:
                continue
            cells = [_share(sum(one["first"][grade] is not None for one in ones), len(ones)) for grade in SHOWN]
            times = [
                _times([one["first"][grade] for one in ones if one["first"][grade] is not None]) for grade in SHOWN
            ]
            unseen = f" of {len(every)}" if len(every) != len(ones) else ""
            yield (
                f"| {scenario} {about}{' (outside)' if outside else ''} | {len(ones)}{unseen} | "
                f"{' | '.join(cells)} | {' | '.join(times)} |"
            )
    yield from ("", "`of`: the others left no line (proxy, cache). ", "")


def _rates(runs: Runs) -> Iterator[str]:
    yield from (
        "## False alerts per 1000 clients and day (simulated, all of B1–B15)",
        "",
        "An alert counts at a severity when it first reaches it after learning; what was high while learning and turns "
        "critical later counts at critical only.",
        "",
        "| severity | mean | 95 % (days drawn anew) | worst day in twenty |",
        "| --- | ---: | --- | ---: |",
    )
    for grade in range(len(GRADES)):
        days = gates.per_day(runs, grade)
        low, high = bootstrap(days)
        yield (
            f"| ≥ {GRADES[grade]} | {statistics.fmean(days):.2f} | {low:.2f} – {high:.2f} | "
            f"{quantile(days, 0.95):.1f} |"
        )
    yield ""
    for grade in (HIGH, MEDIUM):
        counted = Counter(
            alert["service"] for run in runs for alert in run["product"]["false"] if alert["grade"] == grade
        )
        most = ", ".join(f"{service} {count}" for service, count in counted.most_common(8))
        yield f"Where those of ≥ {GRADES[grade]} come from: {most or 'none'}."
    yield ""


def _beside(runs: Runs) -> Iterator[str]:
    yield from (
        "## Beside simple detectors (simulated)",
        "",
        "Precision is that of alerts, recall that of incidents with a known service and a lookup to see. The list "
        "rules alert once a day for a client and service, which is how a SIEM throttles them.",
        "",
        "| detector | precision | recall | F1 | F1 at one incident per 1000 client-days |",
        "| --- | ---: | ---: | ---: | ---: |",
    )
    rows = [(f"dnswatch, ≥ {GRADES[grade]}", gates.product_counts(runs, grade)) for grade in (MEDIUM, HIGH)]
    rows += [(name, gates.baseline_counts(runs, name)) for name in runs[0]["baselines"]]
    for name, counts in rows:
        true, false, hit, of = counts
        yield (
            f"| {name} | {true / max(true + false, 1):.3f} | {hit / max(of, 1):.3f} | {f1(*counts):.3f} | "
            f"{gates.honest_f1(runs, counts):.3f} |"
        )
    yield ""


def _values(runs: Runs) -> Iterator[str]:
    yield from (
        "## What an alert is worth at honest base rates (worked out from the above)",
        "",
        "`r·p / (r·p + f)`: r recall, f false alerts per client-day, p incidents per client-day.",
        "",
        f"| | {' | '.join(f'p = {p:g}' for p in PREVALENCES)} |",
        f"| --- | {' | '.join('---:' for _ in PREVALENCES)} |",
    )
    for grade in (MEDIUM, HIGH):
        _, _, hit, of = gates.product_counts(runs, grade)
        rate = statistics.fmean(gates.per_day(runs, grade)) / 1000
        cells = [f"{hit / of * p / (hit / of * p + rate):.3f}" if rate or hit else "" for p in PREVALENCES]
        yield f"| ≥ {GRADES[grade]} | {' | '.join(cells)} |"
    yield ""


def _calibration(runs: Runs) -> Iterator[str]:
    yield from (
        "## Calibration (simulated)",
        "",
        "Share of the alerts with a final score that are about an incident; it "
        "depends on how much was simulated, its order does not.",
        "",
        "| score | alerts | about an incident |",
        "| --- | ---: | --- |",
    )
    for low, high, count, true in _bins(runs):
        yield f"| {low}–{high - 1} | {count} | {_share(true, count)} |"
    yield ""


def _ablation(ablations: Mapping[str, Runs]) -> Iterator[str]:
    if not ablations:
        return
    yield from (
        "## Without one fact at a time (simulated, two networks of the quick size)",
        "",
        "| without | recall ≥ medium | recall ≥ high | false ≥ medium | false ≥ high | S4, S5, S13 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    )
    for name, runs in ablations.items():
        cells = []
        for grade in (MEDIUM, HIGH):
            _, _, hit, of = gates.product_counts(runs, grade)
            cells.append(f"{hit / of:.3f}")
        cells += [f"{statistics.fmean(gates.per_day(runs, grade)):.2f}" for grade in (MEDIUM, HIGH)]
        slow = [one for scenario in ("S4", "S5", "S13") for one in gates.asked(runs, scenario)]
        cells.append(f"{sum(one['regular'] is not None for one in slow) / max(len(slow), 1):.2f}")
        yield f"| {name or '(nothing)'} | {' | '.join(cells)} |"
    yield ""


def _other(runs: Runs) -> Iterator[str]:
    ones = [one for run in runs for one in run["product"]["incidents"]]
    blamed = sum(one["blamed"] for one in ones if one["label"]["scenario"] == "S16")
    yield from (
        "## Also",
        "",
        f"- S16: revisions that name the new holder of an address: {blamed}.",
        f"- Duplicates (further alerts on one incident and service): {sum(one['duplicates'] for one in ones)} of "
        f"{sum(one['alerts'] for one in ones)}.",
        "- S19 and S20 (late and repeated lines, a gap, 3000 hostile names) are part of every network above.",
        "",
    )


def _replays(replayed: Sequence[Replayed]) -> Iterator[str]:
    yield from (
        "## Replays (documented sequences, played into a simulated office)",
        "",
        "| story | source | log | severity | after | reasons | weak because |",
        "| --- | --- | --- | --- | ---: | --- | --- |",
    )
    for one in replayed:
        after = f"{max(one.after_s, 0):.0f} s" if one.severity else ""
        yield (
            f"| {one.story} {one.title} | {one.source} | {one.log} | {one.severity or '**none**'} | {after} | "
            f"{', '.join(one.terms)} | {one.weak} |"
        )
    yield from ("", "A log with whole seconds and one with milliseconds can differ by a second.", "")


def _recorded(real: Sequence[Recorded]) -> Iterator[str]:
    if not real:
        return
    yield from (
        "## Real logs (published by others, not passed on with the project)",
        "",
        "Scanned without a configuration, so nobody is expected to use anything, and too short to learn from. Where "
        "each is found stands in `recorded.yaml`; `--recorded DIR` judges those that are there.",
        "",
        "| log | what it is | lines | clients | client-hours with a lookup | alerts |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    )
    for one in real:
        told = "; ".join(f"{severity} {service} ({', '.join(terms)})" for severity, service, terms in one.alerts)
        alerts = by_severity(one.alerts) + (f": {told}" if told else "")
        yield f"| {one.log} | {one.about}; {one.source} | {one.lines} | {one.clients} | {one.client_hours} | {alerts} |"
    days = sum(one.client_hours for one in real) / 24
    grave = sum(severity in GRADES[MEDIUM:] for one in real for severity, _, _ in one.alerts)
    yield ""
    yield f"Alerts of ≥ medium: {grave} in {days:.0f} client-days. No log here is known to hold an incident with a"
    yield f"watched service. Even none in {days:.0f} days would allow {3 / days:.2f} a client and day (rule of three)."
    yield ""


def why(runs: Runs) -> str:
    """Say what the false alerts and the misses were, for somebody who tunes."""
    lines = []
    for grade in (HIGH, MEDIUM):
        counted = Counter(
            (alert["service"], alert["client"].split(".")[1], " ".join(alert["terms"]))
            for run in runs
            for alert in run["product"]["false"]
            if alert["grade"] == grade
        )
        lines.append(f"{sum(counted.values())} false ≥ {GRADES[grade]}")
        lines += [
            f"  {count} × {service} by 10.{net}: {terms}" for (service, net, terms), count in counted.most_common(20)
        ]
    for scenario, grade, within, _, regular in gates.RECALL:
        for one in gates.asked(runs, scenario):
            if not gates.met(one, grade, within, regular):
                lines.append(f"missed {scenario} {one['label']} {one['first']} {one['regular']}")
    return "\n".join(lines)


# ── Figures ───────────────────────────────────────────────────────────────────────────────────────────────────


def _share(hits: int, of: int) -> str:
    if not of:
        return "–"
    low, high = wilson(hits, of)
    return f"{hits / of:.2f} ({low:.2f}–{high:.2f})"


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "–"
    return f"{_span(statistics.median(seconds))}, {_span(quantile(seconds, 0.9))}"


def _span(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _bins(runs: Runs) -> Iterator[tuple[int, int, int, int]]:
    edges = (0, 21, 35, 47, 60, 73, 90, 101)
    scores = [tuple(one) for run in runs for one in run["product"]["scores"]]
    for low, high in pairwise(edges):
        mine = [true for score, true in scores if low <= score < high]
        if mine:
            yield low, high, len(mine), sum(mine)


def _plots(out: Path, runs: Runs) -> list[str]:
    """Draw what is easier seen than read; without matplotlib there are only tables."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dnswatch"
    from matplotlib import pyplot

    def save(name: str) -> str:
        pyplot.tight_layout()
        pyplot.savefig(out / f"{name}.svg", metadata={"Date": None})
        pyplot.close()
        return name

    drawn = []
    pyplot.figure(figsize=(9, 4))
    names = [name for name in ABOUT if _of(runs, name)]
    for shift, grade in ((-0.2, MEDIUM), (0.2, HIGH)):
        shares: list[float] = []
        errors: tuple[list[float], list[float]] = ([], [])
        for name in names:
            ones = _of(runs, name)
            hits = sum(one["first"][grade] is not None for one in ones)
            low, high = wilson(hits, len(ones))
            shares.append(hits / len(ones))
            errors[0].append(max(0.0, hits / len(ones) - low))
            errors[1].append(max(0.0, high - hits / len(ones)))
        places = [n + shift for n in range(len(names))]
        pyplot.bar(places, shares, 0.38, yerr=errors, capsize=2, label=f"≥ {GRADES[grade]}")
    pyplot.xticks(range(len(names)), names, rotation=60, ha="right")
    pyplot.ylabel("recall, 95 % (simulated)")
    pyplot.legend()
    drawn.append(save("recall"))

    pyplot.figure(figsize=(9, 3.5))
    for grade in (MEDIUM, HIGH):
        pyplot.plot(sorted(gates.per_day(runs, grade)), label=f"≥ {GRADES[grade]}", drawstyle="steps-mid")
    pyplot.xlabel("days, sorted (simulated)")
    pyplot.ylabel("false alerts per 1000 clients")
    pyplot.legend()
    drawn.append(save("false-alerts"))

    pyplot.figure(figsize=(9, 4))
    for name, grade, *_ in gates.RECALL:
        times = sorted(max(1.0, one["first"][grade]) for one in _of(runs, name) if one["first"][grade] is not None)
        if times:
            pyplot.step(
                times,
                [(n + 1) / len(_of(runs, name)) for n in range(len(times))],
                where="post",
                label=f"{name} ≥ {GRADES[grade]}",
            )
    pyplot.xscale("log")
    pyplot.xlabel("seconds since the first malicious lookup (simulated)")
    pyplot.ylabel("share of incidents")
    pyplot.legend(fontsize=8)
    drawn.append(save("time-to-detect"))

    pyplot.figure(figsize=(5, 4))
    bins = list(_bins(runs))
    pyplot.plot([(low + high) / 2 for low, high, _, _ in bins], [true / count for _, _, count, true in bins], "o-")
    pyplot.xlabel("score")
    pyplot.ylabel("share about an incident (simulated)")
    drawn.append(save("calibration"))
    return drawn


def _of(runs: Runs, scenario: str) -> list[dict[str, Any]]:
    return [
        one
        for run in runs
        for one in run["product"]["incidents"]
        if one["label"]["scenario"] == scenario and one["label"]["lookups"] and not one["label"]["outside"]
    ]
