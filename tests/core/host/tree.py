"""A file system in a dict, for discovery tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

from dnswatch.core.host.tree import FileState


@dataclass
class Files:
    """Implements the `Tree` protocol over {path: text}; paths in ``secret`` may not be read."""

    files: dict[str, str]
    secret: set[str] = field(default_factory=set)
    timezone: str = "Europe/Berlin"

    def text(self, path: str) -> str | None:
        return None if path in self.secret else self.files.get(path)

    def state(self, path: str) -> FileState:
        return "absent" if path not in self.files else "unreadable" if path in self.secret else "file"

    def glob(self, pattern: str) -> Sequence[str]:
        return sorted(path for path in self.files if fnmatch(path, pattern) and path.count("/") == pattern.count("/"))

    def tail(self, path: str, size: int) -> bytes:
        return (self.text(path) or "").encode()[-size:]

    def access(self, path: str) -> str:
        return "bind:adm 0640" if path in self.files else ""

    def zone(self) -> str:
        return self.timezone
