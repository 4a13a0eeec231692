"""The examples agree with themselves: groups, zones, files and places; the live tests run them."""

import re
from pathlib import Path

import pytest

from dnswatch.config.build import load_policy
from dnswatch.config.load import load
from dnswatch.core.feeds.publication import plan

EXAMPLES = Path(__file__).parent.parent / "examples"
SHIPPED = [path for name in ("bind", "dnsmasq") for path in sorted((EXAMPLES / name).iterdir())
           if path.is_file() and path.suffix != ".md"]  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_says_where_it_goes_and_the_readme_knows_it(path: Path) -> None:
    """The first line is its place; the README's table and commands name it."""
    first = path.read_text().splitlines()[0]
    assert re.fullmatch(r"(//|#) install: /etc/\S+", first)
    readme = (path.parent / "README.md").read_text()
    assert readme.count(path.name) >= 2, f"{path.name} is missing in the table or the commands"


@pytest.mark.parametrize("example", ["bind", "dnsmasq"])
def test_configurations_load_without_a_warning(example: str) -> None:
    """Shadow mode, the log's place, and nothing that ends on a date."""
    config = load(EXAMPLES / example / "dnswatch.yaml")
    assert config.warnings == ()
    assert config.feeds.mode == "shadow"
    assert config.sources[0].type == example
    assert all(entry.until is None for entry in config.expect)


def test_named_conf_has_the_groups_and_networks_of_the_configuration() -> None:
    """Whom a view takes for a group must be whom an alert takes for it."""
    policy = load_policy(EXAMPLES / "bind" / "dnswatch.yaml").policy
    text = re.sub(r"//.*", "", (EXAMPLES / "bind" / "named.conf").read_text())
    acls = {
        name: re.split(r"[;\s]+", body.strip(" ;\n"))
        for name, body in re.findall(r"acl (\w+) \{(.*?)\};", text, re.DOTALL)
    }
    others = acls.pop("others")
    assert acls == {group.name: list(group.networks) for group in policy.groups.all}
    assert "127.0.0.0/8" in others
    assert re.findall(r"^view (\w+)", text, re.MULTILINE) == [*acls, "any"]


def test_named_conf_loads_every_zone_that_is_published() -> None:
    """Each view has quarantine and exempt first, then its own; every published file is used."""
    loaded = load_policy(EXAMPLES / "bind" / "dnswatch.yaml")
    text = (EXAMPLES / "bind" / "named.conf").read_text()
    published = {name for name, _ in plan(loaded.policy, None, 1.8e9, {}).files() if name.endswith(".zone")}
    used = set(re.findall(rf'file "{loaded.config.feeds_directory}/([^"]+)"', text))
    assert used == published
    for view, body in re.findall(r"^view (\w+) \{(.*?)^\};", text, re.MULTILINE | re.DOTALL):
        order = re.findall(r'^        zone "(\w+)\.', body, re.MULTILINE)
        assert order == ["quarantine", "exempt", view]
        assert body.count("break-dnssec yes qname-wait-recurse no min-update-interval 1;") == 1


def test_dnsmasq_reads_the_file_that_is_published() -> None:
    """servers-file, the log and the path unit name the same places as the configuration."""
    loaded = load_policy(EXAMPLES / "dnsmasq" / "dnswatch.yaml")
    text = (EXAMPLES / "dnsmasq" / "dnsmasq.conf").read_text()
    published = {name for name, _ in plan(loaded.policy, None, 1.8e9, {}).files()}
    servers = Path(re.search(r"^servers-file=(.*)$", text, re.MULTILINE)[1])
    assert servers.parent == loaded.config.feeds_directory
    assert servers.name in published
    assert f"log-facility={loaded.config.sources[0].path}\n" in text


@pytest.mark.parametrize("example", ["bind", "dnsmasq"])
def test_the_path_unit_watches_where_feeds_are_written(example: str) -> None:
    """Otherwise a promotion would never reach the resolver."""
    loaded = load_policy(EXAMPLES / example / "dnswatch.yaml")
    unit = (EXAMPLES / example / "dnswatch-feeds.path").read_text()
    assert f"\nPathChanged={loaded.config.feeds_directory}\n" in unit
