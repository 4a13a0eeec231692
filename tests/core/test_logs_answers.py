"""Responses in wire form: dnspython's view is the truth, and no bytes raise."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnswatch.core.logs import answers

OWNER = "www.example.test."


def response(*records: tuple[str, str, str], rcode: int = 0) -> bytes:
    message = dns.message.make_response(dns.message.make_query(OWNER, "A"))
    message.id = 4711
    message.set_rcode(dns.rcode.Rcode(rcode))
    for owner, kind, data in records:
        message.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, data))
    return message.to_wire()


def test_addresses_of_a_chain() -> None:
    """CNAMEs, texts and compressed owners are passed over; addresses come in their order."""
    wire = response(
        (OWNER, "CNAME", "cdn.example."), ("cdn.example.", "A", "192.0.2.1"), ("cdn.example.", "AAAA", "2001:db8::1"),
        (OWNER, "TXT", '"192.0.2.9"'),
    )  # fmt: skip
    assert answers.read(wire) == ("NOERROR", ("192.0.2.1", "2001:db8::1"))


@pytest.mark.parametrize("rcode", range(12))
def test_result_codes(rcode: int) -> None:
    """Each code that fits a header, by its mnemonic; the twelfth has none."""
    found = answers.read(response(rcode=rcode))
    assert found is not None
    assert found.rcode == (dns.rcode.to_text(dns.rcode.Rcode(rcode)) if rcode < 11 else "RCODE11")


@pytest.mark.parametrize(
    "wire",
    [b"", b"\0" * 12, response((OWNER, "A", "192.0.2.1"))[:-1], response()[:20], b"\0\0\x81\x80\0\1\0\0\0\0\0\0\x41"],
)
def test_what_is_cut_or_no_response_is_nothing(wire: bytes) -> None:
    """Half a message says nothing; a query is no answer; labels of unknown kinds end it."""
    assert answers.read(wire) is None


@settings(deadline=None, max_examples=200)
@given(wire=st.binary(max_size=80), cut=st.integers(0, 80), patch=st.binary(max_size=3))
def test_law_no_bytes_raise(wire: bytes, cut: int, patch: bytes) -> None:
    """Any bytes, and a real response with any bytes changed: a result or None."""
    answers.read(wire)
    real = response((OWNER, "A", "192.0.2.1"), ("x.test.", "AAAA", "2001:db8::1"))
    found = answers.read(real[:cut] + patch + real[cut + len(patch) :])
    assert found is None or len(found.addresses) <= 2
