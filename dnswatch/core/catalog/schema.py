"""The plain data of one catalogue file → a `Service`, or a list: what an entry under ``feeds/`` may and must say.

Never: reads files, stops at the first fault. Hand-written rather than a model library's: the rules that matter are
about DNS names, and every command that starts reads some 170 of these entries. Read next: ``feeds/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from dnswatch.core.catalog.catalog import EVERY, NeverBlock
from dnswatch.core.catalog.categories import CATEGORIES
from dnswatch.core.catalog.fields import Entry, Fault, Fields, Registrable, covers, meet
from dnswatch.core.model import SEVERITIES, Indicator, IndicatorRole, Match, Name, Service, Severity

PROFILES = ("core", "extended")
EFFECTS = ("exonerates", "weak", "none")
SAFETIES = ("safe", "collateral")
CONFIDENCES = ("high", "medium", "low")

RECON, DOH = "recon", "doh"
RESERVED = frozenset((EVERY, RECON, DOH, "any", "exempt", "everyone", "quarantine"))
"""Words that mean something else where a service id may stand."""

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TECHNIQUE = re.compile(r"T[0-9]{4}(?:\.[0-9]{3})?")
_REFERENCE = re.compile(r"[A-Za-z0-9]+:\S.*|https://\S+")
MAX_ID = 40
"""Longest service id: it stands in table columns, in file names and in syslog structured data."""

SERVICE_FIELDS = (
    "ambiguous", "attack", "base_severity", "block_safety", "category", "companion_effect", "companions", "confidence",
    "id", "multi_tenant", "name", "names", "note", "override", "profile", "references", "region", "severity_reason",
    "shared",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Which file the data comes from, as far as it matters to the reading."""

    stem: str  # file name without its extension: must equal the id
    category: str  # folder; "" = none, the entry must say it
    origin: str  # for people: "feeds/chat-webhook/slack-webhook.yaml"


def read_service(data: object, source: Source, registrable: Registrable) -> tuple[Service | None, list[Fault]]:
    """Read one service. With any fault there is no service."""
    faults: list[Fault] = []
    fields = Fields.of(data, faults, known=SERVICE_FIELDS)
    id_ = _id(fields, source)
    category = _category(fields, source)
    names = fields.names("names", registrable, required=True)
    companions = fields.names("companions", None)
    ambiguous = fields.names("ambiguous", None)
    _separate(fields, names, companions, ambiguous)
    effect = fields.choice("companion_effect", EFFECTS, "none")
    if effect != "none" and not companions:
        fields.fault("companion_effect", f"{effect!r} needs companions")
    tenants = fields.flag("multi_tenant")
    if tenants and names and not any(match == "subdomains" for _, match in names):
        fields.fault("multi_tenant", "needs a name with match: subdomains, whose left label is the tenant")
    fields.flag("override")  # its meaning is the loader's; here it must only be true or false
    service = Service(
        id=id_,
        name=fields.text("name", required=True),
        category=category,
        profile=cast(Literal["core", "extended"], fields.choice("profile", PROFILES, "core")),
        indicators=(
            *_indicators(names, "api", id_, registrable),
            *_indicators(companions, "companion", id_, registrable),
            *_indicators(ambiguous, "ambiguous", id_, registrable),
        ),
        companion_effect=cast(Literal["exonerates", "weak", "none"], effect),
        shared=fields.flag("shared"),
        multi_tenant=tenants,
        block_safety=cast(
            Literal["safe", "collateral"], fields.choice("block_safety", SAFETIES, "collateral", required=True)
        ),
        base_severity=cast(Severity, fields.choice("base_severity", SEVERITIES[:-1], "low", required=True)),
        severity_reason=fields.text("severity_reason", required=True),
        attack=fields.texts("attack", _TECHNIQUE, "an ATT&CK technique such as T1567.004"),
        references=fields.texts("references", _REFERENCE, "a reference such as ET:2047741 or https://…"),
        confidence=cast(Literal["high", "medium", "low"], fields.choice("confidence", CONFIDENCES, "medium")),
        region=fields.text("region"),
        note=fields.text("note"),
        origin=source.origin,
    )
    return (None if faults else service), faults


def _id(fields: Fields, source: Source) -> str:
    id_ = fields.text("id", source.stem, required=True)
    if not _ID.fullmatch(id_) or len(id_) > MAX_ID:
        fields.fault("id", f"{id_!r} is not an id: at most {MAX_ID} lower-case letters and digits, words joined by -")
    elif id_ in RESERVED:
        fields.fault("id", f"{id_!r} has another meaning: choose a different id")
    elif id_ != source.stem:
        fields.fault("id", f"{id_!r} stands in a file called {source.stem!r}: one service a file, named by its id")
    return id_


def _category(fields: Fields, source: Source) -> str:
    said = fields.choice("category", CATEGORIES, source.category)
    if source.category and said != source.category:
        fields.fault("category", f"{said!r} stands in the folder {source.category!r}: leave category out, or move it")
    if not said and "category" not in fields.data:
        fields.fault(None, f"category is missing: one of {', '.join(CATEGORIES)}, or put the file in such a folder")
    return said


def _separate(
    fields: Fields, names: tuple[Entry, ...], companions: tuple[Entry, ...], others: tuple[Entry, ...]
) -> None:
    """A companion that can never count is a mistake in the file."""
    for role, entries in (("companions", companions), ("ambiguous", others)):
        for entry in entries:
            if any(covers(api, entry) for api in names):
                fields.fault(role, f"{entry[0]} is already one of names: it can never count as {role}")
    for entry in companions:
        if any(covers(other, entry) for other in others):
            fields.fault("companions", f"{entry[0]} is ambiguous: it cannot be a companion too")


def _indicators(
    entries: Iterable[Entry], role: IndicatorRole, service: str, registrable: Registrable
) -> Iterator[Indicator]:
    for name, match in entries:
        yield Indicator(name, match, role, service, registrable(name) or name)


def conflicts(services: Mapping[str, Service]) -> list[tuple[str, Fault]]:
    """Find api names that two services claim, so that neither is the more specific: (service id, fault)."""
    claimed: dict[Name, list[tuple[Match, Service]]] = {}
    found = []
    for service in services.values():
        for i, indicator in enumerate(service.indicators):
            if indicator.role != "api":
                continue
            here = claimed.setdefault(indicator.name, [])
            for match, other in here:
                if other is not service and meet((indicator.name, match), (indicator.name, indicator.match)):
                    message = f"{indicator.name} is already a name of {other.id} ({other.origin})"
                    found.append((service.id, Fault(("names", i), message)))
            here.append((indicator.match, service))
    return found


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_recon(
    data: object, registrable: Registrable
) -> tuple[tuple[Indicator, ...], tuple[Indicator, ...], list[Fault]]:
    """Read ``recon.yaml``: the IP-check names of the core profile, those that extended adds, and the faults."""
    faults: list[Fault] = []
    fields = Fields.of(data, faults, known=("attack", "core", "extended", "note", "reason", "references"))
    _about(fields)
    core = fields.names("core", registrable)
    extended = fields.names("extended", registrable)
    for name, match in extended:
        if any(covers(entry, (name, match)) for entry in core):
            fields.fault("extended", f"{name} is already in core")
    return (
        tuple(_indicators(core, "recon", RECON, registrable)),
        tuple(_indicators(extended, "recon", RECON, registrable)),
        faults,
    )


def read_doh(data: object, registrable: Registrable) -> tuple[tuple[Indicator, ...], list[Fault]]:
    """Read ``doh.yaml``: names that a client resolves before it leaves for DNS over HTTPS."""
    faults: list[Fault] = []
    fields = Fields.of(data, faults, known=("attack", "names", "note", "reason", "references"))
    _about(fields)
    return tuple(_indicators(fields.names("names", registrable), "doh", DOH, registrable)), faults


def read_never_block(data: object, origin: str) -> tuple[tuple[NeverBlock, ...], list[Fault]]:
    """Read ``never-block.yaml``: groups of names with the reason why no feed may contain them."""
    faults: list[Fault] = []
    fields = Fields.of(data, faults, known=("groups", "note"))
    fields.text("note")
    found: list[NeverBlock] = []
    for i, item in enumerate(fields.items("groups", required=True)):
        group = Fields.of(item, faults, ("groups", i), known=("reason", "names"))
        reason = group.text("reason", required=True)
        for name, match in group.names("names", None, required=True):
            found.append(NeverBlock(name, match, reason, origin))
    return tuple(found), faults


def _about(fields: Fields) -> None:
    """Check the fields that a list has for its readers only."""
    fields.text("reason")
    fields.text("note")
    fields.texts("attack", _TECHNIQUE, "an ATT&CK technique such as T1567.004")
    fields.texts("references", _REFERENCE, "a reference such as ET:2047741 or https://…")
