"""named.conf as discovery reads it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.host import named
from dnswatch.core.host.named import Statement
from tests.core.host.tree import Files


def test_statements_nest_and_comments_vanish() -> None:
    """All three comment styles go, quoted text keeps its braces, blocks hang below their words."""
    text = """
    // logging { }
    # channel
    /* category
       queries */
    zone "a{b;c" IN { type hint; file "x y"; };
    options { };
    """
    assert named.parse(text) == (
        Statement(("zone", "a{b;c", "IN"), (Statement(("type", "hint")), Statement(("file", "x y")))),
        Statement(("options",)),
    )


def test_a_missing_brace_does_not_hide_the_rest() -> None:
    """named judges syntax; we read what can be read."""
    (logging,) = named.parse("logging { category queries { a; b")
    assert logging.block[0].block == (Statement(("a",)), Statement(("b",)))


@settings(deadline=None, max_examples=80)
@given(st.text(alphabet='{};"/*#\\ ab\n', max_size=200))
def test_any_text_is_read_without_error(text: str) -> None:
    """A broken named.conf is never an exception."""
    named.parse(text)


def test_includes_and_globs_are_followed() -> None:
    """Absolute, relative and glob includes are read; a missing one is reported, a loop ends."""
    tree = Files(
        {
            "/etc/bind/named.conf": 'include "/etc/bind/a.conf"; include "conf.d/*.conf"; include "/etc/bind/none";',
            "/etc/bind/a.conf": 'options { directory "/var/cache/bind"; }; include "/etc/bind/named.conf";',
            "/etc/bind/conf.d/log.conf": 'logging { channel q { file "q.log"; }; category queries { q; }; };',
        }
    )
    found = named.read(tree, "/etc/bind/named.conf")
    assert found is not None
    assert found.logged("queries")[0].path == "/var/cache/bind/q.log"
    assert found.logging_in == "/etc/bind/conf.d/log.conf"
    assert "/etc/bind/none" in found.unreadable
    assert len(found.files) <= named.MAX_INCLUDES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("logging { category queries { null; }; };", True),
        ("options { querylog yes; };", True),
        ("options { querylog no; }; logging { category queries { x; }; };", False),
    ],
)
def test_query_logging_follows_querylog_then_the_category(text: str, expected: bool) -> None:
    """`querylog` decides; without it a mention of category queries switches logging on."""
    found = named.read(Files({"/n": text}), "/n")
    assert found is not None
    assert found.query_logging is expected


def test_channel_options_are_understood() -> None:
    """Stamp, severity, versions, size and buffering of a channel are read."""
    text = """logging { channel q { file "/q" versions 3 size 20m; severity dynamic; print-time yes; buffered yes; };
                        category default { q; }; };"""
    found = named.read(Files({"/n": text}), "/n")
    assert found is not None
    (channel,) = found.logged("queries")
    assert (channel.kind, channel.path, channel.versions, channel.size, channel.buffered) == (
        "file", "/q", True, True, True)  # fmt: skip
    assert channel.zoneless
    assert not channel.drops_info


def test_listeners_and_forwarders_carry_their_ports() -> None:
    """`port` before the block is the default of its members."""
    text = "options { listen-on port 5353 { 127.0.0.1; }; forwarders port 54 { 10.0.0.1; 10.0.0.2 port 55; }; };"
    found = named.read(Files({"/n": text}), "/n")
    assert found is not None
    assert found.listens == (("127.0.0.1", 5353),)
    assert found.forwarders == (("10.0.0.1", 54), ("10.0.0.2", 55))
