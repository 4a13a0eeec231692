"""``watch`` and ``detect``: what is watched, and how it counts. Read next: ``config/detection.py``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dnswatch.config.detection import check_options, check_points
from dnswatch.config.model.fields import DAY_S, Duration, File, OneOrMany, Section


class Watch(Section):
    """Which services of the catalogue are watched."""

    profile: Literal["core", "extended", "none"] = "core"
    include: Annotated[list[str], OneOrMany] = []
    exclude: Annotated[list[str], OneOrMany] = []
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
