"""`dnswatch alerts`: list them, show one with everything that is known, acknowledge and close.

Never: changes an alert itself; `ack` and `close` leave an action that the daemon applies at its next checkpoint (or
when it starts). Read next: ``io/store/book.py``.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dnswatch.cli import config_path
from dnswatch.cli.state import called, state_dir
from dnswatch.cli.tables import counted, print_json, print_table, time_text
from dnswatch.config.values import duration, instant
from dnswatch.core.alerts.flat import BLIND_SPOT, deviates, flat, reason, who
from dnswatch.core.model import SEVERITIES, Alert
from dnswatch.core.propose import NEVER
from dnswatch.errors import EXIT_FAILED, ConfigError, DnswatchError
from dnswatch.io.around import SPAN_S, Around, read_around
from dnswatch.io.lock import running_pid
from dnswatch.io.log import escaped

if TYPE_CHECKING:
    from dnswatch.core.alerts.triage import Advice, Triage
    from dnswatch.core.catalog import Catalog
    from dnswatch.io.store import Asked, Store

STATES = ("open", "acknowledged", "snoozed", "closed")
SHORT_ID = 10
"""Characters of an id in the table: 50 bits, any command takes it as a prefix."""
APPLIED_S = 5.0
"""The daemon applies an action within a second; it is busy when that takes longer."""

OTHERS = 5
"""Other alerts of the client that its page names: what came before and after says most about an incident."""
OUTCOMES = {
    "observed": "the lookup was seen; what the resolver answered was not",
    "would-block": "our zones met it, but in mode shadow they only log: nothing was blocked",
    "blocked": "the resolver gave our zone's answer instead",
    "leaked": "it should have been blocked and was answered",
}

T = TypeVar("T")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List and show alerts, acknowledge and close them. An id may be cut, as long as it is unique."""


@command.command("list")
@click.option("--since", metavar="TIME", help="Last seen since: 24h, 7d, a date or an RFC 3339 time.")
@click.option("--severity", type=click.Choice(SEVERITIES), default="info", help="At least this severity.")
@click.option("--client", default="", metavar="WHO", help="Address, name or group.")
@click.option("--service", default="", metavar="SERVICE", help="Service or category.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only this state; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N, the last seen ones.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def list_command(
    ctx: click.Context, since: str | None, severity: Any, client: str, service: str, states: tuple[str, ...],
    limit: int | None, as_json: bool,
) -> None:  # fmt: skip
    """List alerts, the last seen first."""
    from dnswatch.io.store import Wanted

    wanted = Wanted(_since(since), severity, client, service, states, limit)
    alerts = _ask(ctx, lambda store: store.alerts(wanted))
    if as_json:
        print_json([_plain(one) for one in alerts])
        return
    rows = [
        (one.id[:SHORT_ID], time_text(one.last_at), one.severity, str(one.score), _who(one),
         one.client.group or "-", one.service, str(one.count), one.state, one.outcome, _what(one))
        for one in alerts
    ]  # fmt: skip
    print_table(("ID", "LAST SEEN", "SEVERITY", "SCORE", "CLIENT", "GROUP", "SERVICE", "COUNT", "STATE", "OUTCOME",
                 "NAME"), rows, severity=2)  # fmt: skip
    click.echo(f"{counted(len(rows), 'alert')}.", err=True)


@command.command("show")
@click.argument("alert_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(ctx: click.Context, alert_id: str, as_json: bool) -> None:
    """Show everything about one alert: who, what, why, the lines, its history, what to do next."""
    from dnswatch.io.store import Wanted

    async def found(store: Store) -> tuple[Alert, list[Alert], list[Alert], Around | None]:
        last, revisions = await _find(store, alert_id)
        kept = Wanted(client=last.client.address, service="" if last.client.address else BLIND_SPOT, limit=OTHERS + 1)
        others = await store.alerts(kept)
        return (
            last, revisions, [one for one in others if one.id != last.id][:OTHERS],
            await store.surroundings(last.id),
        )  # fmt: skip

    last, revisions, others, kept = _ask(ctx, found)
    catalog, triage = _texts(ctx)
    advice = triage.of(last)
    around = None if last.category == BLIND_SPOT else read_around(last)
    if around is not None and not around.lookups and kept is not None and kept.lookups:
        around = kept  # the log is gone, what was read from it is not
    if as_json:
        print_json({
            **_plain(last, advice),
            "cause": last.cause,
            "evidence": [{"path": line.path, "offset": line.offset, "line": line.line} for line in last.evidence],
            "around": around and _plain_around(around, catalog),
            "revisions": [{"rev": one.rev, "time": time_text(one.at), "cause": one.cause, "severity": one.severity,
                           "state": one.state, "outcome": one.outcome, "count": one.count} for one in revisions],
        })  # fmt: skip
        return
    story = _story(last, revisions, others, advice, called(ctx))
    if around is not None:
        at = story.index("History") - 1
        story[at:at] = ["", f"Lookups of {last.client.address} within {SPAN_S / 60:.0f} minutes",
                        *_surroundings(around, catalog)]  # fmt: skip
    for line in story:
        click.echo(escaped(line))


@command.command("ack")
@click.argument("alert_id", metavar="ID")
@click.option("--note", default="", help="Why, for those who come after you.")
@click.pass_context
def ack(ctx: click.Context, alert_id: str, note: str) -> None:
    """Acknowledge: somebody is looking into it."""
    _act(ctx, "ack", alert_id, note)


@command.command("close")
@click.argument("alert_id", metavar="ID")
@click.option("--note", default="", help="Why, for those who come after you.")
@click.pass_context
def close(ctx: click.Context, alert_id: str, note: str) -> None:
    """Close: the episode is over. The next unexpected lookup opens a new alert."""
    _act(ctx, "close", alert_id, note)


# ── Asking the store ──────────────────────────────────────────────────────────────────────────────────────────


def _ask(ctx: click.Context, question: Any) -> Any:
    """Open the store for reading and answer one question."""
    from dnswatch.io.store import FILE, Store

    where = state_dir(ctx)

    async def answer() -> Any:
        async with await Store.open(where / FILE, readonly=True) as store:
            return await question(store)

    return asyncio.run(answer())


def _texts(ctx: click.Context) -> tuple[Catalog, Triage]:
    """Give catalogue and advice in the configured language; in English while the configuration is broken."""
    from dnswatch.config.catalogue import load_catalogue
    from dnswatch.config.load import read
    from dnswatch.config.triage import triage_of

    config = read(Path(config_path(ctx))).config
    folder = config.watch.services_dir if config is not None else None
    try:
        catalog = load_catalogue([folder] if folder is not None else [])
    except ConfigError:
        catalog = load_catalogue()
    return catalog, triage_of(catalog, config.lang if config is not None else "en")


async def _find(store: Store, prefix: str) -> tuple[Alert, list[Alert]]:
    """Give the one alert whose id begins so, as it stands, and its revisions."""
    found = await store.alert_ids(prefix)
    if not found:
        raise DnswatchError(f"there is no alert {prefix!r}: `dnswatch alerts list` shows them")
    if len(found) > 1:
        raise DnswatchError(f"{prefix!r} is the beginning of several ids: {', '.join(found[:5])} … write more of it")
    revisions = await store.revisions(found[0])
    return await store.alert(found[0]) or revisions[-1], revisions


def _act(ctx: click.Context, kind: str, prefix: str, note: str) -> None:
    """Leave an action and, where a daemon runs, wait for what becomes of it."""
    from dnswatch.io.store import FILE, Store

    where = state_dir(ctx)
    pid = running_pid(where)

    async def leave() -> tuple[Alert, Asked | None]:
        async with await Store.open(where / FILE, create=False) as store:
            last, _ = await _find(store, prefix)
            if last.state == "closed":
                raise DnswatchError(f"{last.id} is closed already")
            number = await store.ask({"kind": kind, "alert": last.id, "note": note}, _user())
            return last, await _outcome(store, number) if pid is not None else None

    last, asked = _run(leave())
    if asked is None:
        when = "when dnswatch runs again" if pid is None else "as soon as the running daemon comes to it"
        click.echo(f"Noted: {kind} {last.id} takes effect {when}.")
    elif asked.result == "done":
        click.echo(f"Done: {last.id} ({last.client.address or who(last)}, {last.service}) is "
                   f"{'acknowledged' if kind == 'ack' else 'closed'}.")  # fmt: skip
    else:
        click.echo(f"{last.id}: {asked.result}", err=True)
        ctx.exit(EXIT_FAILED)


async def _outcome(store: Store, number: int) -> Asked | None:
    """Wait for the daemon to apply an action; None when it does not in time."""
    until = time.monotonic() + APPLIED_S
    while time.monotonic() < until:
        found = await store.outcome(number)
        if found is not None and found.applied_at is not None:
            return found
        await asyncio.sleep(0.05)
    return None


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _user() -> str:
    """Name who asks, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _since(text: str | None) -> float:
    if not text:
        return 0.0
    try:
        return time.time() - duration(text)
    except ValueError:
        pass
    try:
        return instant(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}, nor a duration like 24h or 7d", param_hint="--since") from None


# ── Telling ───────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(one: Alert, advice: Advice | None = None) -> dict[str, Any]:
    """The flat fields that sinks write, but for the sensor, which is theirs."""
    return {name: value for name, value in flat(one, "", advice).items() if name != "sensor"}


def _story(last: Alert, revisions: list[Alert], others: list[Alert], advice: Advice | None, call: str) -> list[str]:
    client = last.client
    known = [("group", client.group), ("role", client.role), ("name", client.name), ("MAC", client.mac)]
    blind = last.category == BLIND_SPOT
    lines = [f"{last.severity.upper()} {last.score}  {reason(last)}", ""]
    facts = [
        ("Alert", f"{last.id}, revision {last.rev}, {last.state}"),
        ("About", who(last) if blind else ""),
        ("Client", ", ".join(filter(None, [client.address, *(f"{what} {value}" for what, value in known if value)]))),
        ("Service", f"{last.service} ({last.category})"),
        ("Names", ", ".join(last.qnames)),
        ("Seen", _seen(last)),
        ("Outcome", "" if blind else f"{last.outcome}: {OUTCOMES[last.outcome]}"),
        ("Answers", ", ".join(last.answers)),
        ("Rule", f"{last.rule_id}  ATT&CK {' '.join(last.mitre)}" if last.mitre else last.rule_id),
    ]
    lines += [f"{what + ':':9} {text}" for what, text in facts if text]
    lines += ["", "Why", *(f"  {term}" for term in last.because)]
    if last.evidence:
        lines += ["", "Lines", *(f"  {one.path}:{one.offset}  {one.line}" for one in last.evidence)]
    lines += ["", "History"]
    for one in revisions:
        told = _times(one) if blind else f"{one.outcome}, {_times(one)}"
        state = f"{one.severity} {one.score}, {one.state}, {told}"
        lines.append(f"  {one.rev:3}  {time_text(one.at)}  {one.cause}: {state}")
    if others:
        lines += ["", "Other blind spots" if blind else f"Other alerts of {client.address}"]
        lines += [f"  {one.id[:SHORT_ID]}  {time_text(one.last_at)}  {one.severity} {one.score}, {one.state}: "
                  f"{one.service}, {_what(one)}" for one in others]  # fmt: skip
    if advice is not None and last.state != "closed":
        lines += _advice(advice)
    return [*lines, "", "Next", *_next(last, call)]


def _advice(advice: Advice) -> list[str]:
    """Say what to ask, look at and contain."""
    lines = ["", "Triage", f"  {advice.escalation}"]
    for question, answer in advice.questions:
        lines += [f"  ? {question}", *([f"    {answer}"] if answer else [])]
    parts = [("L1", advice.l1), ("T2", advice.t2), ("Containment", (*advice.containment, advice.block)),
             ("Mitigation", advice.mitigations)]  # fmt: skip
    for heading, steps in parts:
        lines += ["", heading, *(f"  - {step}" for step in steps)]
    return [*lines, "", "Look next in", f"  {', '.join(advice.look_next)}"]


def _next(last: Alert, call: str) -> list[str]:
    """Say what to do, in commands that can be copied."""
    client, short = last.client, last.id[:SHORT_ID]
    if last.category == BLIND_SPOT:
        if last.state == "closed":
            return ["  It is over; if it comes back, there is a new alert."]
        act = last.because[3].text
        return [
            f"  {act[:1].upper()}{act[1:]}. The alert closes by itself when it is over.",
            *([f"    {call} alerts ack {short}      somebody is on it"] if last.state == "open" else []),
            f"    {call} alerts close {short}    it is meant to be so: not raised again for a day while it lasts",
            f"    {call} status                what the daemon sees",
        ]
    if last.state == "closed":
        return ["  It is over; a further unexpected lookup opens a new alert."]
    known = "Is this a known integration of whoever answers for"
    # An address from DHCP will be somebody else's. A group gets no request bin or tunnel by habit (core/propose.py).
    who = f"mac:{client.mac}" if client.mac else client.address
    group = client.group and last.category not in NEVER
    accept = [
        f"  {known} {client.name or client.address}? Then say so, and close it:",
        f"    {call} expect add {who} --service {last.service} --because TEXT --until DATE",
        *([f"    (for its whole group: {call} expect add group:{client.group} …)"] if group else []),
    ]
    return [
        *([f"    {call} alerts ack {short}      somebody is on it"] if last.state == "open" else []),
        f"    {call} alerts close {short}    it is dealt with",
        f"    {call} explain {short}         how it was judged",
        *([] if deviates(last) else accept),
    ]


def _plain_around(around: Around, catalog: Catalog) -> dict[str, Any]:
    return {
        "path": around.path, "problem": around.problem, "left_out": around.left_out,
        "lookups": [{"time": time_text(one.at), "qname": one.qname, "qtype": one.qtype,
                     "watched": _mark(one.qname, catalog)} for one in around.lookups],
    }  # fmt: skip


def _surroundings(around: Around, catalog: Catalog) -> list[str]:
    """Print lookups, one line for repeats of a name, and mark those that dnswatch knows."""
    lines: list[str] = []
    before = ""
    for one in around.lookups:
        if one.qname == before:
            continue
        before = one.qname
        mark = _mark(one.qname, catalog)
        lines.append(f"  {time_text(one.at)}  {one.qname}{f'  <- {mark}' if mark else ''}")
    if around.left_out:
        lines.append(f"  and {counted(around.left_out, 'lookup')} farther away")
    if around.problem:
        lines.append(f"  {around.problem}")
    return lines or ["  none in the log"]


def _mark(qname: str, catalog: Catalog) -> str:
    """Say what dnswatch knows of a name: the service it belongs to, or what it is a sign of."""
    found = catalog.match(qname)
    if not found:
        return ""
    first = next((one for one in found if one.role == "api"), found[0])
    names = {"api": first.service, "recon": "IP check", "doh": "DNS over HTTPS"}
    return names.get(first.role, f"{first.role} of {first.service}")


def _seen(last: Alert) -> str:
    first, until = time_text(last.first_at), time_text(last.last_at)
    return f"{first if first == until else f'{first} to {until}'}, {_times(last)}"


def _who(one: Alert) -> str:
    name = one.client.name
    return f"{one.client.address} ({name})" if name else one.client.address or "-"


def _what(one: Alert) -> str:
    return who(one) if one.category == BLIND_SPOT else one.qname


def _times(one: Alert) -> str:
    return counted(one.count, "time" if one.category == BLIND_SPOT else "attempt")
