"""The frame: make's clear errors, a fast --help, constraints that name no host."""

import re
import subprocess
import sys
from pathlib import Path

from dnswatch.cli import COMMANDS

ROOT = Path(__file__).parent.parent


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


def test_make_without_venv_module_prints_the_apt_line(tmp_path: Path) -> None:
    """Debian splits venv out of python3: the user gets the command, not a traceback."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *"import venv"*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = make("setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stdout


def test_make_with_an_old_python_says_which_is_needed(tmp_path: Path) -> None:
    """3.10 is refused before anything is installed."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.10.2; exit 0; }\nexit 1\n')
    python.chmod(0o755)
    done = make("setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stdout
    assert "3.10.2" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    """`dnswatch --help` answers in about the time of a bare interpreter: none of the heavy libraries is loaded."""
    code = (
        "import sys\nfrom dnswatch.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'aiohttp','sqlalchemy','pydantic','hyperscan','rich','yaml','apscheduler','asyncio'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert all(name in done.stdout for name in COMMANDS)


def test_unknown_command_is_a_usage_error_with_a_hint() -> None:
    """A typo exits 2 and names the nearest command."""
    done = subprocess.run([sys.executable, "-m", "dnswatch", "sacn"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Did you mean 'scan'?" in done.stderr


def test_constraints_hold_names_and_versions_only() -> None:
    """No URL, no registry, no hash: `name==version` a line, and every dependency is in it."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    text = (ROOT / "pyproject.toml").read_text()
    wanted = {
        name.lower().replace("_", "-") for name in re.findall(r'^  "([A-Za-z0-9_-]+)(?:\[\w+\])?>=', text, re.MULTILINE)
    }
    assert wanted
    assert wanted <= pinned


def test_ci_runs_the_readme_command() -> None:
    """.ci/run is `make test`, nothing weaker."""
    commands = [
        line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test"]
