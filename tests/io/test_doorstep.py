"""`check` looks at every way in: what would work is said to, what would not says what is missing."""

import os
import socket
import stat
from pathlib import Path

import pytest

from dnswatch.config.model import Source
from dnswatch.io import doorstep
from tests.core.taps import query, stream, tap


def seen(pid: int | None = None, **settings: str) -> tuple[str, str]:
    found = doorstep.look(Source.model_validate({"type": "bind", **settings}), pid)
    assert found is not None
    return found


def test_sockets(tmp_path: Path) -> None:
    """A free port, one in use by another or by ourselves, a directory that is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        place = f"udp://127.0.0.1:{other.getsockname()[1]}"
        assert seen(listen=place)[0] == "error"
        assert "somebody else listens there" in seen(listen=place)[1]
        assert seen(7, listen=place) == ("ok", "in use, as expected, while dnswatch runs (pid 7)")
    assert seen(listen=place) == ("ok", "free to listen at")
    assert seen(listen=f"unix://{tmp_path}/log")[0] == "ok"
    assert seen(listen=f"unix://{tmp_path}/none/log")[0] == "error"


def test_pipes(tmp_path: Path) -> None:
    """A FIFO and standard input are no files; a file is none of this module's business."""
    os.mkfifo(tmp_path / "fifo")
    assert seen(path=str(tmp_path / "fifo"))[0] == "ok"
    assert seen(path="-")[0] == "ok"
    assert doorstep.look(Source.model_validate({"type": "bind", "path": "/var/log/x"}), None) is None


def test_tap_files(tmp_path: Path) -> None:
    """By their first frame."""
    path = tmp_path / "x.tap"
    source = Source.model_validate({"type": "dnstap", "path": str(path)})
    assert doorstep.tap(source, str(path)).level == "error"
    for data, level in ((b"", "warning"), (stream(tap(query("webhook.site"))), "ok"), (b"22-Nov-2026", "error")):
        path.write_bytes(data)
        assert doorstep.tap(source, str(path)).level == level


ENTRY = '{"__CURSOR":"s","__REALTIME_TIMESTAMP":"1795396890803284","MESSAGE":"x"}'
DENIED = "No journal files were opened due to insufficient permissions."


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        (f"echo '{ENTRY}'", "ok", "has entries of it"),
        ("true", "warning", "has nothing of it"),
        (f"echo '{DENIED}' >&2; exit 1", "error", "systemd-journal"),
    ],
)
def test_the_journal(script: str, level: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What journalctl says is what is told."""
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = seen(journald="named")
    assert found[0] == level
    assert said in found[1]
    monkeypatch.setenv("PATH", "/nowhere")
    assert "there is no journalctl" in seen(journald="named")[1]
