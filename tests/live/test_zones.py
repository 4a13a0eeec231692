"""Zones in real resolvers: named-checkzone takes each, BIND's views block exactly what policy says, dnsmasq too."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dnswatch.config.build import load_policy
from dnswatch.core.clients.identity import Identity
from dnswatch.core.feeds.publication import Publication, plan
from dnswatch.core.feeds.zones import with_mode
from dnswatch.core.model import Client, Mode
from dnswatch.core.policy import Policy
from dnswatch.io.publish import files
from tests.core.feed_worlds import MANY, WORLDS, policy
from tests.live.servers import ADDRESS, Answer, Installed, dig, environment, example, seconds_until, version, wait_for
from tests.running import quickest

BLOCKED, PASSED = Answer("NXDOMAIN", ()), Answer("NOERROR", (ADDRESS,))
NAMES = {
    "slack-webhook": "hooks.slack.com",
    "telegram-bot": "api.telegram.org",
    "webhook-site": "c0ffee.webhook.site",
    "ngrok-url": "a.b.ngrok.io",
    "discord": "discord.com",  # collateral: published nowhere
}
CLIENTS = {"127.0.10.8": "servers", "127.0.20.9": "build", "127.1.2.3": "staff", "127.0.0.1": ""}
EXEMPT = "127.0.10.7"  # expected to use telegram-bot, so it passes for everything


def published(world: Policy, mode: Mode, at: float) -> Publication:
    return plan(with_mode(world, mode), Identity(), at, {})


@pytest.fixture(scope="module")
def bind() -> Iterator[tuple[Installed, Policy]]:
    """The BIND example with its zones in enforce mode."""
    worlds: list[Policy] = []

    def prepare(installed: Installed) -> None:
        worlds.append(load_policy(installed.config).policy)
        files.write(directory(installed), published(worlds[-1], "enforce", time.time()).files())

    with example("bind", prepare) as installed:
        yield installed, worlds[-1]


def directory(installed: Installed) -> Path:
    return installed.path("/var/cache/bind/dnswatch")


@pytest.mark.parametrize("world", [*sorted(WORLDS), "many"])
def test_named_checkzone_takes_every_zone(world: str, tmp_path: Path) -> None:
    """Also the empty one, and ten thousand rules."""
    for name, content in plan(WORLDS.get(world) or policy(MANY), None, time.time(), {}).files():
        if not name.endswith(".zone"):
            continue
        (tmp_path / name).write_bytes(content)
        zone = name.removesuffix(".zone")
        said = subprocess.run(["named-checkzone", zone, str(tmp_path / name)], capture_output=True, text=True,
                              timeout=120, env=environment(), check=False)  # fmt: skip
        assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "OK"), said.stdout
        assert "ignor" not in said.stdout + said.stderr  # out-of-zone lines are only mentioned, with exit code 0


def test_the_shipped_configuration_is_whole(bind: tuple[Installed, Policy]) -> None:
    """named-checkconf -z loads every zone of every view, and this is the BIND that we claim."""
    installed, _ = bind
    config = installed.path("/etc/bind/named.conf")
    said = subprocess.run(["named-checkconf", "-z", str(config)], capture_output=True, text=True, timeout=120,
                          env=environment(), check=False)  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("loaded serial") == 12  # in each of four views: quarantine, exempt, its own
    assert version("named", "-v").startswith("BIND 9.")


@pytest.mark.parametrize("order", ["forth", "back"])
def test_each_client_is_blocked_exactly_where_it_is_unexpected(bind: tuple[Installed, Policy], order: str) -> None:
    """The client × service matrix, in both query orders: no answer leaks from one view's cache to another."""
    installed, world = bind
    cells = [(address, service) for address in CLIENTS for service in NAMES]
    for address, service in cells if order == "forth" else reversed(cells):
        expected, _ = world.expectations.judge(Client(address, CLIENTS[address]), service, time.time())
        passes = expected or world.catalog.services[service].block_safety != "safe"
        answer = dig(installed.port(), address, NAMES[service])
        assert answer == (PASSED if passes else BLOCKED), (address, service)


def test_a_single_expected_client_passes_for_every_name(bind: tuple[Installed, Policy]) -> None:
    """The exempt zone comes first: its client is alerted on, but never blocked."""
    installed, _ = bind
    assert {dig(installed.port(), EXEMPT, name) for name in NAMES.values()} == {PASSED}


def test_a_block_holds_for_every_type_and_for_clients_that_ask_for_dnssec(bind: tuple[Installed, Policy]) -> None:
    """AAAA, TXT and HTTPS too; DO=1 does not get through (`break-dnssec yes`)."""
    installed, _ = bind
    for kind in ("AAAA", "TXT", "HTTPS"):
        assert dig(installed.port(), "127.1.2.3", "hooks.slack.com", kind).status == "NXDOMAIN"
    assert dig(installed.port(), "127.1.2.3", "hooks.slack.com", "A", "+dnssec").status == "NXDOMAIN"
    assert dig(installed.port(), "127.1.2.3", "HOOKS.Slack.COM", "A", "+tcp").status == "NXDOMAIN"


def test_names_around_the_blocked_ones_pass(bind: tuple[Installed, Policy]) -> None:
    """exact blocks no subdomain, subdomains blocks no parent, and no string suffix is enough."""
    installed, _ = bind
    for name in ("slack.com", "www.hooks.slack.com", "ngrok.io", "xwebhook.site", "api.telegram.org.example.test"):
        assert dig(installed.port(), "127.1.2.3", name) == PASSED, name


def test_canaries_answer_from_the_zone_of_the_client_and_name_its_version(bind: tuple[Installed, Policy]) -> None:
    """That is how a reload is judged: `rndc reload` reports success also when it failed."""
    installed, _ = bind
    zone = (directory(installed) / "staff.rpz.dnswatch.internal.zone").read_text()
    serial = zone.split("serial ")[1].split(",")[0]
    for name in ("staff", f"{serial}.staff", "exempt"):
        answer = dig(installed.port(), "127.1.2.3", f"{name}.canary.dnswatch.invalid")
        assert answer == Answer("NOERROR", ("127.0.0.2",)), name
    assert dig(installed.port(), "127.1.2.3", "servers.canary.dnswatch.invalid") == PASSED  # asks upstream


def test_promotion_is_live_at_once_and_logged_in_both_modes(bind: tuple[Installed, Policy]) -> None:
    """Shadow passes and logs PASSTHRU; enforce blocks within 2 s of the file, through the example's path unit."""
    installed, world = bind
    query = (installed.port(), "127.1.2.3", "webhook.site")
    log = installed.path("/var/log/named/query.log")
    said = "rpz QNAME {} rewrite webhook.site/A/IN via webhook.site.staff.rpz"

    def enforced(attempt: int) -> float:
        now = time.time() + 20 * attempt
        files.write(directory(installed), published(world, "shadow", now + 10).files())
        assert wait_for(lambda: dig(*query) == PASSED, 3)
        assert wait_for(lambda: said.format("PASSTHRU") in log.read_text())
        files.write(directory(installed), published(world, "enforce", now + 20).files())
        return seconds_until(lambda: dig(*query) == BLOCKED)

    quickest(2, enforced)
    assert wait_for(lambda: said.format("NXDOMAIN") in log.read_text())


def test_a_block_needs_no_upstream(bind: tuple[Installed, Policy]) -> None:
    """`qname-wait-recurse no`: nobody upstream ever hears of a blocked name."""
    installed, _ = bind
    name = "never-asked-before.trycloudflare.com"
    assert dig(installed.port(), "127.1.2.3", name) == BLOCKED
    assert f"{name}." not in installed.upstream.asked


def test_exceptions_below_wildcards_mean_the_same_in_bind(tmp_path: Path) -> None:
    """A random-looking world of nested names, compiled and asked name by name (rpz.md §2.1 rows)."""
    world = WORLDS["wildcard"]
    publication = plan(world, None, time.time(), {})

    def prepare(installed: Installed) -> None:
        config = installed.path("/etc/bind/named.conf")
        text = config.read_text().replace("rpz.dnswatch.internal", world.feeds.zone)
        config.write_text(text.replace("servers.rpz", "build.rpz").replace("staff.rpz", "any.rpz"))
        files.write(directory(installed), publication.files())

    with ExitStack() as stack:
        installed = stack.enter_context(example("bind", prepare))
        asked = {
            "tunnel.test": (PASSED, PASSED), "x.tunnel.test": (BLOCKED, BLOCKED),
            "agent.tunnel.test": (PASSED, BLOCKED), "deep.agent.tunnel.test": (BLOCKED, BLOCKED),
            "bin.test": (BLOCKED, BLOCKED), "a.b.bin.test": (BLOCKED, BLOCKED), "test": (PASSED, PASSED),
        }  # fmt: skip
        for name, (build, other) in asked.items():  # `example` waits for every zone
            assert dig(installed.port(), "127.0.20.1", name) == build, name
            assert dig(installed.port(), "127.0.0.1", name) == other, name
