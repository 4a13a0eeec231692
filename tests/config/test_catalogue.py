"""The catalogue's files: the operator's folders beside the shipped one, and every problem with its place."""

from pathlib import Path

import pytest

from dnswatch.config import catalogue, data
from dnswatch.config.catalogue import load_catalogue
from dnswatch.config.data import data_path
from dnswatch.config.suffixes import Suffixes
from dnswatch.errors import ConfigError, DnswatchError

ACME = """\
id: acme-hooks
name: Acme hooks
names:
  - {name: hooks.acme.test, match: exact}
block_safety: safe
base_severity: medium
severity_reason: Takes hooks only.
"""


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the shipped catalogue by one service, so that the tests say all there is."""
    shipped = tmp_path / "shipped"
    write(shipped / "bot-api" / "ship.yaml", ACME.replace("acme-hooks", "ship").replace("hooks.acme", "api.ship"))
    write(shipped / "triage" / "en.yaml", "text: not a service")
    write(shipped / "README.md", "not a service")
    monkeypatch.setattr(catalogue, "data_path", lambda kind: shipped)
    return shipped


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(*folders: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_catalogue(folders)
    return [str(problem) for problem in caught.value.problems]


def test_own_services_join_the_shipped_ones(tmp_path: Path) -> None:
    """In a category folder or flat, as YAML or JSON; the core profile is selected."""
    own = tmp_path / "own"
    write(own / "chat-webhook" / "acme-hooks.yaml", ACME)
    write(own / "flat.yml", ACME.replace("acme-hooks", "flat").replace("hooks.", "flat.") + "category: bot-api\n")
    write(own / "json.json", '{"id": "json", "name": "J", "category": "bot-api", "names": ["j.acme.test"],'
          '"block_safety": "safe", "base_severity": "low", "severity_reason": "x", "profile": "extended"}')  # fmt: skip
    write(own / ".hidden.yaml", "not: read")
    found = load_catalogue([own])
    assert list(found.services) == ["acme-hooks", "flat", "json", "ship"]
    assert found.enabled == {"acme-hooks", "flat", "ship"}
    assert found.services["ship"].origin == "feeds/bot-api/ship.yaml"
    assert found.services["flat"].origin == str(own / "flat.yml")
    assert found.services["flat"].category == "bot-api"


def test_override_replaces_a_service_whole(tmp_path: Path) -> None:
    """The operator's word wins where it says so, also in a later folder."""
    own = tmp_path / "own"
    write(own / "bot-api" / "ship.yaml", ACME.replace("acme-hooks", "ship") + "override: true\n")
    found = load_catalogue([own])
    assert [i.name for i in found.services["ship"].indicators] == ["hooks.acme.test"]


def test_the_same_id_without_override_is_a_problem(tmp_path: Path) -> None:
    """Nobody replaces a shipped entry by accident, and nobody overrides nothing."""
    own = tmp_path / "own"
    first = write(own / "bot-api" / "ship.yaml", ACME.replace("acme-hooks", "ship"))
    second = write(own / "bot-api" / "shipp.yaml", ACME.replace("acme-hooks", "shipp") + "override: true\n")
    assert problems(own) == [
        f"{first}:1:5 id: 'ship' is already defined by feeds/bot-api/ship.yaml: say `override: true` to replace it",
        f"{second}:8:11 override: there is no 'shipp' to override: did you mean 'ship'?",
    ]


def test_a_name_of_another_service_is_a_problem(tmp_path: Path) -> None:
    """The place is the name in the later file."""
    path = write(tmp_path / "own" / "bot-api" / "acme-hooks.yaml", ACME.replace("hooks.acme", "api.ship"))
    assert problems(tmp_path / "own") == [
        f"{path}:4:5 names[0]: api.ship.test is already a name of ship (feeds/bot-api/ship.yaml)"
    ]


def test_every_problem_of_every_file_has_its_place(tmp_path: Path) -> None:
    """Unknown fields, bad names, duplicate keys and broken YAML, all at once."""
    own = tmp_path / "own"
    one = write(own / "bot-api" / "acme-hooks.yaml", ACME.replace("block_safety", "block_saftey") + "id: acme-hooks\n")
    two = write(own / "bot-api" / "two.yaml", "names: [}")
    three = write(own / "bot-api" / "three.yaml", "")
    four = write(own / "never-block.yaml", "groups:\n  - reason: x\n    names: ['*.x.test']\n")
    found = problems(own)
    assert [text.split(" ")[0] for text in found] == [
        f"{one}:1:1:", f"{one}:5:1", f"{one}:8:1", f"{three}:", f"{two}:1:9:", f"{four}:3:13",
    ]  # fmt: skip
    assert "(did you mean 'block_safety'?)" in found[1]
    assert "duplicate key 'id'" in found[2]
    assert "the file is empty" in found[3]


def test_folders_that_are_no_category_are_a_problem(tmp_path: Path) -> None:
    """A typing error must not silently drop a service."""
    write(tmp_path / "own" / "bot-apis" / "acme-hooks.yaml", ACME)
    write(tmp_path / "own" / "notes" / "todo.txt", "no entry in here, so no matter")
    (found,) = problems(tmp_path / "own")
    assert found.endswith("bot-apis: no category has this folder's name (did you mean 'bot-api'?)")


def test_missing_and_huge_files_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is not there is named; a file that is no entry is not read."""
    assert problems(tmp_path / "none") == [f"{tmp_path / 'none'}: cannot be read: No such file or directory"]
    monkeypatch.setattr(catalogue, "MAX_BYTES", 300)
    write(tmp_path / "own" / "bot-api" / "acme-hooks.yaml", ACME + f"note: {'x' * 300}\n")
    (found,) = problems(tmp_path / "own")
    assert "more than 300" in found


def test_own_lists_add_to_the_shipped_ones(tmp_path: Path) -> None:
    """An operator protects own names, and may watch an extended IP-check name in core."""
    write(tmp_path / "shipped" / "recon.yaml", "core: [ip.one.test]\nextended: [ip.two.test, ip.three.test]\n")
    write(tmp_path / "own" / "recon.yaml", "core: [ip.two.test]\n")
    write(tmp_path / "own" / "doh.yaml", "names: [dns.acme.test]\n")
    write(tmp_path / "own" / "never-block.yaml", "groups: [{reason: ours, names: [www.acme.test]}]\n")
    found = load_catalogue([tmp_path / "own"])
    assert [i.name for i in found.recon] == ["ip.one.test", "ip.two.test"]
    assert [i.name for i in found.select("extended").recon] == ["ip.one.test", "ip.two.test", "ip.three.test"]
    assert [i.name for i in found.doh] == ["dns.acme.test"]
    protected = found.protects("www.acme.test", "exact")
    assert protected is not None
    assert protected.reason == "ours"


@pytest.mark.parametrize("kind", ["feeds", "examples"])
def test_the_shipped_data_is_found_in_a_checkout(kind: data.Kind) -> None:
    """An editable installation reads the folders at the top of the repository."""
    assert data_path(kind).is_dir()
    assert data_path(kind).name == kind


def test_the_wheel_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package uses its own data, and an incomplete one says so."""
    module = tmp_path / "site" / "dnswatch" / "config" / "data.py"
    monkeypatch.setattr(data, "__file__", str(module))
    with pytest.raises(DnswatchError, match="incomplete"):
        data_path("feeds")
    packed = tmp_path / "site" / "dnswatch" / "data" / "feeds"
    packed.mkdir(parents=True)
    (tmp_path / "site" / "feeds").mkdir()
    assert data_path("feeds") == packed


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("api.telegram.org", "telegram.org"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("uk", None),
        ("tenant.ngrok.io", "ngrok.io"),  # a private suffix, which does not count
        ("a.city.kobe.jp", "city.kobe.jp"),
        ("x.y.kobe.jp", "x.y.kobe.jp"),
        ("a.xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("hooks.corp.unheardof", "corp.unheardof"),
        ("a.xn--unheardof-9999999", "a.xn--unheardof-9999999"),
    ],
)
def test_registrable_domains_follow_the_icann_section(name: str, domain: str | None) -> None:
    """Rules, wildcards, exceptions and internationalised top-level domains."""
    assert Suffixes().registrable(name) == domain
