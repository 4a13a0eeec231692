"""Tables on terminals of every width."""

import os

import pytest

from dnswatch.cli import tables

HEADINGS = ("ID", "LAST SEEN", "CLIENT", "COUNT", "NAME")
ROW = ("NQUFAGX3UE", "2026-11-20T23:59:47Z", "10.0.10.25", "289", "api.telegram.org")


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, *rows: tuple[str, ...]
          ) -> list[str]:  # fmt: skip
    """What a terminal of so many columns gets."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(tables.shutil, "get_terminal_size", lambda: os.terminal_size((columns, 40)))
    tables.print_table(HEADINGS, rows)
    return capsys.readouterr().out.splitlines()


def test_a_narrow_terminal_loses_no_column(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit goes below its row, under headings of its own; a wide terminal gets a line a row."""
    assert shown(monkeypatch, capsys, 50, ROW) == [
        "ID          LAST SEEN             CLIENT",
        "    COUNT  NAME",
        "NQUFAGX3UE  2026-11-20T23:59:47Z  10.0.10.25",
        "    289    api.telegram.org",
    ]
    assert len(shown(monkeypatch, capsys, 90, ROW)) == 2


def test_only_the_last_column_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A long name is cut where it has some room, and nothing is wider than the terminal."""
    lines = shown(monkeypatch, capsys, 80, (*ROW[:4], "x" * 200))
    assert len(lines) == 2
    assert (len(lines[1]), lines[1][-1]) == (80, "…")


def test_nothing_below_takes_no_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A row whose folded columns are empty stays one line."""
    assert len(shown(monkeypatch, capsys, 50, ROW, (*ROW[:3], "", ""))) == 5
