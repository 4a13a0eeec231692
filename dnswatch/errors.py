"""Every error that dnswatch raises on purpose, and the exit code it leads to.

    DnswatchError (exit 1)
    ├── ConfigError (3)     every problem of the configuration at once
    ├── StateError (1)      state_dir is locked, newer than this program, or damaged
    │   └── NeverRan (4)    there is nothing in state_dir to look at yet
    ├── FeedRefused (1)     a publication the guard does not allow; the last good serial stays served
    └── Unreachable (4)     something we must talk to does not answer

Bad *data* is never an error: it is a ``Weird``, counted. A failed world is ``OSError``, caught in ``io/supervise.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_UNREACHABLE = 0, 1, 2, 3, 4


class DnswatchError(Exception):
    """Base of all: the message is complete and ready for the user."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in a configuration or catalogue file: where, what, what would be right."""

    file: str
    line: int  # 1-based; 0 = the file as a whole
    column: int  # 1-based
    path: str  # "sinks[0].format"; "" = the file as a whole
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where} {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(DnswatchError):
    """The configuration cannot be used. Holds every problem found, in file order."""

    exit_code = EXIT_CONFIG

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StateError(DnswatchError):
    """``state_dir`` cannot be used: locked by another process, written by a newer version, or damaged."""


class NeverRan(StateError):
    """``state_dir`` holds no store: there is no daemon's word to show."""

    exit_code = EXIT_UNREACHABLE


class FeedRefused(DnswatchError):
    """The guard refuses to publish; the last good serial stays served."""


class Unreachable(DnswatchError):
    """A server, sink or daemon that was asked for does not answer."""

    exit_code = EXIT_UNREACHABLE
