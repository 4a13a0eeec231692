"""DNS names: log text, catalogue text and wire form → one canonical `Name`. Rejects, never repairs.

Never: IDNA guesses, public-suffix knowledge, I/O. A canonical name is lower-case ASCII in presentation form
(RFC 1035 §5.1): labels joined by ``.``, no final dot, the root is ``"."``. A byte that is not ``[a-z0-9_*-]`` is
kept as itself when printable and harmless, as ``\\.`` and ``\\\\`` for a dot or backslash inside a label, and as
``\\DDD`` otherwise; so equal names are equal strings, and every canonical name prints on any terminal.
Read next: ``core/catalog/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dnswatch.core.model import Name

MAX_WIRE = 255  # RFC 1035 §2.3.4, length octets and root label included
MAX_LABEL = 63  # RFC 1035 §2.3.4

_PLAIN = re.compile(rb"[A-Za-z0-9_*-]{1,63}(?:\.[A-Za-z0-9_*-]{1,63})*\Z")
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")
# Printable bytes that stay as they are; everything else becomes \DDD. Space, quotes, ; @ $ ( ) are escaped as in
# BIND's own logs (log_formats §1.1), < > & too, so that a name can stand unquoted in any output of ours.
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_*-!#%+,/:=?[]^`{|}~'")
_TEXT = tuple(
    chr(b) if b in _SAFE else "\\." if b == 0x2E else "\\\\" if b == 0x5C else f"\\{b:03d}" for b in range(256)
)


def canonical(text: str) -> Name:
    """Give the canonical form of a host name written by a person (catalogue, configuration).

    Accepts letters, digits, ``-`` and ``_`` in any case and one final dot. Raises `ValueError` saying what is wrong
    for anything else: wildcards, addresses without letters, escapes, non-ASCII (write the A-label, ``xn--…``).
    """
    name = text.removesuffix(".").lower()
    if not name:
        raise ValueError("empty name")
    if not name.isascii():
        raise ValueError(f"{text!r} is not ASCII: write its A-label (xn--…)")
    if name.startswith("*."):
        raise ValueError(f"{text!r} has a wildcard: use match: subdomains instead")
    if len(name) > MAX_WIRE - 2:
        raise ValueError(f"{text!r} is longer than 253 characters")
    if not _HOST.match(name):
        raise ValueError(f"{text!r} is not a host name (labels of 1-63 letters, digits, - and _)")
    return name


def from_escaped(raw: bytes) -> Name | None:
    """Read a name as BIND and PowerDNS log it (RFC 1035 §5.1 escapes), unescaping exactly once.

    None when it is not a DNS name: empty label, label over 63 or name over 255 octets, a broken escape.
    """
    if _PLAIN.match(raw) and len(raw) <= MAX_WIRE - 2:
        return raw.lower().decode("ascii")
    if raw == b".":
        return "."
    labels: list[bytes] = []
    label = bytearray()
    i, n = 0, len(raw)
    while i < n:
        byte = raw[i]
        if byte == 0x5C:
            digits = raw[i + 1 : i + 4]
            if len(digits) == 3 and digits.isdigit():
                if int(digits) > 255:
                    return None
                label.append(int(digits))
                i += 4
                continue
            if i + 1 >= n or raw[i + 1 : i + 2].isdigit():
                return None
            label.append(raw[i + 1])
            i += 2
            continue
        if byte == 0x2E:
            labels.append(bytes(label))
            label.clear()
        else:
            label.append(byte)
        i += 1
    if label:
        labels.append(bytes(label))
    return from_labels(labels)


def from_raw(raw: bytes) -> Name | None:
    """Read a name as dnsmasq logs it: no escapes, every dot separates labels. None when it is not a DNS name."""
    if _PLAIN.match(raw) and len(raw) <= MAX_WIRE - 2:
        return raw.lower().decode("ascii")
    if raw == b".":
        return "."
    return from_labels(raw.removesuffix(b".").split(b"."))


def from_labels(labels: list[bytes]) -> Name | None:
    """Join wire labels (without the root) into a canonical name; None when a length limit is broken."""
    if not labels or sum(len(label) + 1 for label in labels) + 1 > MAX_WIRE:
        return None
    if any(not 0 < len(label) <= MAX_LABEL for label in labels):
        return None
    return ".".join("".join(_TEXT[byte] for byte in label.lower()) for label in labels)


def to_labels(name: Name) -> list[bytes]:
    """Split a canonical name into wire labels, without the root label."""
    if name == ".":
        return []
    if "\\" not in name:
        return name.encode("ascii").split(b".")
    labels = [bytearray()]
    i, text = 0, name.encode("ascii")
    while i < len(text):
        byte = text[i]
        if byte == 0x5C:
            if text[i + 1 : i + 4].isdigit():
                labels[-1].append(int(text[i + 1 : i + 4]))
                i += 4
            else:
                labels[-1].append(text[i + 1])
                i += 2
            continue
        if byte == 0x2E:
            labels.append(bytearray())
        else:
            labels[-1].append(byte)
        i += 1
    return [bytes(label) for label in labels]


def to_wire(name: Name) -> bytes:
    """Encode a canonical name uncompressed (RFC 1035 §3.1), root label included."""
    return b"".join(bytes((len(label),)) + label for label in to_labels(name)) + b"\0"


def parents(name: Name) -> Iterator[Name]:
    """Yield the name and each ancestor below the root, longest first: a.b.c → a.b.c, b.c, c."""
    if "\\" not in name:  # the common case needs no label list
        yield name
        dot = name.find(".")
        while dot != -1:
            yield name[dot + 1 :]
            dot = name.find(".", dot + 1)
        return
    start = 0
    yield name
    for i, char in enumerate(name):
        if char == "." and not _escaped(name, i):
            start = i + 1
            yield name[start:]


def within(name: Name, ancestor: Name) -> bool:
    """Say whether ``name`` is ``ancestor`` or below it, on label boundaries."""
    if name == ancestor:
        return True
    if not name.endswith("." + ancestor):
        return False
    return not _escaped(name, len(name) - len(ancestor) - 1)


def _escaped(name: Name, dot: int) -> bool:
    """Say whether the character at ``dot`` is preceded by an odd run of backslashes."""
    slashes = 0
    while dot - slashes > 0 and name[dot - slashes - 1] == "\\":
        slashes += 1
    return slashes % 2 == 1
