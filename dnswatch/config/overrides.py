"""Weights to try: a file with nothing but a ``detect:`` section, laid over the settings that are in force.

`dnswatch scan --detect-overrides FILE` tests it on logs. Never: changes a configuration. Read next: ``detection.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from dnswatch.config.build import zone_of
from dnswatch.config.detection import read_options
from dnswatch.config.faults import explain
from dnswatch.config.merge import Tree
from dnswatch.config.model import Config
from dnswatch.config.yaml import load_marked
from dnswatch.core.policy import DAY_S, Detection
from dnswatch.errors import ConfigError, Problem


def overridden(detection: Detection, path: Path) -> Detection:
    """Lay the file over some settings; raise `ConfigError` holding every problem."""
    try:
        document = load_marked(path)
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, 0, "", f"cannot be read: {error.strerror}")]) from None
    problems = list(document.problems)
    if document.data is not None and not isinstance(document.data, dict):
        problems.append(document.problem((), "a mapping is wanted: detect: {points: {…}, signals: {…}}"))
    tree = Tree.merge([document], path.parent)
    problems += [
        tree.problem((key,), "only detect: can be tried; give the rest by --config", key=True)
        for key in tree.data
        if key != "detect"
    ]
    try:
        given = Config.model_validate({"detect": tree.data.get("detect", {})}).detect
    except ValidationError as error:
        raise ConfigError([*problems, *explain(error, tree)]) from None
    if problems:
        raise ConfigError(problems)
    options = dict(detection.options)
    for name, values in read_options(given.signals).items():
        options[name] = {**options.get(name, {}), **values}
    changed = replace(detection, points={**detection.points, **given.points}, options=options)
    changed = replace(changed, zone=zone_of(str(options.get("off-hours", {}).get("timezone", ""))))
    if "learning" in given.model_fields_set:
        changed = replace(changed, learning_s=given.learning.days * DAY_S)
    if "episode_gap" in given.model_fields_set:
        changed = replace(changed, episode_gap_s=given.episode_gap)
    if "unknown_clients" in given.model_fields_set:
        changed = replace(changed, strangers=given.unknown_clients.lane)
    return changed
