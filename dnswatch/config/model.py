"""The configuration as values: every key an operator can write, its default, and what is legal for it alone.

The keys are a contract (README, examples, packages). Never: reads files, looks at two places at once: what only shows
across values (a prefix in two groups, an unknown service) is ``rules.py``. Durations are seconds, times Unix seconds.
Read next: ``load.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from dnswatch.config import values, ways
from dnswatch.config.detection import check_options, check_points
from dnswatch.config.merge import Tree
from dnswatch.config.yaml import Step
from dnswatch.core import names
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.who import canonical_address, canonical_group, canonical_network, parse_who
from dnswatch.core.model import ClientRole, Match, Mode, Severity
from dnswatch.core.policy import Override
from dnswatch.core.reading import DNSTAP, formats
from dnswatch.errors import ConfigError, Problem

DAY_S = 86400.0
DOCUMENTATION_PEN = 32473
"""Private enterprise number reserved for examples (RFC 5612): what we send until an operator sets their own."""


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _below_base(value: Path, info: ValidationInfo) -> Path:
    """Make a relative path relative to the directory of the configuration file."""
    base = (info.context or {}).get("base")
    return base / value if isinstance(base, Path) else value


def _text_below_base(value: str, info: ValidationInfo) -> str:
    return str(_below_base(Path(value), info))


def _log_path(value: str, info: ValidationInfo) -> str:
    return value if value in ("", ways.STDIN) else _text_below_base(value, info)


def _secret(value: Any, info: ValidationInfo) -> values.Secret:
    return value if isinstance(value, values.Secret) else values.secret(value, (info.context or {}).get("base"))


def _facility(value: str) -> str:
    if value not in FACILITIES:
        hint = values.close_to(value, FACILITIES) or f": one of {', '.join(FACILITIES)}"
        raise ValueError(f"unknown facility {value!r}{hint}")
    return value


def _silence(value: Any) -> Any:
    if value is False or value == "off":  # YAML 1.1 habits
        return "off"
    if (found := values.duration(value)) <= 0:
        raise ValueError("must be longer than nothing; off means never")
    return found


def _start(value: Any) -> Any:
    return value if value in ("start", "end") or isinstance(value, float) else values.instant(value)


FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", *(f"local{i}" for i in range(8)),
)  # fmt: skip
"""Names of the syslog facilities in the order of their numbers (RFC 5424 §6.2.1)."""

Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    PlainSerializer(values.duration_text, str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$", "examples": ["7d", "10m", "250ms"]}
    ),
]
Silence = Annotated[
    float | Literal["off"],
    BeforeValidator(_silence),
    PlainSerializer(lambda value: value if value == "off" else values.duration_text(value), str),
    WithJsonSchema({"type": "string", "pattern": r"^(off|(\d+(\.\d+)?(ms|s|m|h|d|w))+)$", "examples": ["30m", "off"]}),
]
End = Annotated[
    float,
    BeforeValidator(values.end),
    PlainSerializer(until_text, str),
    WithJsonSchema({"type": "string", "examples": ["2027-06-30", "2027-06-30T12:00:00Z"]}),
]
Start = Annotated[
    Literal["start", "end"] | float,
    BeforeValidator(_start),
    PlainSerializer(lambda at: values.time_text(at) if isinstance(at, float) else at, str),
    WithJsonSchema({"type": "string", "examples": ["start", "end", "2026-11-01T00:00:00Z"]}),
]
SecretText = Annotated[
    values.Secret,
    BeforeValidator(_secret),
    PlainSerializer(lambda secret: f"{secret.reference} (set)", str),
    WithJsonSchema({"type": "string", "pattern": "^(file|env):.+$"}),
]
File = Annotated[Path, AfterValidator(_below_base), PlainSerializer(str, str)]
PathText = Annotated[str, Field(min_length=1), AfterValidator(_text_below_base)]
Address = Annotated[str, AfterValidator(canonical_address)]
Network = Annotated[str, AfterValidator(canonical_network)]
GroupName = Annotated[str, AfterValidator(canonical_group)]
WhoText = Annotated[str, AfterValidator(lambda text: str(parse_who(text)))]
HostName = Annotated[str, AfterValidator(names.canonical)]
Audience = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
ListenText = Annotated[str, AfterValidator(values.listen)]
SinkAddress = Annotated[str, AfterValidator(values.sink_address)]
AlertFormat = Literal["cef", "ecs", "json", "leef", "ocsf", "ocsf-1.5", "rfc3164", "rfc5424", "text"]
"""The registry of ``core/alerts``, written out: reading it here would cost every command its import."""
Sentence = Annotated[str, Field(min_length=1, max_length=500)]


class Section(BaseModel):
    """A mapping of the configuration; keys that it does not know are problems."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True, allow_inf_nan=False
    )


class Journal(Section):
    """What to take from the systemd journal."""

    unit: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Unit whose messages are taken: named.service (.service may be left out)."
    )
    identifier: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Syslog identifier (tag) of the messages: dnsmasq."
    )
    namespace: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Journal namespace (LogNamespace= of the unit)."
    )

    @field_validator("unit")
    @classmethod
    def _unit(cls, value: str | None) -> str | None:
        return None if value is None else ways.unit_name(value)

    @model_validator(mode="after")
    def _something(self) -> Journal:
        if self.unit is None and self.identifier is None:
            raise ValueError("name a unit or an identifier: journald: named.service")
        return self

    def __str__(self) -> str:
        parts = [self.unit or "", f"identifier={self.identifier}" if self.identifier else "",
                 f"namespace={self.namespace}" if self.namespace else ""]  # fmt: skip
        return ",".join(filter(None, parts))


class CatchUp(Section):
    """How far a log is read again after downtime."""

    most: Annotated[
        values.Extent | None,
        BeforeValidator(lambda value: None if value is None else values.extent(value)),
        PlainSerializer(lambda value: None if value is None else str(value), str | None),
        WithJsonSchema({"type": "string", "examples": ["2d", "10GB"]}),
    ] = Field(default=None, description="A time (2d) or a size (10GB); what lies before it is left out, and told.")


class Source(Section):
    """A query log and its one way in: ``path``, ``journald`` or ``listen``."""

    type: Annotated[str, AfterValidator(ways.check_format), WithJsonSchema({"type": "string", "enum": formats()})] = (
        Field(description="Format of the log.")
    )
    path: Annotated[str, AfterValidator(_log_path)] = Field(
        default="",
        description="File or glob (rotated and compressed siblings are found), FIFO, or - for standard input.",
    )
    journald: Annotated[
        Journal | None,
        BeforeValidator(lambda value: {"unit": value} if isinstance(value, str) else value),
        WithJsonSchema({"anyOf": [Journal.model_json_schema(), {"type": "string"}, {"type": "null"}]}),
    ] = Field(default=None, description="Unit, or {unit, identifier, namespace}, of the systemd journal.")
    listen: Annotated[str, AfterValidator(ways.check_door)] | None = Field(
        default=None,
        description="Receive syslog: udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH; with type: dnstap frame streams.",
    )
    senders: Annotated[list[Network], BeforeValidator(_one_or_many)] = Field(
        default=[], description="With listen: networks that may send. Required unless it listens on loopback."
    )
    timezone: Annotated[str, AfterValidator(values.timezone)] | None = Field(
        default=None, description="IANA name: the zone of stamps that carry none. Unset: UTC."
    )
    start: Start = Field(default="end", alias="from", description="Where to begin a log that was never read.")
    sample: Literal["position", "all"] = Field(
        default="position", description="all: look at every line, for small networks."
    )
    drain: Duration = Field(
        default=150.0,
        ge=0,
        description="How long a rotated file is still read: dnsmasq's TCP children write into it for up to 150 s.",
    )
    olddir: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Where rotated files go, if not beside the log (logrotate's olddir; from there)."
    )
    forwarders: Annotated[list[Address], BeforeValidator(_one_or_many)] = Field(
        default=[], description="Clients in this log that are other resolvers of ours."
    )
    catch_up: CatchUp = CatchUp()
    silent_after: Silence | None = Field(
        default=None, description="Silence that raises an alert, or off; unset: learned by hour of the week."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Source:
        given = [key for key in ("path", "journald", "listen") if getattr(self, key)]
        if len(given) != 1:
            said = f"{' and '.join(given)}: a source has one way in" if given else "where does it come from"
            raise ValueError(f"{said}: write path: FILE, journald: UNIT or listen: udp://HOST:PORT")
        whole = given == ["path"] and self.path != ways.STDIN
        settings = (("drain", self.drain), ("olddir", self.olddir), ("catch_up", self.catch_up))
        changed = [key for key, value in settings if value != Source.model_fields[key].default]
        if changed and not whole:
            raise ValueError(f"{changed[0]} is for a log file that is rotated: leave it out here")
        if self.start != "end" and (self.listen or self.path == ways.STDIN):
            raise ValueError("from is for a log that can be read again: leave it out here")
        if self.type == DNSTAP:
            self._fits_dnstap()
        self._fits_senders()
        return self

    def _fits_dnstap(self) -> None:
        if self.journald:
            raise ValueError("dnstap is binary, the journal has lines: write listen: unix:///PATH or path: FILE.tap")
        if self.listen and ways.split_door(self.listen).scheme == "udp":
            raise ValueError("dnstap comes over unix:///PATH or tcp://HOST:PORT, not over UDP")
        if self.timezone:
            raise ValueError("dnstap counts its times in UTC: leave timezone out")
        if self.start != "start" and "start" in self.model_fields_set:
            raise ValueError("a dnstap file is always read from its start: leave from out")

    def _fits_senders(self) -> None:
        door = ways.split_door(self.listen) if self.listen else None
        if door is None or door.scheme == "unix":
            if self.senders:
                raise ValueError("senders are networks that send over UDP or TCP: leave it out here")
        elif not self.senders and not values.is_loopback(door.host):
            raise ValueError(f"{self.listen} can be reached by others: say who may send, senders: [192.0.2.0/24]")

    @property
    def id(self) -> str:
        """What positions, status and metrics call it; of a path, each file that it matches has its own name."""
        if self.journald:
            return f"journald:{self.journald}"
        return self.listen or ("stdin" if self.path == ways.STDIN else self.path)


class ClientGroup(Section):
    """A named set of networks."""

    networks: Annotated[list[Network], Field(min_length=1), BeforeValidator(_one_or_many)]
    role: ClientRole = ""


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
        return _one_or_many(value)


class Expect(Section):
    """Who may use what; everyone else is unexpected."""

    who: Annotated[list[WhoText], Field(min_length=1), BeforeValidator(_one_or_many)]
    services: Annotated[list[Sentence], Field(min_length=1), BeforeValidator(_one_or_many)]
    because: Sentence
    owner: Annotated[str, Field(max_length=200)] = ""
    until: End | None = Field(default=None, description="A date holds through that day in UTC; a time is exact.")


class Watch(Section):
    """Which services of the catalogue are watched."""

    profile: Literal["core", "extended", "none"] = "core"
    include: Annotated[list[str], BeforeValidator(_one_or_many)] = []
    exclude: Annotated[list[str], BeforeValidator(_one_or_many)] = []
    services_dir: File | None = Field(default=None, description="Directory of own services, in the format of feeds/.")


class Learning(Section):
    """How long first-seen, prevalence and companion absence do not count yet."""

    days: Annotated[float, Field(ge=0, le=366)] = 14.0


class Detect(Section):
    """Settings of detection."""

    learning: Learning = Learning()
    episode_gap: Annotated[Duration, Field(gt=0)] = Field(
        default=7 * DAY_S, description="An episode ends after this much log time without an attempt."
    )
    points: Annotated[dict[str, Annotated[int, Field(ge=-100, le=100)]], AfterValidator(check_points)] = Field(
        default={}, description="Points of a term, where they shall differ from the built-in ones."
    )
    signals: Annotated[dict[str, dict[str, Any]], AfterValidator(check_options)] = Field(
        default={}, description="Options of a signal, by its name, where they shall differ from its defaults."
    )


class Tls(Section):
    """Certificates of a TLS connection."""

    ca: File | None = None
    cert: File | None = None
    key: File | None = None
    verify: bool = True
    fingerprint: Annotated[str, AfterValidator(values.fingerprint)] = Field(
        default="", description="SHA-256 of the server's certificate, instead of a CA."
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
    fallback: Annotated[list[SinkAddress], BeforeValidator(_one_or_many)] = []
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
    max_size: Annotated[int, Field(ge=480, le=65507)] = Field(
        default=2048, description="On UDP: octets of a message; longer ones leave fields out (RFC 5426 §3.2)."
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


class Addresses(Section):
    """What a blocked name is answered with, instead of NXDOMAIN or NODATA."""

    a: Annotated[list[Address], BeforeValidator(_one_or_many)] = []
    aaaa: Annotated[list[Address], BeforeValidator(_one_or_many)] = []


class Hook(Section):
    """What to do after the files were replaced: run a command (without a shell), or signal a process."""

    run: Annotated[list[str], BeforeValidator(_one_or_many)] | None = None
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

    names: Annotated[list[HostName], Field(min_length=1), BeforeValidator(_one_or_many)]
    match: Match = Field(default="domain", description="exact: that name; subdomains: what is below; domain: both.")
    audiences: Annotated[list[Audience], BeforeValidator(_one_or_many)] = Field(
        default=[], description="Groups, and any for clients in none; default: everybody."
    )
    because: Sentence
    owner: Annotated[str, Field(max_length=200)] = ""
    until: End | None = Field(default=None, description="A date holds through that day in UTC; a time is exact.")


class BlockEntry(NameEntry):
    """Names that are blocked by hand."""

    override: Annotated[list[Override], BeforeValidator(_one_or_many)] = Field(
        default=[], description="What this is stronger than: never-block, expected. Without it both win."
    )


class QuarantineEntry(Section):
    """Clients that are cut off by hand."""

    who: Annotated[list[WhoText], Field(min_length=1), BeforeValidator(_one_or_many)]
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
    never: Annotated[list[Network], BeforeValidator(_one_or_many)] = Field(
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
    type: Literal["bind", "unbound", "powerdns", "dnsmasq"]
    ask_from: Annotated[list[Address], BeforeValidator(_one_or_many)] = Field(
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
    collateral: Annotated[list[str], BeforeValidator(_one_or_many)] = Field(
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
            for address in _one_or_many(value.get(key) or []):
                if (":" in canonical_address(str(address))) != (version == 6):
                    raise ValueError(f"{key}: {address} is not an IPv{version} address")
        if not any(value.values()):
            raise ValueError("an action of addresses needs a or aaaa")
        return value


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
    networks: Annotated[list[Network], BeforeValidator(_one_or_many)] = Field(
        default=[], description="Where else it may ask from; with a key: where it must ask from."
    )
    zones: Annotated[list[Audience], BeforeValidator(_one_or_many)] = Field(
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

    listen: Annotated[list[ListenText], Field(min_length=1), BeforeValidator(_one_or_many)]
    tls: DnsTls | None = None
    keys: dict[HostName, DnsKey] = {}
    consumers: list[Consumer] = []
    canary: Canary = Canary()


class Http(Section):
    """Health, metrics and feeds over HTTP."""

    listen: Annotated[ListenText | None, BeforeValidator(lambda text: None if text == "off" else text)] = Field(
        default="127.0.0.1:8053", description="ADDRESS:PORT; off: no HTTP at all."
    )
    tokens: Annotated[list[SecretText], BeforeValidator(_one_or_many)] = Field(
        default=[], description="Who shows one of them may read /feeds/: as a bearer token or as a password; none: all."
    )


class Config(Section):
    """The whole configuration. Everything but ``sources`` has a safe default."""

    state_dir: File = Path("/var/lib/dnswatch")
    sensor: Annotated[str, Field(max_length=255, pattern=r"^[!-~]*$")] = Field(
        default="", description="Name of this sensor in alerts; default: the host's name."
    )
    lang: Literal["en", "ru"] = Field(default="en", description="Language of triage texts.")
    sources: list[Source] = []
    clients: Clients = Clients()
    expect: list[Expect] = []
    watch: Watch = Watch()
    detect: Detect = Detect()
    sinks: list[Sink] = []
    feeds: Feeds = Feeds()
    dns: Dns | None = None
    http: Http = Http()

    _tree: Tree = PrivateAttr(default_factory=Tree)
    _warnings: tuple[Problem, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is legal but probably not meant: ended expectations, the documentation enterprise number …"""
        return self._warnings

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that this configuration was read from, the main one first; empty for the defaults."""
        return tuple(Path(document.file) for document in self._tree.documents)

    @property
    def tree(self) -> Tree:
        """The merged documents: which file said what."""
        return self._tree

    @property
    def feeds_directory(self) -> Path:
        """Where feeds are written."""
        return self.feeds.directory or self.state_dir / "feeds"

    def problem(self, path: tuple[Step, ...], message: str, *, key: bool = False) -> Problem:
        """Make a `Problem` about the value (or key) at ``path``, with the file and line that say it."""
        return self._tree.problem(path, message, key=key)

    def origin(self, path: tuple[Step, ...]) -> str:
        """Say where the value at ``path`` was written, as ``conf.d/10-ci.yaml:4``; "" for a default."""
        return self._tree.origin(path)

    def require_sources(self) -> None:
        """Raise `ConfigError` when there is nothing to follow: only `run` needs that."""
        if not self.sources:
            example = "sources: [{type: bind, path: /var/log/named/query.log}]"
            raise ConfigError([self.problem((), f"no sources: name a query log, e.g. {example}")])
