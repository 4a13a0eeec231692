"""A proposal as a block of configuration for people to review, and as JSON values.

Never: decides what is proposed. Read next: ``habits.py``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from dnswatch.core.propose.habits import LeftOut, Proposal, Proposed
from dnswatch.core.propose.words import plural, some, utc

LEFT_OUT_SHOWN = 12
"""Services that the comment on what was left out names; a year of logs of a large network knows hundreds of pairs."""


def entry(line: Proposed) -> dict[str, object]:
    """Give a proposal as an entry of the configuration's ``expect`` list."""
    return {"who": [str(who) for who in line.who], "services": [line.service], "because": line.because}


def to_yaml(proposal: Proposal) -> str:
    """Write the proposal as a block that can stand in a configuration: evidence as comments, one entry a line.

    Doubtful lines are comments, too.
    """
    doubtful = [line for line in proposal.lines if line.doubtful]
    nothing = "# nothing to propose" + (" without doubt" if doubtful else "")
    out = ["expect:"] if proposal.clear else [nothing]
    for line in proposal.clear:
        out += [*_evidence(line), f"  - {_entry(line)}"]
    if doubtful:
        out.append("  # in doubt, each with a grave alert: where somebody answers for it, uncomment its last line")
    for line in doubtful:
        out += [*_evidence(line), f"  # - {_entry(line)}"]
    out += _left_out(proposal.left_out)
    return "\n".join(out) + "\n"


def _evidence(line: Proposed) -> list[str]:
    return [*(f"  # {text}" for text in line.evidence), f"  # confidence: {line.confidence}"]


def _entry(line: Proposed) -> str:
    who = ", ".join(json.dumps(str(member)) for member in line.who)
    return f"{{who: [{who}], services: [{line.service}], because: {json.dumps(line.because)}}}"


def _left_out(items: Iterable[LeftOut]) -> list[str]:
    """Write what is not proposed, by reason and service, most looked up first."""
    groups: dict[tuple[str, str], list[LeftOut]] = defaultdict(list)
    for item in items:
        groups[item.why, item.service].append(item)
    by_reason: dict[str, list[str]] = {}
    ranked = sorted(groups.items(), key=lambda entry: (-sum(item.count for item in entry[1]), entry[0]))
    for (why, service), found in ranked[:LEFT_OUT_SHOWN]:
        count = sum(item.count for item in found)
        clients = [f"{item.client} ({item.evidence})" if item.evidence else item.client
                   for item in sorted(found, key=lambda item: (-item.count, item.client))]  # fmt: skip
        text = f"#     {service}, {count} {plural(count, 'lookup')} by {some(clients, 3)}"
        by_reason.setdefault(why, []).append(text)
    out = ["# left out:"] if groups else []
    for why, lines in by_reason.items():
        out += [f"#   {why}", *lines]
    if len(ranked) > LEFT_OUT_SHOWN:
        more = len(ranked) - LEFT_OUT_SHOWN
        out.append(f"#   and {more} more {plural(more, 'service')}: --json lists everything")
    return out


def to_plain(proposal: Proposal) -> dict[str, object]:
    """Give the proposal as JSON values."""
    return {
        "expect": [
            {**entry(line), "clients": list(line.clients), "evidence": list(line.evidence), "count": line.count,
             "days": line.days, "first_seen": _stamp(line.first_at), "last_seen": _stamp(line.last_at),
             "confidence": line.confidence, "doubtful": line.doubtful}
            for line in proposal.lines
        ],
        "left_out": [{"client": item.client, "service": item.service, "count": item.count, "why": item.why,
                      "evidence": item.evidence} for item in proposal.left_out],
    }  # fmt: skip


def _stamp(at: float) -> str:
    return utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
