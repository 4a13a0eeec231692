"""What the documentation says is so: commands, options, fields, examples, exit codes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dnswatch import cli, errors, scenarios
from dnswatch.config.load import load
from dnswatch.core.alerts.flat import FIELDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
BLOCKS = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [re.sub(f"(?m)^{indent}", "", text) for indent, name, text in BLOCKS if name == kind]


def dnswatch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dnswatch", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    """A command without a row in the table of commands does not exist for a user."""
    rows = [line for line in README.splitlines() if line.startswith(f"| `{command}")]
    assert len(rows) == 1, f"README: no row for {command}"


def subcommands(command: str) -> list[str]:
    found = cli.root.get_command(click.Context(cli.root), command)
    return found.list_commands(click.Context(found)) if isinstance(found, click.Group) else []


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_subcommand_is_in_its_groups_row(command: str) -> None:
    """`expect` lists `list`, `add`, `remove`, `propose`."""
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{command}")]
    for name in subcommands(command):
        assert f"`{name}" in row, f"README: {command} {name} is missing"


def test_the_readme_names_no_command_that_is_not_there() -> None:
    """Every `dnswatch WORD` in a code span or block is a command."""
    code = "\n".join(text for _, _, text in BLOCKS) + "\n".join(re.findall(r"`([^`\n]+)`", README))
    named = set(re.findall(r"(?:^|[\s/])dnswatch(?: --config \S+)? ([a-z][a-z-]+)", code))
    assert named <= set(cli.COMMANDS) | {"init", "nologin"}, named - set(cli.COMMANDS)


@pytest.mark.parametrize("name", re.findall(r"`dnswatch ((?:[a-z]+ )?[a-z]+)(?= |`)", README))
def test_every_command_of_the_readme_has_help(name: str) -> None:
    """`dnswatch GROUP COMMAND --help` answers with exit code 0."""
    assert dnswatch(*name.split(), "--help").returncode == 0


@pytest.mark.parametrize("field", FIELDS)
def test_every_alert_field_is_explained(field: str) -> None:
    """One row per field."""
    assert re.search(rf"^\| `{field}`", README, re.MULTILINE)


def test_alert_fields_stand_in_their_order() -> None:
    """The table is in the order of the JSON."""
    named = [name for name in re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) if name in FIELDS]
    assert tuple(named) == FIELDS


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configuration_examples_load(text: str, tmp_path: Path) -> None:
    """Every YAML block is a configuration that the real loader accepts."""
    path = tmp_path / "dnswatch.yaml"
    path.write_text(text)
    assert load(path).sources


@pytest.mark.parametrize("text", [text for text in blocks("yml") if "\nlogs:" in text])
def test_scenario_examples_pass(text: str, tmp_path: Path) -> None:
    """Every yml block with logs is a scenario that `check --scenarios` passes."""
    (tmp_path / "story.yaml").write_text(text)
    assert not scenarios.run(tmp_path / "story.yaml").failures


CONSOLE = [line[2:] for text in blocks("console") for line in text.splitlines() if line.startswith("$ dnswatch")]


@pytest.mark.parametrize("line", CONSOLE)
def test_console_examples_run(line: str) -> None:
    """Every `$ dnswatch …` line of a console block ends well in a checkout."""
    done = dnswatch(*shlex.split(line, comments=True)[1:])
    assert done.returncode == 0, done.stderr


def test_exit_codes_are_those_of_the_code() -> None:
    """The table lists every code of errors.py, no other."""
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    section = README.partition("### Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d) \|", section, re.MULTILINE)} == codes


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("nonsense",), 2),
        (("init", "--nonsense"), 2),
        (("--config", "/nonexistent/dnswatch.yaml", "check"), 3),
    ],
)
def test_exit_codes_are_what_they_say(arguments: tuple[str, ...], code: int) -> None:
    """Fine, usage and configuration errors leave with their codes, and never with a traceback."""
    done = dnswatch(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_links_lead_somewhere() -> None:
    """Relative links of README and ARCHITECTURE exist."""
    for text in (README, ARCHITECTURE):
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), target


def test_paths_of_the_architecture_page_exist() -> None:
    """Modules that the page names are there."""
    for path in re.findall(r"`((?:core|io|cli|tests|feeds)/[\w/]+(?:\.py|\.md|/)?)`", ARCHITECTURE):
        inside = ROOT / path if path.startswith(("tests", "feeds")) else ROOT / "dnswatch" / path
        assert inside.exists(), path


def test_make_targets_of_the_readme_exist() -> None:
    """`make TARGET` in the README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", README)) <= targets


def test_the_changelog_has_a_place_for_what_is_new() -> None:
    """Keep a Changelog: an Unreleased section on top."""
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
