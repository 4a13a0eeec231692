"""`scan`: existing logs, one engine, no daemon. The second composition root.

Never: touches the daemon's store, a sink or a feed. State lives in memory unless it is asked to be kept. Results do
not depend on the clock: the same files and options give the same revisions. Read next: ``io/replay.py``,
``daemon.py``.

At the end of the logs the engine is told once that log time has gone on by `SETTLE_S`: long enough for what waits for a
further line (answers, rewrites, a forwarder's lookups) to be decided as it would be live, far too short to end an
episode. What the clock says since then does not count: an old log would close every alert in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dnswatch.config.kept import cache_folder, kept_catalogue
from dnswatch.core.clients.expectations import Expectations
from dnswatch.core.clients.groups import Groups
from dnswatch.core.detect.attempts import ATTEMPT_S
from dnswatch.core.detect.engine import Engine
from dnswatch.core.model import Alert, Decision, Effect, Severity
from dnswatch.core.policy import Policy
from dnswatch.core.reading import Scan as Prescan
from dnswatch.errors import StateError
from dnswatch.io.archive import Family
from dnswatch.io.automata import scan_of
from dnswatch.io.replay import Reading, Replay, Tally

if TYPE_CHECKING:
    import asyncio

    from dnswatch.io.store import Store

SETTLE_S = ATTEMPT_S
"""Log time that passes after the last line: the longest that an attempt, a join (2 s) or a hold (2 s) waits."""
KEEP_EVERY = 64 << 20
"""Bytes of log after which changes are stored, or forgotten where nothing is kept."""


def bare_policy() -> Policy:
    """Give the policy of a scan without configuration: the core catalogue, no groups, nobody expected."""
    return Policy(kept_catalogue(), Groups(()), Expectations(()))


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a scan."""

    kind: str | None = None
    zone: tzinfo | None = None
    year: int | None = None
    state: Path | None = None  # keep the state here
    from_state: Path | None = None  # begin with the state that is here
    tried: Policy | None = None  # judge by this as well, for `Scan.differences`
    collect: bool = True  # keep alerts for `Scan.alerts`, a kilobyte each; else only their severities


class Scan:
    """One run over some logs. Iterate `revisions`, then read the attributes."""

    def __init__(
        self, policy: Policy, families: Sequence[Family], options: Options | None = None,
        on_progress: Callable[[int], None] = lambda _bytes: None,
    ) -> None:  # fmt: skip
        self.policy = policy
        self.options = options or Options()
        self.engine = Engine(policy)
        self._tried = Engine(self.options.tried) if self.options.tried is not None else None
        self._tried_alerts: dict[str, Alert] = {}
        self.alerts: dict[str, Alert] = {}
        """Each alert that this scan opened or changed, without its evidence and timeline: its latest revision, and at
        the end of the logs how it stands there. Empty where they are not collected."""
        self.severities: dict[str, Severity] = {}
        """The severity of each of them."""
        self._seen_until = 0.0  # log time that the state it began with knows
        self._prescans: dict[str, Prescan] = {}
        reading = Reading(
            self._prescan, self.options.kind, self.options.zone, self.options.year, on_progress=on_progress
        )
        self._replay = Replay(families, reading)

    @property
    def tally(self) -> Tally:
        """What was read so far."""
        return self._replay.tally

    @property
    def tier(self) -> str:
        """The prescan's tier, and why not the fast one."""
        return ", ".join(
            sorted({f"{one.tier} ({one.why})" if one.why else one.tier for one in self._prescans.values()})
        )

    @property
    def expected(self) -> int:
        """Watched lookups (attempts) by clients that are expected to make them."""
        return self.engine.counters["expected"]

    @property
    def unexpected(self) -> int:
        """Watched lookups (attempts) by everyone else."""
        return self.engine.counters["unexpected"]

    def by_severity(self) -> Counter[str]:
        """Count alerts by the severity of their latest revision."""
        return Counter(self.severities.values())

    def revisions(self) -> Iterator[Alert]:
        """Run; give each revision in decision order. Raises `StateError` for a state that cannot be used."""
        if self.options.from_state is not None:
            rows = _rows(self.options.from_state)
            self.engine.restore(rows)
            if self._tried is not None:
                self._tried.restore(rows)
            self._seen_until = self.engine.log_now - SETTLE_S
        with _Keeper(self.options.state) as keeper:
            kept_at = 0
            for piece in self._replay.pieces():
                effects = self.engine.receive(piece.source, piece.digested, piece.position)
                if self._tried is not None:
                    self._try(self._tried.receive(piece.source, piece.digested, piece.position))
                    self._tried.forget_changes()
                yield from self._note(effects, keeper)
                self._mind_what_was_seen()
                if self.tally.bytes - kept_at >= KEEP_EVERY:
                    kept_at = self.tally.bytes
                    keeper.keep(self.engine)
            if self.tally.last_at:
                last = self.tally.last_at + SETTLE_S
                yield from self._note(self.engine.advance(last, last), keeper)
                if self._tried is not None:
                    self._try(self._tried.advance(last, last))
            keeper.keep(self.engine)
        self._catch_up()

    def _mind_what_was_seen(self) -> None:
        """Say once that these lines reach back into what the state knows: they would be counted a second time."""
        if self._seen_until and 0 < self.tally.first_at <= self._seen_until:
            self.tally.notes.append(
                f"{self.options.from_state}: this state has already seen the logs up to {_time(self._seen_until)}, and "
                f"these begin at {_time(self.tally.first_at)}: what was in both is counted twice. Scan only what came "
                "later, or begin without --from-state"
            )
            self._seen_until = 0.0

    def differences(self) -> list[tuple[Alert | None, Alert | None]]:
        """Give the alerts whose severity differs under the policy that was tried: (in force, tried); by first lookup.

        An alert has the same id in both, for the lookup that opens it does not depend on weights; None: only in one.
        """
        ids = self.alerts.keys() | self._tried_alerts.keys()
        pairs = [(self.alerts.get(one), self._tried_alerts.get(one)) for one in ids]
        apart = [(now, then) for now, then in pairs if now is None or then is None or now.severity != then.severity]
        return sorted(apart, key=lambda pair: next((one.first_at, one.id) for one in pair if one))

    def _try(self, effects: Iterable[Effect]) -> None:
        self._tried_alerts.update((one.id, _short(one)) for one in effects if isinstance(one, Alert))

    def _catch_up(self) -> None:
        """Show open alerts as they stand at the end: a revision is made at 10, 100, 1000 lookups, not at each."""
        for alert_id in self.alerts:
            now = self.engine.alert(alert_id)
            if now is not None:
                self.alerts[alert_id] = _short(now)
        for alert_id in self._tried_alerts:
            then = self._tried.alert(alert_id) if self._tried is not None else None
            if then is not None:
                self._tried_alerts[alert_id] = _short(then)

    def _note(self, effects: Iterable[Effect], keeper: _Keeper) -> Iterator[Alert]:
        for effect in effects:
            if self.options.state is not None:
                keeper.effects.append(effect)
            if isinstance(effect, Alert):
                self.severities[effect.id] = effect.severity
                if self.options.collect:
                    self.alerts[effect.id] = _short(effect)
                yield effect

    def _prescan(self, kind: str) -> Prescan:
        if kind not in self._prescans:
            self._prescans[kind] = scan_of(kind, self.policy.catalog, cache_folder())
        return self._prescans[kind]


class _Keeper:
    """Stores what happened where the user wants it kept; else forgets it, so that memory stays bounded."""

    def __init__(self, directory: Path | None) -> None:
        self.effects: list[Effect] = []
        self._directory = directory
        self._runner: asyncio.Runner | None = None
        self._store: Store | None = None

    def __enter__(self) -> _Keeper:
        if self._directory is not None:
            import asyncio  # a tenth of the start, for those who keep something

            from dnswatch.io.store import FILE, Store

            path = self._directory / FILE
            if path.exists():
                raise StateError(f"{path} exists: --state keeps a new state; use --from-state to begin with this one")
            self._directory.mkdir(parents=True, exist_ok=True)
            self._runner = asyncio.Runner()
            self._store = self._runner.run(Store.open(path))
        return self

    def keep(self, engine: Engine) -> None:
        """Take the engine's changes since the last call."""
        if self._store is None or self._runner is None:
            engine.forget_changes()
        else:
            changes = engine.changes()
            alerts = [effect for effect in self.effects if isinstance(effect, Alert)]
            decisions = [effect for effect in self.effects if isinstance(effect, Decision)]
            self._runner.run(self._store.checkpoint([], changes, alerts, decisions))
        self.effects.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            if self._store is not None:
                self._runner.run(self._store.close())
            self._runner.close()


def _short(alert: Alert) -> Alert:
    """Leave out what makes up three quarters of an alert's size."""
    return replace(alert, evidence=(), timeline=())


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rows(directory: Path) -> list[tuple[str, str, dict[str, object]]]:
    """Read the engine's rows of a kept state, without changing anything there."""
    import asyncio

    from dnswatch.io.store import FILE, Store

    async def load() -> list[tuple[str, str, dict[str, object]]]:
        async with await Store.open(directory / FILE, create=False, readonly=True) as store:
            return (await store.load()).rows

    return asyncio.run(load())
