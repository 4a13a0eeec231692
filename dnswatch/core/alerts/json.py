"""Alert format ``json``: the flat fields as one line of JSON, printable ASCII only.

Four fifths of a line are advice, and that is the same for all alerts of a sort but for the values in it: it is put
into words and encoded once, and again only the values (35 instead of 51 µs a line, all of it). Never: a different field
set than the other formats. Read next: ``rfc5424.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import SPARE, fitted, present
from dnswatch.core.alerts.flat import ADVISED, FIELDS, advised, flat
from dnswatch.core.alerts.triage import VALUES, Sort, Triage, values_of
from dnswatch.core.model import Alert

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # `json.dumps` would make one for every alert
_text: Callable[[str], str] = json.encoder.encode_basestring_ascii
_KEYS = [f"{_text(name)}:" for name in FIELDS]


def render(alert: Alert, context: Context) -> bytes:
    """Write one JSON object without a line feed. ``\\u`` escapes keep any terminal and any receiver safe."""
    triage = context.triage
    if triage is not None and not context.most_bytes and (sort := triage.sort(alert)) is not None:
        values = list(flat(alert, context.sensor).values())
        before = _members(_KEYS[: ADVISED.start], values[: ADVISED.start])
        behind = _members(_KEYS[ADVISED.stop :], values[ADVISED.stop :])
        draft = triage.drafts.get(sort) or _draft(triage, sort)
        told = draft % {name: _text(value)[1:-1] for name, value in values_of(alert).items()}
        return f"{{{before},{told},{behind}}}".replace("\x7f", "\\u007f").encode("ascii")
    return line(alert, context, context.most_bytes, {})


def line(alert: Alert, context: Context, most: int, more: Mapping[str, object]) -> bytes:
    """Write the object with ``more`` at its end; beyond ``most`` bytes without what ``left_out`` names."""
    fields = flat(alert, context.sensor, context.advice(alert))

    def write(left_out: Sequence[str]) -> bytes:
        kept = fields
        if left_out:
            kept = {name: value for name, value in fields.items() if name not in left_out}
            kept["left_out"] = list(left_out)
        return _ENCODER.encode({**kept, **more}).replace("\x7f", "\\u007f").encode("ascii")

    return fitted(write, present(fields, SPARE) if most else (), most)


def _members(keys: Sequence[str], values: Sequence[object]) -> str:
    """Encode flat fields: texts, lists of texts, and others. `json` takes three times as long for an object of them."""
    written = []
    for key, value in zip(keys, values, strict=True):
        if type(value) is str:
            written.append(key + _text(value))
        elif type(value) is list:
            written.append(f"{key}[{','.join(map(_text, value))}]")
        else:
            written.append(key + (str(value) if type(value) is int else _ENCODER.encode(value)))
    return ",".join(written)


_HOLES = {name: chr(0xE000 + number) for number, name in enumerate(VALUES)}
_HOLE = re.compile(r"\\ue0(..)")


def _draft(triage: Triage, sort: Sort) -> str:
    """Encode the advice on alerts of a sort, with ``%(name)s`` where their values go."""
    text = _members(_KEYS[ADVISED], advised(triage.write(sort, _HOLES))).replace("%", "%%")
    draft = triage.drafts[sort] = _HOLE.sub(lambda hole: f"%({VALUES[int(hole[1], 16)]})s", text)
    return draft
