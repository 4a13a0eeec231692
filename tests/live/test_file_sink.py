"""The file sink under a real logrotate: every alert is in one of the files, and every line is whole."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from dnswatch.config.model import FileSink as Settings
from dnswatch.io.deliver import Delivery
from dnswatch.io.sinks import SINKS
from tests.io.making import alert
from tests.live.servers import environment

ALERTS = 600  # at least


def rotate(config: Path) -> None:
    command = ["logrotate", "--force", "--state", str(config.with_suffix(".state")), str(config)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=environment())


def lines(folder: Path) -> list[bytes]:
    """Every line of every file, compressed ones too."""
    found: list[bytes] = []
    for path in folder.glob("alerts.jsonl*"):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert data.endswith(b"\n") or not data, f"half a line in {path.name}"
        found += data.splitlines()
    return found


@pytest.mark.parametrize("how", ["create 0640\n compress", "nocreate", "copytruncate\n compress", "copytruncate"])
async def test_logrotate_loses_nothing(tmp_path: Path, how: str) -> None:
    """Rotated again and again under a stream of alerts, by renaming and by truncating."""
    folder = tmp_path / "log"
    folder.mkdir(mode=0o750)
    config = tmp_path / "rotate.conf"
    config.write_text(f"{folder}/alerts.jsonl {{\n rotate 1000\n missingok\n {how}\n}}\n")
    config.chmod(0o644)
    sink = SINKS["file"](Settings(type="file", path=folder / "alerts.jsonl"), "ns1")
    rotations = 0
    ended = asyncio.Event()

    async def turn() -> None:
        nonlocal rotations
        while not ended.is_set():
            await asyncio.to_thread(rotate, config)
            rotations += 1

    turning = asyncio.create_task(turn())
    sent = 0
    while sent < ALERTS or rotations < 4:
        await sink.send([Delivery(each, alert(each), each) for each in (sent + 1, sent + 2)])
        sent += 2
    ended.set()
    await turning
    await asyncio.sleep(2.2 if "copytruncate" in how else 0)  # the sink looks after what logrotate has just cut off
    await sink.close()
    came = Counter(json.loads(line)["id"] for line in lines(folder))
    assert set(came) == {alert(number).id for number in range(1, sent + 1)}
