"""``watch`` and ``detect``: what is watched, and how it counts. Read next: ``config/detection.py``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dnswatch.config.detection import check_options, check_points
from dnswatch.config.model.fields import DAY_S, Duration, File, OneOrMany, Section
from dnswatch.core.policy import Lane


class Watch(Section):
    """Which services of the catalogue are watched."""

    profile: Literal["core", "extended", "none"] = "core"
    include: Annotated[list[str], OneOrMany] = []
    exclude: Annotated[list[str], OneOrMany] = []
    services_dir: File | None = Field(default=None, description="Directory of own services, in the format of feeds/.")


class Learning(Section):
    """How long first-seen, prevalence and companion absence do not count yet."""

    days: Annotated[float, Field(ge=0, le=366)] = 14.0


class UnknownClients(Section):
    """How many clients that nobody knows may open alerts, before the others are one alert (`client-flood`)."""

    at_once: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=1_000, description="Alerts at once, of mild services, of grave ones, and over TCP each."
    )
    per_minute: Annotated[float, Field(ge=0, le=6_000)] = Field(
        default=60.0, description="And after that, of log time in which nobody had to be held back."
    )

    @property
    def lane(self) -> Lane:
        """The same for the engine, which counts in seconds."""
        return Lane(self.at_once, self.per_minute / 60)


class Detect(Section):
    """Settings of detection."""

    learning: Learning = Learning()
    episode_gap: Annotated[Duration, Field(gt=0)] = Field(
        default=7 * DAY_S, description="An episode ends after this much log time without an attempt."
    )
    unknown_clients: UnknownClients = UnknownClients()
    points: Annotated[dict[str, Annotated[int, Field(ge=-100, le=100)]], AfterValidator(check_points)] = Field(
        default={}, description="Points of a term, where they shall differ from the built-in ones."
    )
    signals: Annotated[dict[str, dict[str, Any]], AfterValidator(check_options)] = Field(
        default={}, description="Options of a signal, by its name, where they shall differ from its defaults."
    )
