"""`dnswatch alerts`: what an analyst sees and does, from a store as the daemon leaves it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dnswatch.cli import main
from dnswatch.core.detect.changes import Changes
from dnswatch.core.model import Client, Reason
from dnswatch.io.lock import StateLock
from dnswatch.io.store import FILE, Asked, Store
from tests.io.making import AT, alert


class Alerts:
    """The command on one state_dir."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "dnswatch.yaml"
        self.config.write_text("state_dir: state\nsources: [{type: bind, path: query.log}]\n")
        self.state = folder / "state"
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["--config", str(self.config), "alerts", *arguments])
        said = self._capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json")[1])

    def store(self, *revisions: Any, changes: Changes | None = None) -> None:
        async def write() -> None:
            async with await Store.open(self.state / FILE) as store:
                await store.checkpoint([], changes, revisions)

        self.state.mkdir(exist_ok=True)
        asyncio.run(write())

    def asked(self) -> list[Asked]:
        async def read() -> list[Asked]:
            async with await Store.open(self.state / FILE) as store:
                return await store.asked()

        return asyncio.run(read())


@pytest.fixture
def alerts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Alerts:
    return Alerts(tmp_path, capsys)


def test_list_filters_and_formats(alerts: Alerts) -> None:
    """A table for people, JSON with the flat fields for programs; every filter narrows it."""
    low = alert(2, severity="low", service="slack-webhook", category="chat-webhook", state="closed",
                client=Client("10.1.0.9", "staff", "workstation"))  # fmt: skip
    alerts.store(alert(1), low)
    code, out, err = alerts("list")
    assert (code, err) == (0, "2 alerts.\n")
    first, second, third = out.splitlines()
    assert first.split()[:3] == ["ID", "LAST", "SEEN"]
    assert low.id[:10] in second
    assert "10.0.10.7 (db-1)" in third
    for arguments, count in [
        (["--severity", "high"], 1), (["--client", "staff"], 1), (["--service", "bot-api"], 1),
        (["--state", "closed", "--state", "snoozed"], 1), (["--since", "2030-01-01"], 0), (["--since", "9999d"], 2),
        (["--limit", "1"], 1),
    ]:  # fmt: skip
        assert len(alerts.json("list", *arguments)) == count, arguments
    (plain,) = alerts.json("list", "--severity", "high")
    assert (plain["id"], plain["client_ip"], plain["count"]) == (alert(1).id, "10.0.10.7", 1)
    assert "sensor" not in plain
    code, _, err = alerts("list", "--since", "yesterday")
    assert (code, "nor a duration" in err) == (2, True)


def test_export_writes_what_a_sink_would(alerts: Alerts) -> None:
    """Oldest first, in any format; every revision when asked for; the filters of `list`."""
    alerts.store(alert(1), alert(1, rev=2, severity="critical"), alert(2))
    told = [json.loads(line) for line in alerts("export", "--revisions")[1].splitlines()]
    assert sorted((one["id"][-1], one["rev"]) for one in told) == [("1", 1), ("1", 2), ("2", 1)]
    assert [one["time"] for one in told] == sorted(one["time"] for one in told)
    assert all(one["escalation"] for one in told)
    (line,) = alerts("export", "--format", "cef", "--severity", "critical")[1].splitlines()
    assert line.startswith("CEF:0|dnswatch|")


def test_counts_go_on_between_revisions(alerts: Alerts) -> None:
    """The list and the page show attempts that were made since the last revision."""
    row = {"id": alert(1).id, "last_at": AT + 500, "count": 7}
    alerts.store(alert(1), changes=Changes({("episode", "10.0.10.7 telegram-bot"): row}))
    (plain,) = alerts.json("list")
    assert plain["count"] == 7
    assert "7 attempts" in alerts("show", alert(1).id)[1]


def test_show_tells_everything(alerts: Alerts) -> None:
    """Who, what, why, the lines, the history, what to do next; hostile names stay harmless."""
    alerts.store(alert(1), alert(1, 2, severity="critical", qname="evil\x1b[31m.example", cause="severity"))
    code, out, _ = alerts("show", alert(1).id.lower())
    assert code == 0
    for text in ("CRITICAL", "10.0.10.7", "group servers", "MAC 10:20:30:40:50:59", "telegram-bot (bot-api)",
                 "T1102.002", "Telegram Bot API is watched",
                 "/var/log/named/query.log:512", "opened: high", "severity: critical",
                 f"dnswatch --config {alerts.config} expect add mac:10:20:30:40:50:59 --service telegram-bot",
                 "expect add group:servers", f"dnswatch --config {alerts.config} alerts ack"):  # fmt: skip
        assert text in out, text
    assert "\x1b" not in out
    shown = alerts.json("show", alert(1).id)
    assert [one["cause"] for one in shown["revisions"]] == ["opened", "severity"]
    assert shown["evidence"][0]["offset"] == 512


def test_a_page_names_what_else_the_client_did(alerts: Alerts) -> None:
    """Other alerts of the same client are on the page; a request bin is suggested for one client, never a group."""
    bin_ = alert(2, client=Client("10.0.10.7", "servers", "server"), service="webhook-site", category="request-bin",
                 qname="webhook.site", state="acknowledged", first_at=AT, last_at=AT)  # fmt: skip
    alerts.store(alert(1), bin_, alert(3, client=Client("10.0.10.8", "servers", "server")))
    _, out, _ = alerts("show", bin_.id)
    others = out.partition("Other alerts of 10.0.10.7\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in others.splitlines()] == [alert(1).id[:10]]
    assert "expect add 10.0.10.7 --service webhook-site" in out
    assert "group:servers" not in out
    assert "alerts ack" not in out
    assert "Seen:     2026-09-21T14:13:20Z, 1 attempt\n" in out
    assert "Other alerts" not in alerts("show", alert(3).id)[1]
    assert alerts("list", "--limit", "1")[2] == "1 alert.\n"


def test_the_page_of_a_deviation_proposes_no_second_permission(alerts: Alerts) -> None:
    """The client may use the service already: another expectation would change nothing."""
    alerts.store(alert(1, because=(Reason("deviation", "an expected client departs from its habits", 21),)))
    _, out, _ = alerts("show", alert(1).id)
    assert "alerts close" in out
    assert "expect add" not in out


def test_ids_may_be_cut(alerts: Alerts) -> None:
    """A unique beginning is enough; an ambiguous or unknown one is said so, exit 1."""
    alerts.store(alert(1), alert(2))
    assert alerts("show", alert(1).id[:-1])[0] == 1
    assert "beginning of several ids" in alerts("show", "0000")[2]
    assert "there is no alert" in alerts("show", "ZZZ")[2]
    assert alerts("show", alert(2).id)[0] == 0


def test_actions_wait_for_a_daemon_that_does_not_run(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledging and closing leave an action with who and why."""
    monkeypatch.setenv("SUDO_USER", "anna")
    alerts.store(alert(1), alert(2, state="closed"))
    code, out, _ = alerts("ack", alert(1).id, "--note", "on it")
    assert (code, "takes effect when dnswatch runs again" in out) == (0, True)
    (asked,) = alerts.asked()
    assert (asked.by, asked.data) == ("anna", {"kind": "ack", "alert": alert(1).id, "note": "on it"})
    code, _, err = alerts("close", alert(2).id)
    assert (code, "is closed already" in err) == (1, True)


def test_a_busy_daemon_is_not_waited_for_for_ever(alerts: Alerts, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a daemon runs but does not answer, the action stays and that is said."""
    monkeypatch.setattr("dnswatch.cli.alerts.APPLIED_S", 0.1)
    alerts.store(alert(1))
    with StateLock(alerts.state):
        code, out, _ = alerts("close", alert(1).id)
    assert (code, "as soon as the running daemon comes to it" in out) == (0, True)


def test_without_a_store(alerts: Alerts) -> None:
    """Before the first run there is nothing to list, and that is said; nothing is created."""
    code, _, err = alerts("list")
    assert (code, "has not run" in err) == (4, True)
    assert not alerts.state.exists()


def test_with_a_broken_configuration(alerts: Alerts) -> None:
    """Alerts are shown while the configuration is being repaired; a note says that it is not valid."""
    alerts.store(alert(1))
    alerts.config.write_text(alerts.config.read_text() + "sinkz: []\n")
    code, out, err = alerts("list")
    assert code == 0
    assert alert(1).id[:10] in out
    assert "not valid at present" in err
    alerts.config.unlink()
    assert alerts("list")[0] == 3
