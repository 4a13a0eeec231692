"""recursor.conf, its include-dir and recursor.yml: whether PowerDNS Recursor logs questions and policy hits.

Never: validates, reads files other than through a `Tree`; of YAML only the few settings that matter, by their lines.
Facts: the Recursor's settings (4.8 and 5.4). Read next: ``resolvers.py``.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from dnswatch.core.host.tree import Tree

_YAML = {"quiet": "quiet", "structured_logging": "structured-logging", "lua_dns_script": "lua-dns-script",
         "lua_config_file": "lua-config-file", "loglevel": "loglevel"}  # fmt: skip
_TRUE = {"true": "yes", "false": "no"}


@dataclass(slots=True)
class Recursor:
    """What the configuration of one Recursor says that matters to us."""

    origin: str
    files: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def says(self, setting: str, default: str) -> bool:
        """Say whether a setting is switched on."""
        return self.settings.get(setting, default) not in ("no", "off", "0", "false")

    @property
    def is_yaml(self) -> bool:
        return self.origin.endswith((".yml", ".yaml"))


def read(tree: Tree, origin: str) -> Recursor | None:
    """Read the settings, also those of the include directory. None when the file is absent."""
    found = Recursor(origin)
    _file(tree, origin, found)
    directory = found.settings.get("include-dir", "")
    for path in tree.glob(posixpath.join(directory, "*.conf")) if directory else ():
        _file(tree, path, found)
    return found if found.files or found.unreadable else None


def _file(tree: Tree, path: str, found: Recursor) -> None:
    text = tree.text(path)
    if text is None:
        if tree.state(path) == "unreadable":
            found.unreadable.append(path)
        return
    found.files.append(path)
    for raw in text.split("\n"):
        line = re.sub(r"(?:^|\s)#.*", "", raw).strip()
        if found.is_yaml:
            for key, value in re.findall(r"(\w+):\s*([^\s,{}]+)", line):
                if key in _YAML:
                    found.settings[_YAML[key]] = _TRUE.get(value.strip("'\"").lower(), value.strip("'\""))
        elif "=" in line:
            key, _, value = line.partition("=")
            found.settings[key.strip().removesuffix("+").strip()] = value.strip()
