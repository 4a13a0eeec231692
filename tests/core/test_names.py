"""Names: what is accepted, what is rejected, and that equal names are equal strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnswatch.core import names

LABELS = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("API.Telegram.Org.", "api.telegram.org"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
    ],
)
def test_written_names_become_canonical(text: str, name: str) -> None:
    """Case and one final dot do not matter in a name that a person wrote."""
    assert names.canonical(text) == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("*.slack.com", "match: subdomains"),
        ("münchen.de", "A-label"),
        ("a..b", "not a host name"),
        ("-a.b", "not a host name"),
        ("a b.c", "not a host name"),
        ("x" * 64 + ".com", "not a host name"),
        ("a." * 130 + "com", "longer than 253"),
    ],
)
def test_written_names_that_are_rejected_say_why(text: str, said: str) -> None:
    """Nothing is repaired: the message says what is wrong."""
    with pytest.raises(ValueError, match=said):
        names.canonical(text)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"Api.TELEGRAM.org", "api.telegram.org"),
        (b"Api.TELEGRAM.org.", "api.telegram.org"),
        (b"api\\046telegram.org", "api\\.telegram.org"),
        (b"api\\.telegram.org", "api\\.telegram.org"),
        (b"hello\\032world.test", "hello\\032world.test"),
        (b"back\\\\slash.test", "back\\\\slash.test"),
        (b"\\097pi.telegram.org", "api.telegram.org"),
        (b"at\\@dollar\\$.test", "at\\064dollar\\036.test"),
        (b".", "."),
    ],
)
def test_bind_escapes_are_undone_exactly_once(raw: bytes, name: str) -> None:
    """A dot inside a label stays inside it; an escaped letter is that letter."""
    assert names.from_escaped(raw) == name


@pytest.mark.parametrize("raw", [b"", b"a..b", b"a\\25.b", b"a\\256.b", b"a\\", b"x" * 64 + b".c", b"a." * 130 + b"c"])
def test_what_is_no_name_is_none(raw: bytes) -> None:
    """Broken escapes, empty labels and over-long names are refused."""
    assert names.from_escaped(raw) is None


def test_dnsmasq_backslashes_are_plain_bytes() -> None:
    """dnsmasq does not escape: a backslash there is a backslash in the name (log_formats §2.4)."""
    assert names.from_raw(b"back\\slash.test") == "back\\\\slash.test"
    assert names.from_raw(b"a\\032b.test") == "a\\\\032b.test"


@given(LABELS)
def test_labels_survive_the_round_trip(labels: list[bytes]) -> None:
    """labels → name → labels is the identity but for ASCII case, and names are printable ASCII without spaces."""
    name = names.from_labels(labels)
    assert name is not None
    assert names.to_labels(name) == [label.lower() for label in labels]
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert names.from_escaped(name.encode()) == name


@given(LABELS)
def test_parents_are_label_aligned(labels: list[bytes]) -> None:
    """The ancestors of a name are exactly its label suffixes, escaped dots and all."""
    name = names.from_labels(labels)
    assert name is not None
    found = list(names.parents(name))
    assert found == [names.from_labels(labels[i:]) for i in range(len(labels))]
    assert all(names.within(name, parent) for parent in found)


def test_within_needs_a_label_boundary() -> None:
    """notdiscord.com is not below discord.com, and neither is a name whose dot is escaped."""
    assert names.within("gateway.discord.com", "discord.com")
    assert not names.within("notdiscord.com", "discord.com")
    assert not names.within("evil\\.discord.com", "discord.com")
    assert not names.within("api.telegram.org.evil.test", "api.telegram.org")


@given(st.binary(max_size=300))
def test_log_bytes_never_raise(raw: bytes) -> None:
    """Any bytes give a name or None, in both readings."""
    for read in (names.from_escaped, names.from_raw):
        name = read(raw)
        assert name is None or name == "." or len(names.to_wire(name)) <= names.MAX_WIRE
