"""What was ordered by hand and says less than it seems to: ended, contradicted, or without effect.

Never: an error; what is weaker than it was meant is solved as ``verdicts.py`` says. Read next: ``lint.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from dnswatch.core.clients.expectations import until_text
from dnswatch.core.feeds.audiences import PROBE, api_names, audiences, enabled, expected_services, service_of
from dnswatch.core.feeds.flaws import Flaw
from dnswatch.core.feeds.verdicts import covers, verdicts_of
from dnswatch.core.model import Name
from dnswatch.core.names import within
from dnswatch.core.policy import Entry, FeedPolicy, Policy


def ended(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield what has ended and still stands in a file."""
    for one in policy.expectations.expired(at):
        who = ", ".join(map(str, one.who))
        assert one.until is not None
        text = f"the expectation ended {until_text(one.until)}: extend or remove it ({one.because})"
        yield Flaw("warning", "expired", who, text, one.origin)
    for word, entries in (("block", policy.feeds.block), ("allow", policy.feeds.allow)):
        for entry in entries:
            if entry.until is not None and not entry.holds(at):
                text = f"feeds.{word} of it ended {until_text(entry.until)}: extend or remove it ({entry.because})"
                yield Flaw("warning", "expired", entry.name, text, entry.origin)
    for cut in policy.feeds.quarantine:
        if cut.until is not None and cut.until <= at:
            text = f"the quarantine ended {until_text(cut.until)}: extend or remove it ({cut.because})"
            yield Flaw("warning", "expired", str(cut.who), text, cut.origin)


def entries(policy: Policy, at: float) -> Iterator[Flaw]:
    """Yield manual entries that contradict others, or that nothing would change without."""
    for entry in policy.feeds.block:
        if entry.holds(at):
            yield from _block_flaws(policy, entry, at)
    for entry in policy.feeds.allow:
        if entry.holds(at) and not _changes(policy, entry, at, "allow"):
            text = "feeds.allow of it changes nothing: no zone would block it"
            yield Flaw("warning", "shadowed", entry.name, text, entry.origin)
    for service_id in sorted(policy.feeds.collateral):
        service = policy.catalog.services[service_id]
        if service_id not in policy.catalog.enabled:
            text = "feeds.collateral names it, but it is not watched (watch.profile, watch.include)"
            yield Flaw("warning", "shadowed", service_id, text)
        elif service.block_safety == "safe":
            yield Flaw("warning", "shadowed", service_id, "feeds.collateral names it, but it is safe to block anyway")


def _block_flaws(policy: Policy, entry: Entry, at: float) -> Iterator[Flaw]:
    reached = [audience for audience in audiences(policy) if entry.is_for(audience)]
    for other in policy.feeds.allow:
        both = [audience for audience in reached if other.is_for(audience)]
        if other.holds(at) and both and other.name == entry.name:
            text = f"feeds.block and feeds.allow ({other.origin}) both name it for {', '.join(both)}: it passes"
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
    half = entry.name if entry.match != "subdomains" else f"{PROBE}.{entry.name}"
    void = [audience for audience in reached if not verdicts_of(policy, audience, at).blocked(half)]
    if void:
        service = service_of(policy.catalog, half)
        expected = [audience for audience in void if service in expected_services(policy, audience, at)]
        if expected:
            text = (f"blocked by hand, but {service} is expected there, and that wins: {', '.join(expected)} "
                    "(override: expected blocks it all the same)")  # fmt: skip
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
        elif any(covers(one.name, one.match, half) for one in policy.catalog.never_block):
            text = "blocked by hand, but on the never-block list (override: never-block blocks it all the same)"
            yield Flaw("warning", "contradiction", entry.name, text, entry.origin)
    elif not _changes(policy, entry, at, "block"):
        text = "feeds.block of it changes nothing: every zone that it is for blocks it anyway"
        yield Flaw("warning", "shadowed", entry.name, text, entry.origin)
    for word in sorted(entry.override):
        yield Flaw("note", "override", entry.name, f"stronger than {word}, as ordered: {entry.because}", entry.origin)


def _changes(policy: Policy, entry: Entry, at: float, key: Literal["block", "allow"]) -> bool:
    """Say whether any audience's verdicts differ without the entry."""
    without = _without(policy, entry, key)
    return any(
        verdicts_of(policy, audience, at).blocked(name) != verdicts_of(without, audience, at).blocked(name)
        for audience in audiences(policy) if entry.is_for(audience)
        for name in _asked(policy, entry)
    )  # fmt: skip


def _asked(policy: Policy, entry: Entry) -> list[Name]:
    names = [one.name for service in enabled(policy.catalog) for one in api_names(service)]
    names += [one.name for one in (*policy.feeds.block, *policy.feeds.allow)]
    names += [one.trigger for one in policy.feeds.decisions]
    near = dict.fromkeys([entry.name, *(name for name in names if within(name, entry.name))])
    return [asked for name in near for asked in (name, f"{PROBE}.{name}")]


def _without(policy: Policy, entry: Entry, key: Literal["block", "allow"]) -> Policy:
    kept = tuple(one for one in getattr(policy.feeds, key) if one is not entry)
    feeds: FeedPolicy = replace(policy.feeds, block=kept) if key == "block" else replace(policy.feeds, allow=kept)
    return replace(policy, feeds=feeds)
