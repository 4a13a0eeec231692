"""docs/sources.md: its settings are those that `init` prints, its configuration loads, its Lua is the hook's."""

import re
from pathlib import Path

import pytest

from dnswatch.config.load import load
from dnswatch.core.host import advice
from dnswatch.core.logs.parsers import PARSERS

PAGE = (Path(__file__).parent.parent / "docs" / "sources.md").read_text()


def blocks(heading: str, kind: str = "") -> list[str]:
    """The fenced blocks of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [text for said, text in found if said == kind]


@pytest.mark.parametrize("name", PARSERS)
def test_every_format_is_on_the_page(name: str) -> None:
    """A row in the table, or at least a source of that type."""
    assert f"`{name}`" in PAGE or f"type: {name}" in PAGE


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_sources_of_the_page_load(text: str, tmp_path: Path) -> None:
    """Each yaml block is a whole configuration."""
    path = tmp_path / "dnswatch.yaml"
    path.write_text(text)
    assert load(path).sources


def test_the_settings_are_those_that_init_prints() -> None:
    """Unbound's and the Recursor's lines, and the hook, to the letter."""
    (unbound,) = blocks("Unbound")
    assert [line.strip() for line in unbound.splitlines()[2:]] == list(advice.UNBOUND_LINES)
    (recursor,) = blocks("PowerDNS Recursor")
    assert recursor.splitlines()[1:] == list(advice.POWERDNS_LINES)
    (hook,) = blocks("PowerDNS Recursor", "lua")
    assert hook.partition("\n")[2] == advice.POWERDNS_HOOK
