"""`dnswatch run` as a command: what it refuses, and how it says so. What it does is in tests/test_daemon.py."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnswatch.cli import main


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Take back what `run` does to our logger: other tests read it their way."""
    ours = logging.getLogger("dnswatch")
    before = ours.handlers[:], ours.level, ours.propagate
    yield
    ours.handlers[:], ours.level, ours.propagate = before


def refused(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["--config", str(config), "run"])
    return int(exit_.value.code or 0), capsys.readouterr().err


def test_configuration_errors_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a wrong key and no sources are told before anything starts."""
    config = tmp_path / "dnswatch.yaml"
    code, said = refused(config, capsys)
    assert (code, "dnswatch init" in said) == (3, True)
    config.write_text("state_dir: state\nsourcez: []\n")
    code, said = refused(config, capsys)
    assert (code, "did you mean 'sources'" in said) == (3, True)
    config.write_text("state_dir: state\n")
    code, said = refused(config, capsys)
    assert (code, "no sources" in said) == (3, True)
    assert not (tmp_path / "state").exists()


def test_state_dir_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state_dir that is a file, or holds a damaged store, exits 1 with what to do."""
    config = tmp_path / "dnswatch.yaml"
    config.write_text("state_dir: state\nsources: [{type: bind, path: query.log}]\nhttp: {listen: off}\n")
    (tmp_path / "state").write_text("")
    code, said = refused(config, capsys)
    assert (code, "cannot use state_dir" in said) == (1, True)
    (tmp_path / "state").unlink()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "dnswatch.db").write_text("not a database " * 99)
    code, said = refused(config, capsys)
    assert code == 1
    assert "is damaged" in said
    assert "Traceback" not in said
