"""Who held an address when: nobody is blamed for the host that came before or after."""

import itertools
import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients.identity import MOST_HOLDERS, UNENDING_S, Identity
from dnswatch.core.model import Lease, Who

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def lease(at: float, mac: str = A, name: str = "", until: float | None = None, address: str = "10.0.0.1") -> Lease:
    return Lease(at, address, name, mac, until)


def known(*leases: Lease, most: int = 100) -> Identity:
    identity = Identity(most)
    for one in leases:
        identity.learn(one)
    return identity


def test_a_lease_counts_from_its_start_to_its_end() -> None:
    """Before and after it the address is nobody's."""
    identity = known(lease(100, A, "laptop", 200))
    assert [identity.of("10.0.0.1", at) for at in (99.9, 100, 199.9, 200)] == [
        ("", ""), ("laptop", A), ("laptop", A), ("", "")]  # fmt: skip


def test_the_next_holder_ends_the_last_one() -> None:
    """The name changes at the instant of the new lease; late lines still find the earlier holder."""
    identity = known(lease(100, A, "laptop", 1000), lease(500, B, "phone", 1500))
    assert [identity.of("10.0.0.1", at)[0] for at in (499, 500, 1200, 1500)] == ["laptop", "phone", "phone", ""]


def test_leases_out_of_order() -> None:
    """A lease learned late goes to its place in time and ends where the next begins."""
    identity = known(lease(500, B, "phone", 1500), lease(100, A, "laptop", 1000))
    assert [identity.of("10.0.0.1", at)[0] for at in (100, 499, 500)] == ["laptop", "laptop", "phone"]


def test_a_renewal_is_no_news() -> None:
    """It prolongs; zones are compiled anew only when a holder changes."""
    identity = known(lease(100, A, "laptop", 200))
    before = identity.generation
    assert not identity.learn(lease(150, A, "laptop", 250))
    assert identity.generation == before
    assert identity.of("10.0.0.1", 240) == ("laptop", A)
    assert identity.learn(lease(200, B, "", 300))
    assert identity.generation > before


def test_a_lease_without_end_holds_for_a_day() -> None:
    """A DHCP log line tells no lease time; who is not heard of for a day no longer holds."""
    identity = known(lease(100))
    assert identity.of("10.0.0.1", 99 + UNENDING_S) == ("", A)
    assert identity.of("10.0.0.1", 100 + UNENDING_S) == ("", "")


def test_the_operators_hosts_file_wins_over_the_clients_words() -> None:
    """Its name counts at any time, unless the lease shows another machine than the static MAC."""
    identity = known(lease(100, A, "i-am-the-printer", 200))
    identity.replace_static(
        [Lease(0.0, "10.0.0.1", "desk-4.lan", "", None), Lease(0.0, "10.0.0.1", "second", "", None)]
    )
    assert identity.of("10.0.0.1", 150) == ("desk-4.lan", A)
    assert identity.of("10.0.0.1", 999) == ("desk-4.lan", "")
    before = identity.generation
    identity.replace_static([Lease(0.0, "10.0.0.1", "desk-4.lan", "", None)])
    assert identity.generation == before
    identity.replace_static([])
    assert identity.of("10.0.0.1", 150) == ("i-am-the-printer", A)


def test_hostile_words_are_dropped_and_counted() -> None:
    """A name that is no host name is not remembered; a lease that says nothing usable is refused."""
    identity = known(lease(1, A, "<script>", 100), lease(1, "rubbish", "\x1b[2J", 100, "10.0.0.2"),
                     lease(1, A, "x", 100, "not-an-address"))  # fmt: skip
    assert identity.of("10.0.0.1", 50) == ("", A)
    assert (len(identity), identity.refused) == (1, 2)


def test_addresses_of_a_host() -> None:
    """By MAC or name, at a time; a group or network has none here."""
    identity = known(lease(1, A, "nas.lan", 100), lease(1, A, "", 50, "fd00::1"), lease(1, B, "phone", 100, "10.0.0.3"))
    assert identity.addresses(Who("mac", A), 20) == ("10.0.0.1", "fd00::1")
    assert identity.addresses(Who("mac", A), 60) == ("10.0.0.1",)
    assert identity.addresses(Who("name", "nas"), 60) == ("10.0.0.1",)
    assert identity.addresses(Who("address", "192.0.2.1"), 60) == ("192.0.2.1",)
    assert identity.addresses(Who("group", "x"), 60) == identity.addresses(Who("network", "10.0.0.0/8"), 60) == ()


def test_the_table_is_bounded() -> None:
    """The address not heard of for longest goes first, counted; one address keeps few holders."""
    identity = known(*(lease(i, A, f"h{i}", 1e9, f"10.0.0.{i}") for i in range(1, 100)), most=50)
    assert (len(identity), identity.evicted) == (50, 49)
    assert identity.of("10.0.0.49", 99) == ("", "")
    assert identity.of("10.0.0.99", 99) == ("h99", A)
    busy = known(*(lease(i * 10, A if i % 2 else B, "", i * 10 + 9) for i in range(1, 50)))
    assert len(busy.state()["10.0.0.1"]["holders"]) == MOST_HOLDERS


LEASES = st.lists(
    st.builds(
        lambda at, long, mac, name, last: Lease(float(at), f"10.0.0.{last}", name, mac, float(at + long)),
        st.integers(1, 200), st.integers(1, 80), st.sampled_from(["", A, B]), st.sampled_from(["", "a", "b"]),
        st.integers(1, 3),
    ),
    max_size=20,
)  # fmt: skip


@given(LEASES)
@settings(max_examples=150, deadline=None)
def test_state_is_the_whole_memory(leases: list[Lease]) -> None:
    """Restoring the state, or the changes collected on the way, gives the same answers; holders never overlap."""
    identity, rows = Identity(), {}
    for one in leases:
        identity.learn(one)
        rows.update(identity.changes())
    for state in (identity.state(), rows):
        again = Identity()
        again.restore(json.loads(json.dumps(state)))
        assert again.state() == identity.state()
    for row in identity.state().values():
        assert all(first[1] <= then[0] and first[0] < first[1] for first, then in itertools.pairwise(row["holders"]))


@given(LEASES, st.integers(0, 20), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_restart_changes_nobodys_turn(leases: list[Lease], at: int, order: random.Random) -> None:
    """A table that is full forgets the same address after a restart, whatever the order of the stored rows."""
    identity = Identity(most=2)
    for one in leases[:at]:
        identity.learn(one)
    rows = list(identity.state().items())
    order.shuffle(rows)
    again = Identity(most=2)
    again.restore(json.loads(json.dumps(dict(rows))))
    for one in leases[at:]:
        identity.learn(one)
        again.learn(one)
    assert list(again.state().items()) == list(identity.state().items())


def test_rows_beyond_the_bound_leave_the_store() -> None:
    """What a table that is smaller now cannot take is forgotten there, too."""
    state = known(*(lease(i, A, f"h{i}", 1e9, f"10.0.0.{i}") for i in range(1, 10))).state()
    again = Identity(most=7)
    again.restore(state)
    assert (len(again), again.evicted, again.changes()) == (7, 2, {"10.0.0.1": None, "10.0.0.2": None})


@given(LEASES, st.integers(0, 300))
@settings(max_examples=150, deadline=None)
def test_nobody_holds_outside_of_a_lease(leases: list[Lease], at: int) -> None:
    """Whoever is named held a lease on that address at that time."""
    identity = known(*leases)
    for last in (1, 2, 3):
        name, mac = identity.of(f"10.0.0.{last}", float(at))
        if name or mac:
            assert any(one.address == f"10.0.0.{last}" and one.at <= at < (one.until or 0)
                       and (not mac or mac == one.mac or one.name == name) for one in leases)  # fmt: skip
