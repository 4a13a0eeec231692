"""``feeds``: what is published, what is blocked or allowed by hand, and the bounds on what dnswatch may do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dnswatch.config.model.fields import (
    DAY_S,
    Address,
    Audience,
    Duration,
    End,
    File,
    HostName,
    Network,
    OneOrMany,
    Section,
    Sentence,
    WhoText,
    one_or_many,
)
from dnswatch.core.clients.who import canonical_address
from dnswatch.core.model import Match, Mode, Severity
from dnswatch.core.policy import Override


class Addresses(Section):
    """What a blocked name is answered with, instead of NXDOMAIN or NODATA."""

    a: Annotated[list[Address], OneOrMany] = []
    aaaa: Annotated[list[Address], OneOrMany] = []


class Hook(Section):
    """What to do after the files were replaced: run a command (without a shell), or signal a process."""

    run: Annotated[list[str], OneOrMany] | None = None
    signal: str | None = None
    pidfile: File | None = None

    @field_validator("signal")
    @classmethod
    def _signal(cls, value: str | None) -> str | None:
        name = None if value is None else value.upper().removeprefix("SIG")
        if name is not None and name not in ("HUP", "USR1", "USR2"):
            raise ValueError(f"{value!r} is not a signal that reloads: HUP, USR1 or USR2")
        return name

    @model_validator(mode="after")
    def _one_thing(self) -> Hook:
        if (self.run is None) == (self.signal is None):
            raise ValueError("write either run: [COMMAND, ARGUMENT …] or signal: HUP with a pidfile")
        if self.run is not None and (not self.run or not self.run[0]):
            raise ValueError("run needs a command: run: [rndc, reload, '{zone}']")
        if (self.signal is None) != (self.pidfile is None):
            raise ValueError("signal and pidfile go together: {signal: HUP, pidfile: /run/dnsmasq/dnsmasq.pid}")
        return self


class NameEntry(Section):
    """Names that are allowed by hand."""

    names: Annotated[list[HostName], Field(min_length=1), OneOrMany]
    match: Match = Field(default="domain", description="exact: that name; subdomains: what is below; domain: both.")
    audiences: Annotated[list[Audience], OneOrMany] = Field(
        default=[], description="Groups, and any for clients in none; default: everybody."
    )
    because: Sentence
    owner: Annotated[str, Field(max_length=200)] = ""
    until: End | None = Field(default=None, description="A date holds through that day in UTC; a time is exact.")


class BlockEntry(NameEntry):
    """Names that are blocked by hand."""

    override: Annotated[list[Override], OneOrMany] = Field(
        default=[], description="What this is stronger than: never-block, expected. Without it both win."
    )


class QuarantineEntry(Section):
    """Clients that are cut off by hand."""

    who: Annotated[list[WhoText], Field(min_length=1), OneOrMany]
    because: Sentence
    owner: Annotated[str, Field(max_length=200)] = ""
    until: End | None = None

    @field_validator("who")
    @classmethod
    def _single(cls, value: list[str]) -> list[str]:
        groups = [text for text in value if text.startswith("group:")]
        if groups:
            raise ValueError(f"{groups[0]!r}: a quarantine is for single clients, not for a group")
        return value


class AutomaticQuarantine(Section):
    """When dnswatch cuts a client off by itself. Not at all, unless this is written."""

    min_severity: Severity = "critical"
    attempts: Annotated[int, Field(ge=3, le=1000)] = Field(
        default=3, description="Over TCP: the source address of a UDP packet is anybody's word."
    )
    ttl: Annotated[Duration, Field(gt=0)] = DAY_S
    most: Annotated[int, Field(ge=1, le=10_000)] = 20


class Quarantine(Section):
    """Clients that are cut off from all names."""

    clients: list[QuarantineEntry] = []
    automatic: AutomaticQuarantine | None = None
    never: Annotated[list[Network], OneOrMany] = Field(
        default=[], description="Never cut off, beside forwarders, consumers of zones and this host."
    )
    most: Annotated[int, Field(ge=1, le=100_000)] = Field(default=100, description="Clients at once, by hand and not.")


class TenantRules(Section):
    """When single tenants are blocked of services that cannot be blocked whole. Not at all, unless this is written."""

    min_severity: Severity = "high"
    min_facts: Annotated[int, Field(ge=1, le=10)] = Field(default=2, description="Further facts of the alert.")
    ttl: Annotated[Duration, Field(gt=0)] = 7 * DAY_S
    most: Annotated[int, Field(ge=1, le=10_000)] = 200
    clients: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="A tenant that more clients met than this is in common use, and is not blocked."
    )


class FeedLimits(Section):
    """How much of a zone leases and decisions may change at once. What an operator orders is not limited."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.2
    rules: Annotated[int, Field(ge=1)] = Field(default=200, description="So many always may.")


class Canary(Section):
    """How resolvers are asked whether they answer from the versions published last."""

    every: Annotated[Duration, Field(ge=1)] = 60.0
    grace: Annotated[Duration, Field(ge=1)] = Field(
        default=120.0, description="A version that is not live after this long is an alert; twice the zones' refresh."
    )


class FileReader(Section):
    """A resolver that reads the files of our zones, and is asked whether it answers from the newest."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")]
    address: Address
    port: Annotated[int, Field(ge=1, le=65535)] = 53
    type: Literal["bind", "unbound", "powerdns", "knot", "dnsdist", "dnsmasq"]
    ask_from: Annotated[list[Address], OneOrMany] = Field(
        default=[], description="Addresses of this host: the zone of each one's group is asked for; default: the usual."
    )


class Feeds(Section):
    """The published blocklists."""

    zone: HostName = Field(default="rpz.dnswatch.internal", description="Parent of every zone we publish.")
    mode: Mode = "shadow"
    action: Literal["nxdomain", "nodata"] | Addresses = "nxdomain"
    directory: File | None = Field(default=None, description="Default: feeds below state_dir.", validate_default=True)
    grace: Duration = 7 * DAY_S
    on_change: list[Hook] = []
    resolvers: list[FileReader] = Field(default=[], description="Those that read the files, to be asked for them.")
    canary: Canary = Field(default=Canary(), description="How they are asked.")
    block: list[BlockEntry] = Field(default=[], description="Names blocked by hand.")
    allow: list[NameEntry] = Field(default=[], description="Names that no zone may block, by hand.")
    collateral: Annotated[list[str], OneOrMany] = Field(
        default=[], description="Services that are blocked although people use them by hand, too."
    )
    quarantine: Quarantine = Quarantine()
    tenants: TenantRules | None = None
    limits: FeedLimits = FeedLimits()

    @field_validator("action", mode="before")
    @classmethod
    def _action(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Addresses) or value in ("nxdomain", "nodata"):
            return value
        if not isinstance(value, dict):
            message = f"{value!r} is not an action: nxdomain, nodata or {{a: ADDRESS, aaaa: ADDRESS}}"
            raise ValueError(message)  # noqa: TRY004 - pydantic collects ValueError only
        unknown = sorted(set(value) - {"a", "aaaa"})
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}: an action of addresses has a and aaaa")
        for key, version in (("a", 4), ("aaaa", 6)):
            for address in one_or_many(value.get(key) or []):
                if (":" in canonical_address(str(address))) != (version == 6):
                    raise ValueError(f"{key}: {address} is not an IPv{version} address")
        if not any(value.values()):
            raise ValueError("an action of addresses needs a or aaaa")
        return value
