"""The triage texts of ``feeds/triage/<lang>.yaml`` → `Texts`. They ship with dnswatch and are reviewed like code.

Never: falls back to another language silently. Read next: ``core/alerts/triage.py``.
"""

from __future__ import annotations

from dnswatch.config.data import data_path
from dnswatch.config.yaml import load_marked
from dnswatch.core.alerts.triage import Texts, Triage
from dnswatch.core.catalog import Catalog
from dnswatch.errors import ConfigError, Problem

FOLDER = "triage"


def triage_of(catalog: Catalog, lang: str = "en") -> Triage:
    """Give the advice of a catalogue's services in a language. Raises `ConfigError`."""
    return Triage(load_triage(lang), catalog.services)


def load_triage(lang: str) -> Texts:
    """Read the texts of a language. Raises `ConfigError` when its file is missing or incomplete."""
    path = data_path("feeds") / FOLDER / f"{lang}.yaml"
    try:
        data = load_marked(path).data
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, 0, "", f"cannot be read: {error.strerror}")]) from None
    try:
        return Texts(
            str(data["lang"]),
            data["escalation"],
            data["questions"],
            {tier: tuple(steps) for tier, steps in data["steps"].items()},
            tuple(data["containment"]),
            data["mitigations"],
            tuple(data["look_next"]),
            data["block"],
            data["categories"],
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError([Problem(str(path), 0, 0, "", f"is not a file of triage texts: {error!r}")]) from None
