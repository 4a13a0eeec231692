"""Long catalogues are read in a child before they are read here; short ones are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnswatch.config import kept
from dnswatch.config.build import load_policy
from dnswatch.io import foresight


async def test_a_long_catalogue_is_compiled_when_it_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child has read every file of it; a short one, or a configuration that is broken, is left to who reads it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "dnswatch.yaml"
    path.write_text(f"state_dir: {tmp_path}\n")
    policy = load_policy(path).policy
    services = tmp_path / "services"
    services.mkdir()
    (services / "own.yaml").write_text(
        "id: own\nname: Own\ncategory: bot-api\nblock_safety: safe\nbase_severity: low\nseverity_reason: ours\n"
        "names: [{name: bot.own.example, match: domain}]\n"
    )
    path.write_text(f"state_dir: {tmp_path}\nwatch: {{services_dir: {services}}}\n")
    before = set((tmp_path / "dnswatch").iterdir())
    await foresight.read_ahead(path, policy)
    assert set((tmp_path / "dnswatch").iterdir()) == before
    monkeypatch.setattr(foresight, "LARGE", 1)
    await foresight.read_ahead(tmp_path / "none.yaml", policy)
    await foresight.read_ahead(path, policy)
    assert len(set((tmp_path / "dnswatch").iterdir()) - before) == 1

    def parses(*_: object) -> None:
        raise AssertionError("it was parsed here")

    monkeypatch.setattr(kept, "_read", parses)
    assert "own" in load_policy(path).policy.catalog.services
