"""`dnswatch feed log`: what people ordered by command, as it is read back."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from dnswatch.cli import root
from dnswatch.io.store import FILE, Store, schema

CONFIG = """\
state_dir: {place}/state
clients: {{groups: {{staff: {{networks: [10.1.0.0/16]}}}}}}
feeds: {{mode: enforce, directory: {place}/feeds}}
"""


def said(place: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(root, ["--config", str(place / "dnswatch.yaml"), *arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A configuration whose zones have been published."""
    (tmp_path / "dnswatch.yaml").write_text(CONFIG.format(place=tmp_path))
    said(tmp_path, "feed", "build")
    return tmp_path


def logged(place: Path, *arguments: str) -> list[dict[str, object]]:
    found = json.loads(said(place, "feed", "log", "--json", *arguments).stdout)
    assert isinstance(found, list)
    return found


def test_every_order_by_command_is_kept_with_who_and_why(place: Path) -> None:
    """Publications, quarantine, blocks, expectations and promotions; the newest first."""
    said(place, "feed", "quarantine", "add", "10.1.2.3", "--because", "stealer", "--for", "1h")
    said(place, "feed", "quarantine", "remove", "10.1.2.3", "--because", "reinstalled")
    said(place, "feed", "block", "add", "evil.example.com", "--because", "case 1", "--for-group", "staff")
    said(place, "feed", "block", "remove", "1")
    said(place, "expect", "add", "group:staff", "--service", "slack-webhook", "--because", "deploys")
    said(place, "expect", "remove", "1")
    said(place, "feed", "publish", "--force", "--because", "moved")
    said(place, "feed", "publish", "--new-epoch", "--because", "clock")
    said(place, "feed", "promote", "--to", "shadow", "--because", "trial")
    found = [(one["order"], one["about"], one["because"]) for one in reversed(logged(place))]
    assert found == [
        ("feed quarantine add", "10.1.2.3", "stealer"),
        ("feed quarantine remove", "10.1.2.3", "reinstalled"),
        ("feed block add", "evil.example.com", "case 1"),
        ("feed block remove", "evil.example.com", "case 1"),
        ("expect add", "group:staff slack-webhook", "deploys"),
        ("expect remove", "group:staff slack-webhook", ""),
        ("feed publish", "", "moved"),
        ("feed publish", "", "clock"),
        ("feed promote", "shadow", "trial"),
    ]
    assert all(one["by"] and one["result"] == "ordered" for one in logged(place))
    assert "new_epoch yes" in said(place, "feed", "log").stdout
    assert len(logged(place, "--days", "1")) == len(found)


def test_nothing_ordered_is_said(place: Path) -> None:
    """On stderr, and an empty list in JSON."""
    assert "Nothing was ordered by command in the last 3 days" in said(place, "feed", "log", "--days", "3").stderr
    assert logged(place) == []


def test_retention_keeps_orders_and_forgets_what_was_asked_of_alerts(place: Path) -> None:
    """Who cut whom off may be asked after a year."""
    said(place, "feed", "quarantine", "add", "10.1.2.3", "--because", "stealer")

    async def a_year_later() -> None:
        async with await Store.open(place / "state" / FILE) as store:
            await store.ask({"kind": "ack", "alert": "X"}, "ann")
            with store.write() as connection:
                connection.execute(update(schema.action).values(applied_wall=time.time() - 366 * 86400))
            assert (await store.prune(0.0, 0.0))["action"] == 1

    asyncio.run(a_year_later())
    assert [one["order"] for one in logged(place)] == ["feed quarantine add"]
