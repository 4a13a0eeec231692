"""YAML text → plain data with marks: the traps of YAML 1.1 are none here, and every fault has its place."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dnswatch.config.yaml import MAX_DEPTH, Mark, load_marked


@pytest.mark.parametrize(("text", "value"), [
    ("10:20:30:40:50:59", "10:20:30:40:50:59"),
    ("12:34", "12:34"),
    ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("NO", "NO"), ("y", "y"),
    ("2027-06-30", "2027-06-30"),
    ("2027-06-30T12:00:00Z", "2027-06-30T12:00:00Z"),
    ("017", 17), ("0o17", 15), ("0x1f", 31), ("-5", -5), ("+5", 5),
    ("1_000", "1_000"),
    ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("-.inf", float("-inf")),
    ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
    ("'null'", "null"), ('"017"', "017"),
    ("fd00:10::/64", "fd00:10::/64"),
    ("9" * 5000, float("inf")),
])  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    """Words that YAML 1.1 turns into numbers, booleans and dates stay what the operator wrote."""
    document = load_marked(f"key: {text}\n")
    assert document.problems == ()
    assert document.data == {"key": value}
    assert type(document.data["key"]) is type(value)


def test_keys_are_text() -> None:
    """``on: 1`` has the key "on", and 5300 as a key is a word."""
    assert load_marked("on: 1\n5300: 2\nnull: 3\n").data == {"on": 1, "5300": 2, "null": 3}


def test_marks_name_values_and_keys() -> None:
    """Each value and each key knows its line and column; what is absent is at its nearest ancestor."""
    document = load_marked("a:\n  - b: 1\n    c: {d: 2}\n")
    assert document.mark(("a", 0, "c", "d")) == Mark(3, 12)
    assert document.mark(("a", 0, "c", "d"), key=True) == Mark(3, 9)
    assert document.mark(("a", 0, "missing")) == Mark(2, 5)
    assert document.mark(("a", 7)) == Mark(2, 3)
    assert str(document.problem(("a", 0, "b"), "no")) == "<text>:2:8 a[0].b: no"


def test_duplicate_keys_are_problems_and_the_first_counts() -> None:
    """PyYAML would silently keep the last one."""
    document = load_marked("a: 1\nb: {c: 2, c: 3}\na: 4\n", "x.yaml")
    assert [str(problem) for problem in document.problems] == [
        "x.yaml:2:11 b.c: duplicate key 'c' (first on line 2)",
        "x.yaml:3:1 a: duplicate key 'a' (first on line 1)",
    ]
    assert document.data == {"a": 1, "b": {"c": 2}}


@pytest.mark.parametrize(("text", "message"), [
    ("a:\n\t- b", "2:1: a tab cannot indent YAML: use spaces"),
    ("a: [1, 2\nb: 3", "2:2: did not find expected ',' or ']' (while parsing a flow sequence)"),
    ("a: 1\n---\nb: 2\n", "2:1: more than one YAML document in this file: remove the extra '---'"),
    ("a: [fd00::]", "1:10: found unexpected ':': quote an address that ends in ':'"),
    ("a: *nothing", "1:4: found undefined alias"),
    ("a: !!python/object:os.system x", "1:4 a: unknown tag '!!python/object:os.system': tags are not used here"),
    ("a: !!binary aGk=", "1:4 a: unknown tag '!!binary': tags are not used here"),
    ("a: &x [*x]", "1:4 a[0]: an alias points at a value that contains it"),
    ("? [a]\n: 1", "1:3: a key must be a word, not a list or mapping"),
])  # fmt: skip
def test_faults_of_the_text_are_problems(text: str, message: str) -> None:
    """Nothing raises: each fault becomes one problem with its place."""
    assert [str(problem) for problem in load_marked(text).problems] == [f"<text>:{message}"]


def test_json_is_yaml() -> None:
    """Tabs, escapes and surrogate pairs of JSON are read too."""
    document = load_marked('{"a": "\\/x \\ud83d\\ude00",\n\t"b": [1, true, null]}')
    assert document.problems == ()
    assert document.data == {"a": "/x \U0001f600", "b": [1, True, None]}


def test_byte_order_mark_and_bad_bytes() -> None:
    """A UTF-8 BOM is harmless; another encoding is said with its byte."""
    assert load_marked(b"\xef\xbb\xbfa: 1\n").data == {"a": 1}
    assert str(load_marked(b"a: 1\nb: \xff\n").problems[0]) == "<text>:2:4: not UTF-8 text (byte 0xff)"


def test_aliases_are_read_and_bounded() -> None:
    """An alias is its value; a billion of them, or endless nesting, is a problem within a second."""
    assert load_marked("a: &x [1]\nb: *x\n").data == {"a": [1], "b": [1]}
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for i in range(10):
        bomb += f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n"
    began = time.process_time()
    assert "nested aliases?" in str(load_marked(bomb).problems[0])
    assert "levels deep" in str(load_marked("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).problems[0])
    assert time.process_time() - began < 2


def test_empty_and_missing_files(tmp_path: Path) -> None:
    """An empty file is nothing; a missing one is the caller's business."""
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_marked(tmp_path / "empty.yaml").data is None
    with pytest.raises(FileNotFoundError):
        load_marked(tmp_path / "missing.yaml")


def test_without_libyaml() -> None:
    """PyYAML's own parser gives the same data and marks where the C one is missing."""
    script = (
        "import yaml; yaml.__with_libyaml__ = False\n"
        "from dnswatch.config.yaml import load_marked, _Composer\n"
        "assert 'CParser' not in str(_Composer.__mro__)\n"
        "document = load_marked('a: 10:20:30:40:50:59\\nb: [on, 017]\\nc: {d: 1, d: 2}\\n', 'x.yaml')\n"
        "print(document.data, document.problems[0], document.mark(('b', 1)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == (
        "{'a': '10:20:30:40:50:59', 'b': ['on', 17], 'c': {'d': 1}} "
        "x.yaml:3:11 c.d: duplicate key 'd' (first on line 3) Mark(line=2, column=9)\n"
    )
