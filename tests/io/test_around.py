"""The log read again around an alert: found where it was rotated to, bounded, and said when it is gone."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dnswatch.core.detect.episodes import escape
from dnswatch.core.model import Alert, Client, Evidence
from dnswatch.io.around import MOST, read_around
from tests.io.making import alert

AT = 1_795_375_098.0
BIND = "{stamp}.000 queries: info: client @0x7f {client}#4000 ({name}): query: {name} IN A +E(0)K (10.0.0.53)\n"
DNSMASQ = "{stamp} dnsmasq[77]: query[A] {name} from {client}\n"


def log(form: str = BIND, stamp: str = "%d-%b-%Y %H:%M:%S", ahead_s: float = 0.0, step_s: int = 30) -> tuple[str, int]:
    """Write an hour of lookups by two clients, the watched one in its middle; give the text and where it stands."""
    text, at = "", 0
    for second in range(-1800, 1800, step_s):
        written = time.strftime(stamp, time.gmtime(AT + second + ahead_s))
        if second == 0:
            at = len(text)
            text += form.format(stamp=written, client="10.0.10.7", name="webhook.site")
        text += form.format(stamp=written, client="10.0.10.7", name=f"n{second}.example")
        text += form.format(stamp=written, client="10.0.10.70", name="other.example")
    return text, at


def raised(path: Path, text: str, offset: int) -> Alert:
    """Give an alert whose evidence stands there."""
    line = escape(text[offset:].split("\n", 1)[0].encode())
    return replace(alert(1), client=Client("10.0.10.7"), first_at=AT, evidence=(Evidence(str(path), offset, line),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the log lies."""
    return tmp_path / "query.log"


EXPECTED = sorted([*(f"n{second}.example" for second in range(-300, 301, 30)), "webhook.site"])


def names(one: Alert) -> list[str]:
    found = read_around(one)
    assert found.problem == ""
    assert [lookup.at for lookup in found.lookups] == sorted(lookup.at for lookup in found.lookups)
    return sorted(lookup.qname for lookup in found.lookups)


@pytest.mark.parametrize("ahead_s", [0, 7200, -34_200])
def test_five_minutes_on_either_side(path: Path, ahead_s: float) -> None:
    """Lookups of this client alone, in order of time, whatever zone the stamps are written in."""
    text, at = log(ahead_s=ahead_s)
    path.write_text(text)
    assert names(raised(path, text, at)) == EXPECTED


def test_a_log_without_years(path: Path) -> None:
    """dnsmasq's stamps have none: the alert's own time dates them."""
    text, at = log(DNSMASQ, "%b %d %H:%M:%S")
    path.write_text(text)
    assert names(raised(path, text, at)) == EXPECTED


@pytest.mark.parametrize("rotated", ["query.log.1", "query.log.2.gz"])
def test_the_log_was_rotated_meanwhile(path: Path, rotated: str) -> None:
    """The line itself proves which file it is; another log under the old name does not mislead."""
    text, at = log()
    path.write_text(log(ahead_s=86_400)[0])
    data = text.encode()
    path.with_name(rotated).write_bytes(gzip.compress(data) if rotated.endswith("gz") else data)
    one = raised(path, text, at)
    assert names(one) == EXPECTED
    assert read_around(one).path == str(path.with_name(rotated))


def test_too_many_keep_the_nearest(path: Path) -> None:
    """A busy client: those nearest to the alert, and how many were left out."""
    text, at = log(step_s=1)
    path.write_text(text)
    found = read_around(raised(path, text, at))
    assert len(found.lookups) == MOST
    assert found.left_out == 602 - MOST
    assert max(abs(lookup.at - AT) for lookup in found.lookups) <= 100


def test_a_large_log_is_not_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks on both sides until the stamps are too far away, not further."""
    monkeypatch.setattr("dnswatch.io.around.BLOCK", 4096)
    text, at = log(step_s=1)
    path.write_text(text)
    one = raised(path, text, at)
    assert len(read_around(one).lookups) == MOST


def test_what_is_gone_is_said(path: Path, tmp_path: Path) -> None:
    """No such file, another file, no file at all."""
    text, at = log()
    one = raised(path, text, at)
    assert f"no longer at {path}:{at}" in read_around(one).problem
    path.write_text("something else\n" * 1000)
    assert f"no longer at {path}:{at}" in read_around(one).problem
    fed = replace(one, evidence=(Evidence("udp://127.0.0.1:5514", 0, "x"),))
    assert "cannot be read again" in read_around(fed).problem
    assert "no line" in read_around(replace(one, evidence=())).problem
