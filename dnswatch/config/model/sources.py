"""``sources``: the query logs and their ways in. Read next: ``config/ways.py``, ``io/sources``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from dnswatch.config import values, ways
from dnswatch.config.model.fields import Address, Duration, Network, OneOrMany, Section, text_below_base
from dnswatch.core.reading import DNSTAP, formats


def _log_path(value: str, info: ValidationInfo) -> str:
    return value if value in ("", ways.STDIN) else text_below_base(value, info)


def _silence(value: Any) -> Any:
    if value is False or value == "off":  # YAML 1.1 habits
        return "off"
    if (found := values.duration(value)) <= 0:
        raise ValueError("must be longer than nothing; off means never")
    return found


def _start(value: Any) -> Any:
    return value if value in ("start", "end") or isinstance(value, float) else values.instant(value)


Silence = Annotated[
    float | Literal["off"],
    BeforeValidator(_silence),
    PlainSerializer(lambda value: value if value == "off" else values.duration_text(value), str),
    WithJsonSchema({"type": "string", "pattern": r"^(off|(\d+(\.\d+)?(ms|s|m|h|d|w))+)$", "examples": ["30m", "off"]}),
]
Start = Annotated[
    Literal["start", "end"] | float,
    BeforeValidator(_start),
    PlainSerializer(lambda at: values.time_text(at) if isinstance(at, float) else at, str),
    WithJsonSchema({"type": "string", "examples": ["start", "end", "2026-11-01T00:00:00Z"]}),
]


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
    senders: Annotated[list[Network], OneOrMany] = Field(
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
    forwarders: Annotated[list[Address], OneOrMany] = Field(
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
