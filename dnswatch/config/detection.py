"""How ``detect.points`` and ``detect.signals`` are written: terms of the score, options of the signals.

Each signal's file under ``core/detect/signals/`` says what can be set and what the default is. Never: a list of its
own; a registered signal can be set. Read next: ``core/detect/signal.py``.
"""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from dnswatch.config import values
from dnswatch.core.detect.score import POINTS
from dnswatch.core.detect.signals import SIGNALS


def check_points(given: dict[str, int]) -> dict[str, int]:
    """Pass points of known terms; raise `ValueError` for an unknown one."""
    for term in given:
        if term not in POINTS:
            raise ValueError(f"no term {term!r}{values.close_to(term, POINTS)}; known: {', '.join(POINTS)}")
    return given


def check_options(given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pass options as they are written; raise `ValueError` for what no signal knows."""
    read_options(given)
    return given


def read_options(given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Give options by their names in the signals and in the types of their defaults; raise `ValueError`."""
    made: dict[str, dict[str, Any]] = {}
    for name, options in given.items():
        if name not in SIGNALS:
            raise ValueError(f"no signal {name!r}{values.close_to(name, SIGNALS)}; known: {', '.join(SIGNALS)}")
        kind = SIGNALS[name].options_type
        known = {field.name.removesuffix("_s"): field for field in fields(kind)} if kind is not None else {}
        for option in options:
            if option not in known:
                has = f"; it has {', '.join(known)}" if known else "; it has none"
                raise ValueError(f"{name} has no option {option!r}{values.close_to(option, known)}{has}")
        made[name] = {
            known[option].name: _typed(name, option, value, known[option]) for option, value in options.items()
        }
    return made


def _typed(name: str, option: str, value: Any, field: Field[Any]) -> Any:
    if field.name.endswith("_s"):
        return values.duration(value)
    if isinstance(field.default, str):
        if isinstance(value, str):
            return values.timezone(value) if option == "timezone" and value else value
        raise ValueError(f"{name}.{option} is {value!r}, not text")
    if not _is_number(value):
        raise ValueError(f"{name}.{option} is {value!r}, not a number")
    if value < 0:
        raise ValueError(f"{name}.{option} is {value}, below 0")
    if isinstance(field.default, int) and value != int(value):
        raise ValueError(f"{name}.{option} is {value}, not a whole number")
    return int(value) if isinstance(field.default, int) else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
