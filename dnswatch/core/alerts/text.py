"""Alert format ``text``: for people, one line that can be grepped, then its terms indented.

Never: control characters; names from logs are hostile. Read next: ``__init__.py`` for the registry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dnswatch.core.alerts.context import Context
from dnswatch.core.alerts.fitting import fitted
from dnswatch.core.alerts.flat import reason, rfc3339, timeline
from dnswatch.core.model import Alert

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


def summary(alert: Alert) -> str:
    """Say everything that matters in one line."""
    return f"{alert.severity} {alert.score} {alert.id} rev {alert.rev} {alert.cause}: {reason(alert)}"


def render(alert: Alert, context: Context) -> bytes:
    """Write the summary line and one indented line per term, without a final line feed."""
    lines = [f"{rfc3339(alert.at)} {summary(alert)}", *(f"    {term}" for term in alert.because)]
    advice = context.advice(alert)
    if advice is not None:
        lines.append(f"    {advice.escalation}")
    if alert.answers:
        lines.append(f"    answered with {', '.join(alert.answers)}")
    lines += [f"    {text}" for _, text in timeline(alert)]
    lines = [printable(line) for line in lines]

    def write(left_out: Sequence[str]) -> bytes:
        kept = [*lines[: len(lines) - len(left_out)], f"    {len(left_out)} more lines"] if left_out else lines
        return "\n".join(kept).encode()

    return fitted(write, lines[:0:-1], context.most_bytes)  # what is told last matters least


def printable(text: str) -> str:
    """Escape control characters, bidirectional overrides and the like: text from logs is hostile."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def is_mac(text: str) -> bool:
    """Say whether this is a MAC as we write them; receivers refuse a whole event for one that is not."""
    return _MAC.fullmatch(text) is not None
