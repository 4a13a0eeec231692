"""The engine: events in log order → sightings, findings, alerts. One per installation, synchronous and deterministic.

    engine = Engine(policy)
    effects = engine.receive(source, digested, position)   # decided per event, never per block
    effects += engine.advance(log_now, wall_now)           # timers that are due
    changes = engine.changes()                             # what the store must keep; restore() takes it back

Same lines, same order, same policy ⇒ same (id, rev, severity, count), whatever the chunking and wherever it was
interrupted. Log time drives everything: a timer fires at its deadline, in time order, before any later event, with
``at`` = deadline. Every table is bounded; what had to go is counted.

Never: reads clocks or files, knows sinks. Read next: ``state.py``, ``attempts.py``, ``episodes.py``,
``judgement.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.identity import Identity
from dnswatch.core.clients.who import parse_address
from dnswatch.core.detect import judgement, outcomes
from dnswatch.core.detect.attempts import JOIN_S, Attempt
from dnswatch.core.detect.changes import Action, Changes, SightingRow
from dnswatch.core.detect.episodes import Episode
from dnswatch.core.detect.flood import EXPECTED, MILD, NEWCOMER, SEVERE, TCP
from dnswatch.core.detect.holds import Hold
from dnswatch.core.detect.notes import Notes
from dnswatch.core.detect.state import State
from dnswatch.core.model import (
    SEVERITIES,
    Client,
    Effect,
    Event,
    Indicator,
    Lease,
    Name,
    Notice,
    Outcome,
    Position,
    Query,
    Reason,
    Sighting,
    Verdict,
    Weird,
)
from dnswatch.core.policy import Policy

if TYPE_CHECKING:
    from dnswatch.core.logs.digest import Digested

__all__ = ["Action", "Changes", "Engine", "SightingRow"]

DAY_S = 86400.0
SEEN_S = 60.0
"""Who was seen so long ago is known: made-up addresses are used once, or in turns within seconds."""
GRAVE = SEVERITIES.index("high")

_offset = attrgetter("offset")

DONE: dict[str, str] = {
    "ack": "acknowledged", "close": "closed", "comment": "commented", "lift": "lifted", "reopen": "reopened",
    "snooze": "snoozed",
}  # fmt: skip


class Engine(State):
    """Detection, on its state. `receive`, `advance` and `act` return what happened, in decision order."""

    def __init__(self, policy: Policy, identity: Identity | None = None) -> None:
        super().__init__(policy, identity)
        self._last_at: dict[str, float] = {}  # newest stamp of each source, to count late lines
        self._notes = Notes(self.history, self._trails, self.identity, self._panel)
        self.reconfigure(policy)

    def reconfigure(self, policy: Policy) -> None:
        """Judge by another policy from now on. Open episodes stay; nothing is judged again."""
        self.policy = policy
        self._blocks = outcomes.Blocks(policy)
        self._match = policy.catalog.match
        self._panel.configure(policy.detection)
        self._notes.forget()
        self._openings.configure(policy.detection.strangers)

    # ── In ────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, source: str, digested: Digested, position: Position) -> list[Effect]:
        """Take the events of one block of a source; give alerts and decisions in the order they were made."""
        events = digested.events
        if self.history.began_at is None:
            self._begin(digested)
        begun, path = 0, position.path
        for offset, sample in digested.samples:
            if type(sample) is Query or type(sample) is Verdict:
                if begun < len(events) and events[begun].offset < offset:
                    end = bisect_left(events, offset, begun, key=_offset)
                    self._receive(source, path, events[begun:end])
                    begun = end
                if self._asks(source, sample) and self._remembers(sample.client, sample.at):
                    self.history.roles.sampled(sample.client, sample.at, sample.qname, sample.qtype)
        self._receive(source, path, events[begun:] if begun else events)
        return self._take_effects()

    def _asks(self, source: str, sample: Query | Verdict) -> bool:
        """Say whether a sampled line is a lookup; an answer is one only where lookups themselves are not logged."""
        if isinstance(sample, Query):
            self._sources.saw_query(source, sample.at)
        elif sample.kind != "answer" or self._sources.logs_queries(source, sample.at):
            return False
        return bool(sample.client)

    def _receive(self, source: str, path: str, events: list[Event]) -> None:
        last = self._last_at.get(source, 0.0)
        asked_at = 0.0  # newest lookup that `_sources` was not told of
        for event in events:
            at = event.at
            if at > self.log_now:
                self._pass(at)
            elif at < last or 0.0 < at < self.log_now - JOIN_S:  # closer together, sources are simply interleaved
                self.counters["late"] += at > 0.0
            if at > last:
                last = at
            if type(event) is Query:
                if at > asked_at:
                    asked_at = at
                self._query(source, path, event)
            elif type(event) is Verdict:
                if asked_at:
                    self._sources.saw_query(source, asked_at)
                self._verdict(source, path, event)
            else:
                self._other(event)
        self._last_at[source] = last
        if asked_at:
            self._sources.saw_query(source, asked_at)

    def advance(self, log_now: float, wall_now: float) -> list[Effect]:
        """Let log time pass without a line; fire what became due. ``wall_now`` is for silence and lag only."""
        if log_now > self.log_now:
            self._pass(log_now)
        return self._take_effects()

    def act(self, action: Action) -> list[Effect]:
        """Apply what an operator asks; give the revision, or nothing when the alert is not open any more."""
        if action.kind == "lift":
            kind, _, trigger = action.alert.partition(" ")
            ended = self._decisions.lift(kind, trigger, self.log_now or action.at, _remark(action))
            return [ended] if ended is not None else []
        at = self.log_now or action.at
        if self._strangers.about(action.alert):
            self._strangers.act(action.kind, at, action.until, Reason("operator", _remark(action)))
            self._wait_for_strangers()
            self._tell_of_strangers(at, DONE[action.kind])
            return self._take_effects()
        episode = self._by_id.get(action.alert)
        if episode is None:
            self.counters["action-unknown-alert"] += 1
            return []
        if action.kind != "comment":
            episode.snoozed_until = None
        if action.kind == "ack":
            episode.state = "acknowledged"
        elif action.kind == "reopen":
            episode.state = "open"
        elif action.kind == "snooze":
            episode.state = "snoozed"
            episode.snoozed_until = action.until
            if action.until is not None:
                self._timers.push(action.until, "snooze", episode.key)
        episode.add_remark(Reason("operator", _remark(action)))
        if action.kind == "close":
            self._close(episode, at, DONE[action.kind])
        else:
            self._revise(episode, at, DONE[action.kind])
        return self._take_effects()

    def _begin(self, digested: Digested) -> None:
        """Note the first line ever seen: learning counts from it. Samples count too, by position in the file."""
        events = ((e.offset, e.at) for e in digested.events if not isinstance(e, Lease) and e.at)
        samples = ((offset, e.at) for offset, e in digested.samples if e is not None and e.at)
        first = [found for found in (next(events, None), next(samples, None)) if found is not None]
        if first:
            self.history.began_at = min(first)[1]
            self._clock_changed = True

    # ── Time ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _pass(self, now: float) -> None:
        """Move log time forward: first whatever was due before, in time order."""
        while self._timers.next_at < now:
            deadline, kind, key = self._timers.pop()
            if deadline > self.log_now:
                self.log_now = deadline
            if kind == "review":  # most are
                self._review_due(key, deadline)
            elif kind == "episode":
                self._episode_due(key, deadline)
            elif kind == "leak":
                self._leak_due(key, deadline)
            elif kind == "hold":
                self._hold_due(key, deadline)
            elif kind == "strangers":
                self._strangers_due(deadline)
            else:
                self._snooze_due(key, deadline)
        self.log_now = now
        self._clock_changed = True

    def _episode_due(self, key: str, deadline: float) -> None:
        episode = self._episodes.rows.get(key)
        if episode is None:
            return
        ends_at = episode.attempt_at + self.policy.detection.episode_gap_s
        if ends_at > deadline:
            self._timers.push(ends_at, "episode", key)
        else:
            self._close(episode, deadline, "ended")

    def _leak_due(self, key: str, deadline: float) -> None:
        client, _, qname = key.partition(" ")
        attempt = self._attempts.by_name.get(qname, {}).get(client)
        while attempt is not None and attempt.deadline != deadline:
            attempt = attempt.older
        if attempt is None:
            return
        attempt.deadline = 0.0
        self._attempts.changed[attempt.n] = attempt
        episode = attempt.episode
        if not attempt.settled and episode is not None and not episode.closed and episode.set_outcome("leaked"):
            self._revise(episode, deadline, "outcome")

    def _hold_due(self, key: str, deadline: float) -> None:
        hold = self._holds.table.rows.get(key)
        if hold is not None and hold.deadline <= deadline:
            self._holds.drop(hold)
            self._judge_hold(hold, deadline)

    def _review_due(self, key: str, deadline: float) -> None:
        episode = self._episodes.rows.get(key)
        if episode is None or deadline not in episode.reviews:
            return
        episode.reviews.remove(deadline)
        self._episodes.changed.add(key)
        first = self._attempts.find(episode.client.address, episode.qname, episode.first_at)
        sighting = judgement.sight_again(self.policy, episode, first.qtypes if first is not None else [])
        if sighting is not None:
            found = self._panel.review(sighting, deadline, self.history)
            if found and (cause := episode.add_review(found)):
                self._revise(episode, deadline, cause)

    def _snooze_due(self, key: str, deadline: float) -> None:
        episode = self._episodes.rows.get(key)
        if episode is not None and episode.state == "snoozed" and episode.snoozed_until == deadline:
            episode.state, episode.snoozed_until = "open", None
            self._revise(episode, deadline, "snooze-ended")

    # ── Queries ───────────────────────────────────────────────────────────────────────────────────────────────

    def _query(self, source: str, path: str, query: Query) -> None:
        attempt = self._attempts.find(query.client, query.qname, query.at)
        if attempt is not None:
            self._repeat(attempt, source, path, query)
            if self._holds:
                self._release(source, query, attempt)
            return
        if self._notes.again(query):
            return
        indicators = self._match(query.qname)
        if not indicators or not query.client:
            self.counters["unwatched"] += 1
            return
        api = judgement.api_indicator(indicators)
        if api is None or len(indicators) > 1:
            self._note(path, query, indicators, api)
        if api is None:
            return
        forwarders = self.policy.detection.forwarders.get(source)
        if forwarders is not None and query.client in forwarders:
            self._hold(source, path, query)
            return
        attempt = self._open(source, path, api, query, query.at)
        if self._holds and attempt is not None:
            self._release(source, query, attempt)

    def _note(self, path: str, event: Query | Verdict, indicators: Sequence[Indicator], api: Indicator | None) -> None:
        """Remember what a name meets that is no sighting by itself."""
        for indicator in indicators:
            if indicator is not api and self._remembers(event.client, event.at):
                self._notes.note(path, event, indicator, alone=len(indicators) == 1)

    def _repeat(self, attempt: Attempt, source: str, path: str, event: Query | Verdict) -> None:
        """A further line of an open attempt: nothing to judge."""
        self._attempts.note(attempt, source, event)
        episode = attempt.episode
        if episode is not None and not episode.closed:
            if event.at > episode.last_at:
                episode.last_at = event.at
            episode.add_line(path, event.offset, event.line)
            self._episodes.changed.add(episode.key)
            if not attempt.tcp and type(event) is Query and event.transport == "tcp":
                self._decide_on_client(attempt, event)

    def _open(
        self, source: str, path: str, api: Indicator, event: Query | Verdict, at: float, outcome: Outcome | None = None
    ) -> Attempt | None:
        """Judge a new attempt and count it. ``at``: when this is decided; ``outcome``: if it is known at once.

        None: it is one of a flood, and nothing that comes later is joined with it.
        """
        client = judgement.client_of(self.policy, self.identity, event.client, event.at)
        pair = self.history.pair(event.client, api.service)
        held_back = not self._knows(client, pair, event.at) and not self._admits(client, api.service, event)
        sighting = judgement.sight(self.policy, pair, client, api, event.qname, event.qtype, event.at,
                                   reasons=not held_back)  # fmt: skip
        self.counters["expected" if sighting.expected else "unexpected"] += 1
        if held_back:
            self._hold_back(sighting, path, event, at)
            if not self.policy.detection.forwarders and not self._holds:
                return None  # else it may explain what a forwarder asks
        attempt = Attempt(event.client, event.qname, event.at, source, sighting.service.id, sighting.expected)
        attempt.qtypes = (event.qtype,)
        self._attempts.open(attempt, self.log_now)
        if event.serial:
            self._attempts.note(attempt, source, event)
        if held_back:
            return attempt
        self._tally.add(sighting)
        self._trails.note(path, event, api)
        found = judgement.findings(self._panel.asked(sighting), sighting, self.history)
        if found or not sighting.expected:
            attempt.episode = episode = self._episode(sighting)
            cause = episode.add_attempt(sighting, found)
            episode.add_line(path, event.offset, event.line)
            if outcome is not None and episode.set_outcome(outcome):
                cause = cause or "outcome"
            self._episodes.changed.add(episode.key)
            self._watch_for_leak(attempt, sighting)
            if cause:
                self._revise(episode, at, cause)
            if not sighting.expected:
                self._decide_on_tenant(episode, sighting)
                if type(event) is Query and event.transport == "tcp":
                    self._decide_on_client(attempt, event)
        self._panel.observe(sighting, self.history)
        self._decisions.observe(sighting)
        self.history.record(sighting)
        return attempt

    # ── Clients that nobody knows ─────────────────────────────────────────────────────────────────────────────

    def _knows(self, client: Client, pair: str, at: float) -> bool:
        """Say whether a client is one that a forger would have to guess: it has a lease, or was seen before.

        Not just before: a forger can let other lookups go ahead. In a flood: before it began, or a day ago.
        """
        if client.name or client.mac or self.history.client(pair):
            return True
        activity = self.history.roles.clients.rows.get(client.address)
        if activity is None:
            return False
        began_at = self._strangers.began_at if self._strangers.lasts else at
        return activity.since <= max(min(began_at, at) - SEEN_S, at - DAY_S)

    def _admits(self, client: Client, service: str, event: Query | Verdict) -> bool:
        """Say whether an attempt by an unknown client is within the allowance that it needs, and use that."""
        if self.policy.expectations.hold(client, service, event.at):
            lane = EXPECTED
        elif type(event) is Query and event.transport == "tcp":
            lane = TCP
        else:
            grave = SEVERITIES.index(self.policy.catalog.services[service].base_severity) >= GRAVE
            lane = SEVERE if grave else MILD
        return self._openings.admit(lane, event.at)

    def _remembers(self, address: str, at: float) -> bool:
        """Say whether what a client asks may be remembered of it: made-up ones must not push the others out."""
        if address in self.history.roles.clients.rows or self._openings.admit(NEWCOMER, at):
            return True
        self.counters["flood-forgotten"] += 1
        return False

    def _hold_back(self, sighting: Sighting, path: str, event: Query | Verdict, at: float) -> None:
        """Count a lookup in the one alert of all clients that nobody knows."""
        self.counters["flood"] += 1
        begun = not self._strangers.lasts
        cause = self._strangers.add(sighting, path, event.offset, event.line)
        if begun:
            self._wait_for_strangers()
        if cause:
            self._tell_of_strangers(at, cause)

    def _strangers_due(self, deadline: float) -> None:
        due_at = self._strangers.due_at()
        if due_at is not None and due_at <= deadline and (cause := self._strangers.due(deadline)):
            self._tell_of_strangers(deadline, cause)
        self._wait_for_strangers()

    def _wait_for_strangers(self) -> None:
        if (due_at := self._strangers.due_at()) is not None:
            self._timers.push(due_at, "strangers", "")

    def _tell_of_strangers(self, at: float, cause: str) -> None:
        self._effects.append(self._strangers.revise(at, cause))

    # ── Decisions ─────────────────────────────────────────────────────────────────────────────────────────────

    def _decide_on_client(self, attempt: Attempt, event: Query) -> None:
        """Count an unexpected attempt that came over TCP, and see whether its client shall be cut off."""
        episode = attempt.episode
        if episode is None or attempt.expected:
            return
        attempt.tcp = True
        episode.tcp += 1
        behaviour = self.history.behaviour(event.client, event.at)
        role = "crowd" if behaviour.crowd else "scanner" if behaviour.scanner else ""
        decision = self._decisions.cut_off(self.policy, episode, event.server, role, event.at)
        if decision is not None:
            self._effects.append(decision)

    def _decide_on_tenant(self, episode: Episode, sighting: Sighting) -> None:
        decision = self._decisions.block_tenant(self.policy, episode, sighting)
        if decision is not None:
            self._effects.append(decision)

    # ── Episodes of an attempt ────────────────────────────────────────────────────────────────────────────────

    def _episode(self, sighting: Sighting) -> Episode:
        """Give the open episode that a sighting belongs to, or open one."""
        key = sighting.pair
        episode = self._episodes.rows.get(key)
        mac = sighting.client.mac
        if episode is not None and mac and episode.client.mac not in ("", mac):
            self._close(episode, self.log_now, "other-host")  # DHCP has given the address to somebody else
            episode = None
        if episode is None:
            episode = Episode(sighting)
            self._episodes.put(key, episode)
            self._by_id[episode.id] = episode
            self._timers.push(sighting.at + self.policy.detection.episode_gap_s, "episode", key)
            episode.reviews = [] if sighting.expected else self._panel.reviews(sighting)
            for due_at in episode.reviews:
                self._timers.push(due_at, "review", key)
            self._drop_void_timers()
        return episode

    def _watch_for_leak(self, attempt: Attempt, sighting: Sighting) -> None:
        """In enforce mode, where a rewrite is to be expected, set a timer: its absence is a leak."""
        at = sighting.at
        if self.policy.feeds.mode != "enforce" or not self._sources.enforces(attempt.source, at):
            return
        if self._blocks.for_client(sighting.client, sighting.qname, at):
            attempt.deadline = at + JOIN_S
            if attempt.deadline <= self.log_now:  # a late line: what the resolver did with it is late as well
                attempt.deadline = self.log_now + JOIN_S
            self._timers.push(attempt.deadline, "leak", f"{attempt.client} {attempt.qname}")
            self._drop_void_timers()

    # ── Lookups of our own forwarders ─────────────────────────────────────────────────────────────────────────

    def _hold(self, source: str, path: str, query: Query, verdict: Verdict | None = None) -> None:
        """Hold a forwarder's lookup unless a lookup at another source already explains it."""
        if next(self._attempts.recent(query.qname, query.at, elsewhere=source), None) is not None:
            self.counters["forwarded"] += 1
            return
        hold = self._holds.find(source, query.client, query.qname)
        if hold is not None:
            self._holds.add_line(hold, query)
            return
        first = self._holds.first_if_full()
        if first is not None:
            self._holds.drop(first)
            self._judge_hold(first, self.log_now)
        hold = Hold(source, path, query)
        self._holds.add(hold)
        if verdict is not None:
            self._holds.add_verdict(hold, verdict)
        self._timers.push(hold.deadline, "hold", hold.key)

    def _release(self, source: str, query: Query, attempt: Attempt) -> None:
        """A front lookup explains what its forwarder asked: what the second resolver said concerns this attempt."""
        for hold in self._holds.release(query.qname, query.at, source):
            self.counters["forwarded"] += 1
            for verdict in hold.verdicts:
                self._apply(attempt, hold.source, hold.path, verdict, self.log_now)

    def _judge_hold(self, hold: Hold, decided_at: float) -> None:
        """Nobody at the front asked: the forwarder itself did."""
        query = hold.queries[0]
        api = judgement.api_indicator(self._match(query.qname))
        if api is None:  # the catalogue changed meanwhile
            return
        attempt = self._open(hold.source, hold.path, api, query, decided_at)
        if attempt is None:
            return
        for further in hold.queries[1:]:
            self._repeat(attempt, hold.source, hold.path, further)
        for verdict in hold.verdicts:
            self._apply(attempt, hold.source, hold.path, verdict, decided_at)

    # ── Verdicts ──────────────────────────────────────────────────────────────────────────────────────────────

    def _verdict(self, source: str, path: str, verdict: Verdict) -> None:
        if outcomes.ours(verdict, self.policy):
            self._sources.saw_rewrite(source, verdict.at)
        attempt = self._attempts.judged(source, verdict)
        forwarded = verdict.client in self.policy.detection.forwarders.get(source, ())
        if attempt is None and forwarded:
            hold = self._holds.find(source, verdict.client, verdict.qname)
            if hold is not None:
                self._holds.add_verdict(hold, verdict)
                return
            attempt = self._attempts.only(verdict.qname, verdict.at, elsewhere=source)
        if attempt is not None:
            self._apply(attempt, source, path, verdict, verdict.at)
        elif verdict.client and not self._sources.logs_queries(source, verdict.at):
            self._count_verdict(source, path, verdict, forwarded)
        else:
            self.counters["verdict-unjoined"] += 1

    def _count_verdict(self, source: str, path: str, verdict: Verdict, forwarded: bool) -> None:
        """Take a verdict as an attempt: its source does not log queries."""
        attempt = self._attempts.find(verdict.client, verdict.qname, verdict.at)
        if attempt is not None:
            self._apply(attempt, source, path, verdict, verdict.at)
            return
        indicators = self._match(verdict.qname)
        api = judgement.api_indicator(indicators)
        self._note(path, verdict, indicators, api)
        if api is None:
            self.counters["unwatched"] += 1
        elif forwarded:
            asked = Query(verdict.at, verdict.client, verdict.port, verdict.qname, verdict.qtype, "", "",
                          verdict.serial, verdict.line, verdict.offset)  # fmt: skip
            self._hold(source, path, asked, verdict)
        elif verdict.kind == "answer":
            attempt = self._open(source, path, api, verdict, verdict.at)
            if attempt is not None:
                self._apply(attempt, source, path, verdict, verdict.at)
        else:
            outcome = self._blocks.of_rewrite(verdict) if verdict.kind == "rewrite" else None
            attempt = self._open(source, path, api, verdict, verdict.at, outcome)
            if attempt is not None:
                attempt.settled = True

    def _apply(self, attempt: Attempt, source: str, path: str, verdict: Verdict, at: float) -> None:
        """Take what the resolver did with an attempt. ``at``: when this is decided."""
        self._attempts.note(attempt, source, verdict)
        if verdict.kind != "answer":
            attempt.settled = True
        outcome = self._blocks.of_rewrite(verdict) if verdict.kind == "rewrite" else None
        if attempt.expected and outcome is not None and outcome != "observed":
            self.counters[f"expected-{outcome}"] += 1
        episode = attempt.episode
        if episode is None or episode.closed:
            return
        if verdict.kind == "answer":
            episode.add_answers(verdict.data)
            if self._leaks(episode, attempt, source, verdict):
                outcome = "leaked"
        episode.add_line(path, verdict.offset, verdict.line)
        self._episodes.changed.add(episode.key)
        if outcome is not None and episode.set_outcome(outcome):
            self._revise(episode, at, "outcome")

    def _leaks(self, episode: Episode, attempt: Attempt, source: str, verdict: Verdict) -> bool:
        """Say whether an answer leads to a service that our zones should have blocked."""
        if not self._blocks.leaks(verdict.data):
            return False
        if self._sources.tells_clients_apart(source):
            return self._blocks.for_client(episode.client, attempt.qname, verdict.at)
        return self._blocks.for_everyone(attempt.qname, verdict.at)

    # ── Everything else ───────────────────────────────────────────────────────────────────────────────────────

    def _other(self, event: Event) -> None:
        if isinstance(event, Lease):
            if self.identity.learn(event):
                address = str(parse_address(event.address))
                if self.identity.taken_over(address):  # else it is the same host still, or the first that we hear of
                    self._trails.hand_over(address)
                    self._panel.hand_over(address)
        elif isinstance(event, Weird):
            self.counters[f"weird:{event.why}"] += 1
            if event.client:
                self.history.remember_weird(event.client, event.at or self.log_now)
        elif isinstance(event, Notice):
            lost = event.count if event.kind == "overflow" else 0  # other counts are not of lines: an epoch, a size
            self.counters[f"notice:{event.kind}"] += lost or 1

    # ── Episodes ──────────────────────────────────────────────────────────────────────────────────────────────

    def _revise(self, episode: Episode, at: float, cause: str) -> None:
        self._trails.tell(episode, self.identity)
        self._effects.append(episode.revise(at, cause))
        self._episodes.changed.add(episode.key)

    def _close(self, episode: Episode, at: float, cause: str) -> None:
        episode.state = "closed"
        self._revise(episode, at, cause)
        self._episodes.drop(episode.key)
        self._forget(episode)

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # ── Asking ────────────────────────────────────────────────────────────────────────────────────────────────

    def judge(self, address: str, qname: Name, qtype: str, at: float) -> judgement.Judgement:
        """Say what a lookup would mean, with everything that is known, and remember nothing of it."""
        return judgement.judge(self.policy, self.identity, self._panel.signals, self.history, address, qname, qtype, at)


def _remark(action: Action) -> str:
    """Write what an operator did for those who read the alert."""
    text = DONE[action.kind]
    if action.kind == "snooze" and action.until is not None:
        text += f" until {until_text(action.until)}"
    if action.by:
        text += f" by {action.by}"
    return f"{text}: {action.note}" if action.note else text
