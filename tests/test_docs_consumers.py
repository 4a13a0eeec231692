"""docs/consumers.md: every writer and every format has its row, and its configuration loads."""

import re
from pathlib import Path

import pytest

from dnswatch.config.load import load
from dnswatch.core.feeds.consumers import CONSUMERS
from dnswatch.core.feeds.formats import FORMATS, OVERVIEWS
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Snapshot, Zone

PAGE = (Path(__file__).parent.parent / "docs" / "consumers.md").read_text()
EVERY = Snapshot(Zone("everyone.rpz.test.invalid", EVERYONE, ()), 1, 0.0)


@pytest.mark.parametrize("kind", sorted(CONSUMERS))
def test_every_writer_has_a_row(kind: str) -> None:
    """The table compares all that `consumer-config` knows."""
    assert re.search(rf"^\| .* \| `consumer-config {kind}`", PAGE, re.MULTILINE)


def test_every_file_has_a_row() -> None:
    """A list that nobody knows of is of no use."""
    names = [form.file_name(EVERY) for form in FORMATS.values() if form.accepts(EVERY)]
    for name in (*names, *(form.file_name for form in OVERVIEWS.values())):
        assert re.search(rf"^\| `{re.escape(name)}` \|", PAGE, re.MULTILINE), name


def test_its_configuration_loads(tmp_path: Path) -> None:
    """With a token in a file."""
    (tmp_path / "feed-token").write_text("secret\n")
    texts = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert texts
    for text in texts:
        path = tmp_path / "dnswatch.yaml"
        path.write_text(text.replace("/etc/dnswatch", str(tmp_path)))
        assert [token.reveal() for token in load(path).http.tokens] == ["secret"]
