"""Messages that must not be longer than their way allows: whole fields are left out, in a stated order, and named.

A message cut in the middle of a field cannot be parsed at all. Never: cuts a value, leaves out what tells which alert
it is (id, revision, client, name, service, severity). Read next: ``rfc5424.py``, ``cef.py`` and ``ocsf.py`` use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

SPARE = ("steps", "questions", "containment", "block_note", "timeline", "evidence", "because", "qnames", "reason",
         "escalation", "suppression_key", "answers", "lease_start", "lease_end", "first_seen", "domain", "client_owner",
         "client_mac", "client_name")  # fmt: skip
"""Flat fields that may be left out, the most dispensable first."""


def fitted(write: Callable[[Sequence[str]], bytes], spare: Iterable[str], most: int) -> bytes:
    """Write a message of at most ``most`` bytes (0: any length), without as many of ``spare`` as that takes.

    ``write`` is given what to leave out. What is left when all of them are gone is given as it is.
    """
    message = write(())
    if not most or len(message) <= most:
        return message
    left_out: list[str] = []
    for name in spare:
        left_out.append(name)
        message = write(left_out)
        if len(message) <= most:
            break
    return message


def without(document: dict[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Copy a document without what stands at these dotted paths, in each entry of a list on the way."""
    copy = dict(document)
    for path in paths:
        key, _, rest = path.partition(".")
        if not rest:
            copy.pop(key, None)
        elif isinstance(copy.get(key), dict):
            copy[key] = without(copy[key], (rest,))
        elif isinstance(copy.get(key), list):
            copy[key] = [without(each, (rest,)) for each in copy[key]]
    return copy


def present(document: dict[str, Any], paths: Iterable[str]) -> list[str]:
    """Give those dotted paths at which something stands."""
    return [path for path in paths if _at(document, path)]


def _at(document: dict[str, Any], path: str) -> Any:
    key, _, rest = path.partition(".")
    value = document.get(key)
    if not rest or not value:
        return value
    return _at(value, rest) if isinstance(value, dict) else any(_at(each, rest) for each in value)
