"""What a resolver showed becomes a state, and states a statement that names zone, serials and since when."""

from __future__ import annotations

import pytest

from dnswatch.core.feeds.liveness import Copy, Seen, Standing, State, state_of, statement


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (Seen(canary=True), "live"),
        (Seen(), "silent"),
        (Seen(rcode=0, serial=7), "old"),
        (Seen(rcode=0, serial=9), "idle"),  # it has the version, and the canary does not answer
        (Seen(rcode=0, serial=9, visible=False), "live"),  # a rule for our own address hides the canary
        (Seen(rcode=5, stale=True), "old"),
        (Seen(rcode=5), "none"),
        (Seen(rcode=2, visible=False, fetched=9), "none"),  # expired: it was fetched, and is not served any more
        (Seen(rcode=9, visible=False, fetched=9), "none"),  # it does not know the key
        (Seen(rcode=5, visible=False, fetched=9), "live"),
        (Seen(rcode=5, visible=False, fetched=7), "old"),
        (Seen(rcode=5, visible=False), "none"),
    ],
)
def test_states(seen: Seen, state: State) -> None:
    """The canary proves most, then the SOA, then the transfer, where nothing else can be seen."""
    assert state_of(seen, 9) == state


def test_a_statement_names_what_is_wrong_the_oldest_first() -> None:
    """Three copies at most; `status` shows the rest."""
    known = {Copy(f"z{i}.rpz.test", "k1" if i else ""): Standing(9, 100.0 - i, "old", 0.0, 7) for i in range(5)}
    said = statement(known, known, 400.0)
    assert said.startswith("z4.rpz.test (view of key k1): has another serial, 7 instead of serial 9 since 5 min; z3")
    assert said.endswith("; and 2 more")


def test_silence_is_one_statement() -> None:
    """Not one for each zone."""
    known = {Copy("a.rpz.test"): Standing(9, 0.0, "silent"), Copy("b.rpz.test"): Standing(9, 0.0, "silent")}
    assert statement(known, known, 90.0) == "it does not answer since 90 s, so nobody knows whether it blocks"
