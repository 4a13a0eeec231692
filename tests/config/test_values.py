"""How single values are written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.config import values


@pytest.mark.parametrize(("text", "seconds"), [
    ("250ms", 0.25), ("30s", 30.0), ("10m", 600.0), ("12h", 43200.0), ("7d", 604800.0), ("2w", 1209600.0),
    ("1h30m", 5400.0), ("1.5h", 5400.0), (0, 0.0), ("0s", 0.0),
])  # fmt: skip
def test_durations(text: object, seconds: float) -> None:
    """A number with a unit, or several; zero needs none."""
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "7 d", "d7", "-1d", "7days", "1d-", None, True, [], 7, 1.5])
def test_what_is_no_duration(text: object) -> None:
    """Everything else says what would be right."""
    with pytest.raises(ValueError, match="write"):
        values.duration(text)


@given(st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_durations_read_what_they_write(milliseconds: int) -> None:
    """Text of a duration means that duration."""
    assert values.duration(values.duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(("text", "expected"), [
    ("127.0.0.1:8053", ("127.0.0.1", 8053)), ("[::1]:0", ("::1", 0)), ("localhost:80", ("localhost", 80)),
])  # fmt: skip
def test_listen_addresses(text: str, expected: tuple[str, int]) -> None:
    """Host and port; IPv6 in brackets."""
    assert values.split_listen(text) == expected


@pytest.mark.parametrize("text", ["8053", ":8053", "::1:8053", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "h:x"])
def test_what_is_no_listen_address(text: str) -> None:
    """A half address is refused with an example."""
    with pytest.raises(ValueError, match="write"):
        values.listen(text)


@pytest.mark.parametrize(("text", "expected"), [
    ("udp://siem.example", "udp://siem.example:514"), ("tcp://[2001:DB8::1]:601", "tcp://[2001:db8::1]:601"),
    ("unix:///dev/log", "unix:///dev/log"), ("udp://192.0.2.1:5514/", "udp://192.0.2.1:5514"),
    ("tls://h", "tls://h:6514"), ("relp://h", "relp://h:2514"), ("relp+tls://h:20514", "relp+tls://h:20514"),
])  # fmt: skip
def test_sink_addresses_are_completed(text: str, expected: str) -> None:
    """The default port is filled in, so that equal targets have equal names."""
    assert values.sink_address(text) == expected


def test_fingerprints() -> None:
    """Every common way to write a SHA-256 is read; anything else is refused."""
    digits = "ab" * 32
    for text in (digits, digits.upper(), ":".join(["AB"] * 32), f"sha256:{digits}", f"sha256 Fingerprint={digits}"):
        assert values.fingerprint(text) == digits
    assert values.fingerprint("") == ""
    for text in ("ab" * 20, "xy" * 32, "sha1:" + digits):
        with pytest.raises(ValueError, match="SHA-256 fingerprint"):
            values.fingerprint(text)


def test_server_names() -> None:
    """A name or an address as a certificate has it; no scheme, port or wildcard."""
    for text in ("", "siem.example", "siem", "192.0.2.1", "2001:db8::1"):
        assert values.server_name(text) == text
    for text in ("https://siem.example", "siem.example:6514", "*.example", "siem example", "-x", "siem.example."):
        with pytest.raises(ValueError, match="not a host name"):
            values.server_name(text)


@pytest.mark.parametrize("text", ["siem:514", "udp://", "udp://h/path", "udp://u@h", "udp://h:0", "udp://[::1",
                                  "unix://dev/log", "unix:", "ftp://h", "relps://h", "https://h"])  # fmt: skip
def test_what_is_no_sink_address(text: str) -> None:
    """Each is refused with a reason."""
    with pytest.raises(ValueError, match=r"write|known|available|port"):
        values.sink_address(text)


@pytest.mark.parametrize(
    "text", ["2027-6-30", "20270630", "2027-W26-3", "2027-06-30T25:00:00Z", "30.06.2027", 2027, None]
)
def test_what_is_no_time(text: object) -> None:
    """Only dates and RFC 3339 times are read, not what a library happens to accept."""
    with pytest.raises(ValueError, match=r"not a date|no such"):
        values.end(text)


def test_times_read_what_they_write() -> None:
    """RFC 3339, in any offset."""
    assert values.instant("2026-11-22T19:25:35Z") == values.instant("2026-11-22 22:25:35+03:00") == 1_795_375_535.0
    assert values.time_text(1_795_375_535.0) == "2026-11-22T19:25:35Z"
