"""Points and signal options as an operator writes them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dnswatch.config.detection import check_options, check_points, read_options
from dnswatch.core.detect.signals import SIGNALS
from dnswatch.core.policy import Detection


def test_options_take_the_types_of_their_defaults() -> None:
    """Durations are read as everywhere else, counts are whole, shares are not."""
    given = {"companion": {"memory": "21d"}, "prevalence": {"rare": 0.01, "clients": 30}}
    assert check_options(given) == given  # `config show` prints what was written
    assert read_options(given) == {
        "companion": {"memory_s": 21 * 86400.0}, "prevalence": {"rare": 0.01, "clients": 30},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"compagnon": {}}, "did you mean 'companion'"),
        ({"companion": {"memori": "7d"}}, "did you mean 'memory'"),
        ({"role": {"x": 1}}, "it has none"),
        ({"prevalence": {"clients": 1.5}}, "not a whole number"),
        ({"prevalence": {"rare": "x"}}, "not a number"),
        ({"burst": {"p": -1}}, "below 0"),
    ],
)
def test_unknown_options_are_refused(given: dict[str, dict[str, object]], says: str) -> None:
    """The message names what would be right."""
    with pytest.raises(ValueError, match=says):
        check_options(given)


def test_unknown_terms_are_refused() -> None:
    """Points are for terms that exist."""
    assert check_points({"burst": 20}) == {"burst": 20}
    with pytest.raises(ValueError, match="did you mean 'sequence'"):
        check_points({"sequense": 1})


@pytest.mark.parametrize("name", SIGNALS)
def test_every_option_can_be_set(name: str) -> None:
    """What a signal declares, it takes."""
    kind = SIGNALS[name].options_type
    if kind is None:
        return
    written, meant = {}, {}
    for field in fields(kind):
        meant[field.name] = field.default
        timed = field.name.endswith("_s")
        written[field.name.removesuffix("_s")] = f"{field.default:.0f}s" if timed else field.default
    assert read_options({name: written}) == {name: meant}
    assert SIGNALS[name](Detection(options={name: meant})).options == kind()  # type: ignore[attr-defined]
