"""``clients`` and ``expect``: who they are, and who of them may use what. Read next: ``config/rules.py``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from dnswatch.config.model.fields import (
    End,
    GroupName,
    Network,
    OneOrMany,
    PathText,
    Section,
    Sentence,
    WhoText,
    one_or_many,
)
from dnswatch.core.model import ClientRole


class ClientGroup(Section):
    """A named set of networks."""

    networks: Annotated[list[Network], Field(min_length=1), OneOrMany]
    role: ClientRole = ""
    owner: Annotated[str, Field(max_length=200)] = Field(default="", description="Who answers for its members.")


class LeaseFile(Section):
    """A file that tells the name and MAC of an address."""

    path: PathText
    type: Literal["auto", "dnsmasq", "kea", "isc", "hosts"] = "auto"


Lease = Annotated[
    LeaseFile,
    BeforeValidator(lambda value: {"path": value} if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [LeaseFile.model_json_schema(), {"type": "string"}]}),
]


class Clients(Section):
    """Who the clients are."""

    groups: dict[GroupName, ClientGroup] = Field(default={}, description="The longest prefix wins; groups may nest.")
    leases: list[Lease] = Field(default=[], description="dnsmasq, Kea memfile, ISC dhcpd leases; hosts files.")

    @field_validator("leases", mode="before")
    @classmethod
    def _one_lease(cls, value: Any) -> Any:
        return one_or_many(value)


class Expect(Section):
    """Who may use what; everyone else is unexpected."""

    who: Annotated[list[WhoText], Field(min_length=1), OneOrMany]
    services: Annotated[list[Sentence], Field(min_length=1), OneOrMany]
    because: Sentence
    owner: Annotated[str, Field(max_length=200)] = ""
    until: End | None = Field(default=None, description="A date holds through that day in UTC; a time is exact.")
