"""Configurations that are wrong in one way each, named after it, and what dnswatch says about them (golden)."""

import os
from pathlib import Path

import pytest

from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.load import read
from dnswatch.config.rules import check_references
from dnswatch.core.catalog import Catalog

WRONG = Path(__file__).parent / "wrong"
FILES = sorted(path for path in WRONG.iterdir() if path.suffix != ".txt")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalogue()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_messages(path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault is said once, with file, line, column, path, and what would be right."""
    monkeypatch.delenv("DNSWATCH_NO_SUCH_VARIABLE", raising=False)
    reading = read(path, now=1_795_000_000.0)
    problems = sorted((*reading.problems, *check_references(reading.tree, reading.tree.data, catalog)))
    said = "".join(f"{problem}\n" for problem in problems).replace(f"{WRONG}/", "")
    golden = path.with_suffix(".txt")
    if os.environ.get("DNSWATCH_GOLDEN") == "write":
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text("utf-8")
    assert problems
    assert all(problem.line or not path.read_bytes() for problem in problems)


def test_every_golden_text_has_its_configuration() -> None:
    """No message is kept for a file that is gone."""
    assert {path.stem for path in WRONG.glob("*.txt")} == {path.stem for path in FILES}
