"""What docs/detection.md says is so: rules, terms, points, thresholds."""

import re
from pathlib import Path

from dnswatch.core.catalog.schema import CATEGORIES
from dnswatch.core.detect.score import BASE, POINTS

TEXT = (Path(__file__).parent.parent / "docs" / "detection.md").read_text()


def test_every_category_has_its_rule() -> None:
    """A rule id that an alert can carry is documented, and no other."""
    assert set(re.findall(r"`DNSW-([a-z-]+)`", TEXT)) == {*CATEGORIES, "blind-spot"}


def test_every_term_stands_with_its_points() -> None:
    """The table is the data of score.py."""
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (-?\d+) \|", TEXT, re.MULTILINE))
    assert {term: int(points) for term, points in rows.items()} == dict(POINTS)
    assert list(rows) == sorted(rows)


def test_thresholds_are_those_of_the_code() -> None:
    """Base points are thresholds as well."""
    assert "(info {info}, low {low}, medium {medium}, high {high})".format(**BASE) in TEXT
    assert "Severities begin at {low} (low), {medium}, {high} and {critical} (critical)".format(**BASE) in TEXT
