"""Types of single values, and what every section of the configuration has.

A value says what is legal for it alone, and is shown again as an operator would write it. Durations are seconds, times
Unix seconds; relative paths are relative to the configuration file. Read next: ``config/values.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from dnswatch.config import values
from dnswatch.core import names
from dnswatch.core.clients.expectations import until_text
from dnswatch.core.clients.who import canonical_address, canonical_group, canonical_network, parse_who

DAY_S = 86400.0


def one_or_many(value: Any) -> Any:
    """Make a list of a single text."""
    return [value] if isinstance(value, str) else value


def _below_base(value: Path, info: ValidationInfo) -> Path:
    """Make a relative path relative to the directory of the configuration file."""
    base = (info.context or {}).get("base")
    return base / value if isinstance(base, Path) else value


def text_below_base(value: str, info: ValidationInfo) -> str:
    """Make a relative path relative to the directory of the configuration file; a glob stays one."""
    return str(_below_base(Path(value), info))


def _secret(value: Any, info: ValidationInfo) -> values.Secret:
    return value if isinstance(value, values.Secret) else values.secret(value, (info.context or {}).get("base"))


OneOrMany = BeforeValidator(one_or_many)
"""A list, of which a single entry may stand alone."""
Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    PlainSerializer(values.duration_text, str),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$", "examples": ["7d", "10m", "250ms"]}
    ),
]
End = Annotated[
    float,
    BeforeValidator(values.end),
    PlainSerializer(until_text, str),
    WithJsonSchema({"type": "string", "examples": ["2027-06-30", "2027-06-30T12:00:00Z"]}),
]
SecretText = Annotated[
    values.Secret,
    BeforeValidator(_secret),
    PlainSerializer(lambda secret: f"{secret.reference} (set)", str),
    WithJsonSchema({"type": "string", "pattern": "^(file|env):.+$"}),
]
File = Annotated[Path, AfterValidator(_below_base), PlainSerializer(str, str)]
PathText = Annotated[str, Field(min_length=1), AfterValidator(text_below_base)]
Address = Annotated[str, AfterValidator(canonical_address)]
Network = Annotated[str, AfterValidator(canonical_network)]
GroupName = Annotated[str, AfterValidator(canonical_group)]
WhoText = Annotated[str, AfterValidator(lambda text: str(parse_who(text)))]
HostName = Annotated[str, AfterValidator(names.canonical)]
Audience = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
ListenText = Annotated[str, AfterValidator(values.listen)]
Sentence = Annotated[str, Field(min_length=1, max_length=500)]


class Section(BaseModel):
    """A mapping of the configuration; keys that it does not know are problems."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True, allow_inf_nan=False,
        defer_build=True,  # built once, as a part of `Config`, not each by itself before: 20 ms of every start
    )  # fmt: skip
