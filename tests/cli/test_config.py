"""`dnswatch config`: what counts, and its schema."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnswatch.cli import main
from dnswatch.config.load import load
from dnswatch.config.model import Config


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(exit_.value.code or 0), said.out, said.err


def test_show_is_what_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Merged and complete, in YAML and JSON; what is shown configures the same."""
    main_file = tmp_path / "dnswatch.yaml"
    main_file.write_text(
        "sources: [{type: bind, path: query.log, from: 2026-11-01}]\nsinks: [{type: stdout}]\n"
        "expect: [{who: 'mac:10:20:30:40:50:59', services: telegram-bot, because: 'on', until: 2099-06-30}]\n"
    )
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.yaml").write_text("feeds: {mode: off, grace: 90m}\n")
    code, out, _ = run(capsys, "--config", main_file, "config", "show")
    assert code == 0
    assert out.startswith(f"# {main_file}\n# {tmp_path}/conf.d/10.yaml\nstate_dir: /var/lib/dnswatch\n")
    code, as_json, _ = run(capsys, "--config", main_file, "config", "show", "--json")
    assert code == 0
    shown = json.loads(as_json)
    assert shown["sources"][0]["path"] == str(tmp_path / "query.log")
    assert shown["sources"][0]["from"] == "2026-11-01T00:00:00Z"
    assert shown["expect"][0]["until"] == "2099-06-30"
    assert (shown["feeds"]["mode"], shown["feeds"]["grace"]) == ("off", "90m")
    assert yaml.safe_load(out) == shown  # also for readers of YAML 1.1: words such as off and 10:20 are quoted
    again = tmp_path / "again.yaml"
    again.write_text(out)
    (tmp_path / "conf.d" / "10.yaml").unlink()
    first = Config.model_validate(shown)
    assert load(again).model_dump() == first.model_dump()


def test_show_says_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All problems on stderr, nothing on stdout, exit 3."""
    (tmp_path / "x.yaml").write_text("feeds: {mode: of}\nhtpp: 1\n")
    code, out, err = run(capsys, "--config", tmp_path / "x.yaml", "config", "show")
    assert (code, out) == (3, "")
    assert err.splitlines() == [
        f"{tmp_path}/x.yaml:1:15 feeds.mode: 'of' is not one of off, shadow, enforce (did you mean 'off'?)",
        f"{tmp_path}/x.yaml:2:1 htpp: unknown key (did you mean 'http'?)",
    ]


def test_the_schema_knows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key of the model is in it, mappings are closed, references resolve."""
    code, out, _ = run(capsys, "config", "schema")
    assert code == 0
    schema = json.loads(out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Config.model_fields)
    assert set(schema["$defs"]["Source"]["properties"]) == {
        "type", "path", "journald", "listen", "senders", "timezone", "from", "sample", "forwarders", "drain", "olddir",
        "silent_after", "catch_up",
    }  # fmt: skip

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]
            if "properties" in node and node.get("type") == "object":
                assert node["additionalProperties"] is False
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
