"""Words that name clients: what people write is checked, what clients say of themselves is cleaned."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.clients import who


@pytest.mark.parametrize(("text", "canonical"), [
    ("group:build", "group:build"), ("name:Printer-3.LAN.", "name:printer-3.lan"),
    ("mac:AA-BB-CC-DD-EE-0F", "mac:aa:bb:cc:dd:ee:0f"), ("mac:aabb.ccdd.ee0f", "mac:aa:bb:cc:dd:ee:0f"),
    ("mac:1:2:3:4:5:6", "mac:01:02:03:04:05:06"), ("10.0.10.7", "10.0.10.7"), ("10.0.10.7/32", "10.0.10.7"),
    ("2001:DB8:0::1", "2001:db8::1"), ("::ffff:10.0.0.1", "10.0.0.1"),
    ("10.0.10.0/24", "10.0.10.0/24"), ("fd00:10::/64", "fd00:10::/64"),
])  # fmt: skip
def test_members_have_one_form(text: str, canonical: str) -> None:
    """Equal members are equal text, and the canonical text reads as itself."""
    assert str(who.parse_who(text)) == canonical
    assert who.parse_who(canonical) == who.parse_who(text)


@pytest.mark.parametrize("text", ["", "printer", "group:", "group:any", "group:exempt", "group:a_b", "group:-a",
                                  "name:", "name:a b", "name:*.x", "mac:", "mac:aa:bb", "10.0.0.1/24", "10.0.0.0/33",
                                  "1.2.3", "10:20:30:40:50:59", "any", "user:x", "10.0.0.1 "])  # fmt: skip
def test_what_names_nobody(text: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(ValueError, match=r"\w{3}"):
        who.parse_who(text)


@pytest.mark.parametrize(("said", "clean"), [
    ("Archer", "archer"), ("laptop-7.example.", "laptop-7.example"), ("my_host", "my_host"),
    ("*", ""), ("evil<script>", ""), ("a b", ""), ("a\nb", ""), ("\x1b[31mred", ""), ("ünïcode", ""), ("10.0.0.5", ""),
    ("12345", ""), ("1.2", ""), ("::1", ""), ("-dash", ""), ("a..b", ""), ("x" * 64, ""), ("", ""),
])  # fmt: skip
def test_names_of_clients_come_clean_or_not_at_all(said: str, clean: str) -> None:
    """A DHCP client may send anything; only a host name that is no address passes."""
    assert who.clean_name(said) == clean


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_whatever_a_client_says_is_safe_to_print(said: str) -> None:
    """Never raises; what passes is lower-case ASCII of letters, digits, dots, hyphens and underscores."""
    clean = who.clean_name(said)
    assert all(char in "abcdefghijklmnopqrstuvwxyz0123456789-_." for char in clean)
    assert who.clean_name(clean) == clean
    assert who.clean_mac(said) == "" or len(who.clean_mac(said)) == 17
