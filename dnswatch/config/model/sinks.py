"""``sinks``: where alerts go, one model per type. Read next: ``io/sinks``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, field_validator, model_validator

from dnswatch.config import values
from dnswatch.config.model.fields import DAY_S, Duration, File, OneOrMany, SecretText, Section
from dnswatch.core.model import Severity

DOCUMENTATION_PEN = 32473
"""Private enterprise number reserved for examples (RFC 5612): what we send until an operator sets their own."""
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", *(f"local{i}" for i in range(8)),
)  # fmt: skip
"""Names of the syslog facilities in the order of their numbers (RFC 5424 §6.2.1)."""


def _facility(value: str) -> str:
    if value not in FACILITIES:
        hint = values.close_to(value, FACILITIES) or f": one of {', '.join(FACILITIES)}"
        raise ValueError(f"unknown facility {value!r}{hint}")
    return value


SinkAddress = Annotated[str, AfterValidator(values.sink_address)]
AlertFormat = Literal["cef", "ecs", "json", "leef", "ocsf", "ocsf-1.5", "rfc3164", "rfc5424", "text"]
"""The registry of ``core/alerts``, written out: reading it here would cost every command its import."""


class Tls(Section):
    """Certificates of a TLS connection."""

    ca: File | None = None
    cert: File | None = None
    key: File | None = None
    verify: bool = True
    fingerprint: Annotated[str, AfterValidator(values.fingerprint)] = Field(
        default="", description="SHA-256 of the server's certificate, instead of a CA."
    )
    server_name: Annotated[str, AfterValidator(values.server_name)] = Field(
        default="", description="What the server's certificate is valid for, where it is not the host of the address."
    )

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Tls:
        if self.key is not None and self.cert is None:
            raise ValueError("key needs a cert: the certificate that it belongs to")
        return self


class SinkSettings(Section):
    """What every sink has."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9._:/@\[\]-]*$")] = Field(
        default="", description="Keeps its place in the queue when other settings change; default: where it sends to."
    )
    min_severity: Severity = "info"
    max_rows: Annotated[int, Field(ge=100)] = Field(
        default=100_000, description="Alerts that may wait for this sink; an alert says when it comes near."
    )
    max_age: Annotated[Duration, Field(ge=60)] = Field(
        default=7 * DAY_S, description="How long an alert may wait; beyond it, and beyond max_rows, the oldest go."
    )


class SyslogSink(SinkSettings):
    """Alerts to a SIEM."""

    type: Literal["syslog"]
    address: SinkAddress
    fallback: Annotated[list[SinkAddress], OneOrMany] = []
    format: AlertFormat = "rfc5424"
    min_severity: Severity = "low"
    facility: Annotated[str, AfterValidator(_facility)] = "local0"
    enterprise_id: Annotated[int, Field(ge=1, lt=2**32)] = Field(
        default=DOCUMENTATION_PEN, description="Private enterprise number in structured data (RFC 5424 §7.2.2)."
    )
    framing: Literal["octet", "lf"] = Field(
        default="octet", description="On TCP and TLS (RFC 6587): octet counting, or one line each."
    )
    tls: Tls | None = Field(default=None, description="For tls:// and relp+tls:// addresses.")
    hold: Annotated[Duration, Field(ge=0, le=3600)] = Field(
        default=10.0, description="On TLS: what was sent is sent again if the receiver dies within this time."
    )
    heartbeat: Annotated[Duration, Field(ge=0)] = Field(
        default=300.0, description="How often to say that all is well, with counters; 0: never."
    )
    rate: Annotated[float, Field(gt=0, le=1e6)] = Field(default=500.0, description="On UDP: messages a second at most.")
    max_size: Annotated[int, Field(ge=480, le=65507)] | None = Field(
        default=None, description="Octets of a message; longer ones leave fields out. Default: 2048 on UDP, else 8000."
    )

    @field_validator("heartbeat")
    @classmethod
    def _not_a_flood(cls, value: float) -> float:
        if 0 < value < 1:
            raise ValueError("a heartbeat every second is the most; 0 switches it off")
        return value

    @property
    def id(self) -> str:
        """The name under which the queue keeps this sink's place."""
        return self.name or self.address


class FileSink(SinkSettings):
    """Alerts to a file, one a line."""

    type: Literal["file"]
    path: File
    format: AlertFormat = "json"

    @property
    def id(self) -> str:
        """The name under which the queue keeps this sink's place."""
        return self.name or f"file:{self.path}"


class StdoutSink(SinkSettings):
    """Alerts to standard output, one a line."""

    type: Literal["stdout"]
    format: AlertFormat = "text"

    @property
    def id(self) -> str:
        """The name under which the queue keeps this sink's place."""
        return self.name or "stdout"


class HttpSinkSettings(SinkSettings):
    """What sinks have that speak HTTP."""

    url: Annotated[str, AfterValidator(values.url)]
    tls: Tls | None = None

    @model_validator(mode="after")
    def _fits_tls(self) -> HttpSinkSettings:
        if self.tls is not None and self.url.startswith("http:"):
            raise ValueError("tls is for https:// addresses")
        if self.tls is not None and self.tls.fingerprint and (self.tls.cert or self.tls.ca):
            raise ValueError("over HTTPS a fingerprint stands alone: leave out ca and cert")
        return self

    @property
    def id(self) -> str:
        """The name under which the queue keeps this sink's place."""
        return self.name or self.url


class WebhookSink(HttpSinkSettings):
    """Each alert as a signed HTTP POST."""

    type: Literal["webhook"]
    format: AlertFormat = "json"
    secret: SecretText | None = Field(default=None, description="Signs each request (HMAC-SHA256).")
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")], Annotated[str, Field(pattern=r"^[ -~]*$")]] = {}


class SplunkHecSink(HttpSinkSettings):
    """Alerts to Splunk's HTTP event collector."""

    type: Literal["splunk-hec"]
    token: SecretText
    ack: bool = Field(default=True, description="Wait until an indexer has stored it; not on Splunk Cloud.")
    index: Annotated[str, Field(pattern=r"^[a-z0-9_-]*$")] = Field(default="", description="Default: the token's.")
    sourcetype: Annotated[str, Field(pattern=r"^[\w:.-]+$")] = "dnswatch:alert"

    @property
    def format(self) -> str:
        """Events are JSON."""
        return "json"


Sink = Annotated[SyslogSink | FileSink | StdoutSink | WebhookSink | SplunkHecSink, Discriminator("type")]
