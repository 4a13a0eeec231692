"""What pydantic says is wrong → `Problem`s in an operator's words, at the file, line and column that caused them.

Never: decides what is legal (``model.py``). Read next: ``rules.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from dnswatch.config.merge import Tree
from dnswatch.config.model import Config
from dnswatch.config.values import close_to
from dnswatch.config.yaml import Step
from dnswatch.errors import Problem

NOT_YET: dict[str, dict[str, str]] = {
    "sinks.type": {"http": "http sinks (use webhook)", "https": "https sinks (use webhook)",
                   "hec": "hec sinks (use splunk-hec)",
                   **{kind: f"{kind} sinks (use syslog, file, splunk-hec or webhook)"
                      for kind in ("elasticsearch", "kafka", "email")}},
    "sinks.format": {"gelf": "GELF (use json or cef)"},
}  # fmt: skip
"""Words that a later version will understand: refused as such, not as typing errors."""

_NEEDED = {
    "because": "say why these clients may, e.g. because: deploy notifications",
    "who": "name clients, e.g. who: [group:build, 10.0.10.7]",
    "services": "name services, e.g. services: [slack-webhook] or ['category:chat-webhook']",
    "networks": "e.g. networks: [10.0.20.0/24]",
    "path": "name a file",
    "address": "e.g. address: udp://192.0.2.10:514",
}
_KINDS = {
    "list_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def explain(error: ValidationError, tree: Tree) -> list[Problem]:
    """Turn every error of one validation into a problem."""
    return [_explain(item["type"], item["loc"], item["msg"], item.get("input"), item.get("ctx") or {}, tree)
            for item in error.errors(include_url=False)]  # fmt: skip


def _explain(
    kind: str, loc: Sequence[Step], message: str, given: Any, context: dict[str, Any], tree: Tree
) -> Problem:  # fmt: skip
    path, key = real_path(loc, tree)
    if kind == "extra_forbidden":
        known = _known_keys(loc[:-1])
        return tree.problem(path, f"unknown key{close_to(str(path[-1]), known)}", key=True)
    if kind == "missing":
        name = str(path[-1])
        hint = f": {_NEEDED[name]}" if name in _NEEDED else ""
        return tree.problem(path[:-1], f"required key {name!r} is missing{hint}")
    if kind == "union_tag_not_found":
        return tree.problem(path, "required key 'type' is missing: syslog, file or stdout")
    if kind == "union_tag_invalid":
        return _not_one_of((*path, "type"), context["tag"], context["expected_tags"], tree)
    if kind == "literal_error":
        return _not_one_of(path, given, context["expected"], tree)
    if kind in ("string_type", "path_type"):
        return tree.problem(path, _not_text(given))
    if kind == "value_error":
        return tree.problem(path, message.removeprefix("Value error, "), key=key)
    if kind in _KINDS:
        return tree.problem(path, _KINDS[kind])
    return tree.problem(path, message.replace("Input should", "must", 1).replace("must be a valid", "must be a"))


def real_path(loc: Sequence[Step], tree: Tree) -> tuple[tuple[Step, ...], bool]:
    """Translate pydantic's location into a path of the document; True: it is the key that is wrong.

    The tag of a discriminated union and the marker of a dictionary key are steps that no file has.
    """
    path: list[Step] = []
    leaf = tree.root
    for step in loc:
        if step == "[key]":
            return tuple(path), True
        content = leaf.content if leaf is not None else None
        if isinstance(content, dict) and step not in content:
            tag = content.get("type")
            if tag is not None and tag.content == step:
                continue
        path.append(step)
        if isinstance(content, dict):
            leaf = content.get(str(step))
        else:
            leaf = content[step] if isinstance(content, list) and isinstance(step, int) else None
    return tuple(path), False


def _not_one_of(path: tuple[Step, ...], given: Any, expected: str, tree: Tree) -> Problem:
    """Say that a word is none of the known ones; a word of a later version is answered as such."""
    place = ".".join(str(step) for step in path if isinstance(step, str))
    choices = [word for word in re.findall(r"'([^']*)'", expected) if word]
    word = given if isinstance(given, str) else repr(given)
    later = NOT_YET.get(place, {}).get(word)
    if later is not None:
        return tree.problem(path, f"not available yet: {later}")
    return tree.problem(path, f"{word!r} is not one of {', '.join(choices)}{close_to(word, choices)}")


def _not_text(given: Any) -> str:
    if isinstance(given, dict):
        return "must be text, not a mapping"
    if isinstance(given, list):
        return "must be text, not a list"
    return f"must be text, and {given!r} is not: put it in quotes"


def _known_keys(loc: Sequence[Step]) -> list[str]:
    """Give the keys that the mapping at a location may have, from the JSON Schema."""
    schema = Config.model_json_schema()
    node: dict[str, Any] = schema
    for step in loc:
        node = _deref(node, schema)
        mapping = node.get("discriminator", {}).get("mapping", {})
        if step in mapping:
            node = {"$ref": mapping[step]}
        elif isinstance(step, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(step) or node.get("additionalProperties") or {}
    return list(_deref(node, schema).get("properties", ()))


def _deref(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node or "anyOf" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node["anyOf"][0]
    return node
