"""``dns`` and ``http``: what we serve, where, and to whom. Read next: ``io/publish``, ``io/web``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from dnswatch.config import values
from dnswatch.config.model.feeds import Canary
from dnswatch.config.model.fields import (
    Address,
    Audience,
    File,
    HostName,
    ListenText,
    Network,
    OneOrMany,
    SecretText,
    Section,
)


class DnsKey(Section):
    """A TSIG key. The secret is base64, as `tsig-keygen` prints it; its whole output is understood too."""

    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    secret: SecretText

    @model_validator(mode="after")
    def _readable(self) -> DnsKey:
        values.tsig_secret(self.secret, self.algorithm)
        return self

    @property
    def octets(self) -> bytes:
        """The secret itself."""
        return values.tsig_secret(self.secret, self.algorithm)


class Consumer(Section):
    """A resolver that fetches zones, and hears of new versions."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")]
    address: Address
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=53, description="Where it takes NOTIFY.")
    type: Literal["bind", "unbound", "powerdns", "other"]
    key: HostName | Literal[""] = Field(default="", description="It must sign with this key of dns.keys.")
    views: dict[Audience, HostName] = Field(
        default={}, description="BIND views: the group that each serves (or any), and the key that opens it."
    )
    networks: Annotated[list[Network], OneOrMany] = Field(
        default=[], description="Where else it may ask from; with a key: where it must ask from."
    )
    zones: Annotated[list[Audience], OneOrMany] = Field(
        default=[],
        description="Groups whose zones it may have, and any; default: all. Quarantine and exempt come along.",
    )
    notify: bool = True
    canary: bool | None = Field(
        default=None, description="Ask it whether the newest zones are live; default: yes, unless its type is other."
    )

    @property
    def is_asked(self) -> bool:
        """Say whether it is asked: what is none of the resolvers that we know may answer nothing."""
        return self.type != "other" if self.canary is None else self.canary


class DnsTls(Section):
    """Zone transfers over TLS (RFC 9103)."""

    listen: ListenText
    cert: File
    key: File
    name: HostName | Literal[""] = Field(
        default="", description="Name in the certificate; consumers check it (consumer-config writes it down)."
    )
    ca: File | None = Field(
        default=None,
        description="Who vouches for it, for consumers to trust; default: the authorities of their system.",
    )


class Dns(Section):
    """Zone transfers."""

    listen: Annotated[list[ListenText], Field(min_length=1), OneOrMany]
    tls: DnsTls | None = None
    keys: dict[HostName, DnsKey] = {}
    consumers: list[Consumer] = []
    canary: Canary = Canary()


class Http(Section):
    """Health, metrics and feeds over HTTP."""

    listen: Annotated[ListenText | None, BeforeValidator(lambda text: None if text == "off" else text)] = Field(
        default="127.0.0.1:8053", description="ADDRESS:PORT; off: no HTTP at all."
    )
    tokens: Annotated[list[SecretText], OneOrMany] = Field(
        default=[], description="Who shows one of them may read /feeds/: as a bearer token or as a password; none: all."
    )
