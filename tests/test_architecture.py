"""The shape holds: core is pure, imports point one way, siblings do not know each other."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dnswatch"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What core may never import: clocks, input and output, concurrency, randomness, logging.
IMPURE = {
    "aiohttp", "aiosqlite", "apscheduler", "asyncio", "glob", "logging", "multiprocessing", "os", "pathlib",
    "random", "secrets", "shutil", "signal", "socket", "sqlalchemy", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "time", "urllib", "yaml",
}  # fmt: skip
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc", "base", "manager", "handler"}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports, function bodies included, TYPE_CHECKING blocks too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def half(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ALLOWED = {
    "core": {"core", "errors"},
    "io": {"io", "core", "config", "errors", "__init__"},
    "config": {"config", "core", "errors"},
    "daemon": {"daemon", "io", "core", "config", "errors", "__init__"},
    "cli": {"cli", "daemon", "demo", "scan", "scenarios", "io", "core", "config", "errors", "__init__"},
    "demo": {"demo", "config", "errors"},
    "scan": {"scan", "io", "core", "config", "errors", "__init__"},
    "scenarios": {"scenarios", "core", "config", "errors"},
    "errors": set(),
    "__init__": set(),
    "__main__": {"cli"},
}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    """cli → daemon → {io, core}, io → core; config and errors are used by all; core knows only itself."""
    for name in imported(path):
        if name == "dnswatch" or not name.startswith("dnswatch."):
            continue
        target = name.split(".")[1]
        if target.startswith("__") or not ((PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").exists()):
            target = "__init__"
        assert target in ALLOWED[half(path)], f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_core_is_pure(path: Path) -> None:
    """No clock, socket, file, log, loop or dice in core: time is an argument, effects are values."""
    assert not {name.split(".")[0] for name in imported(path)} & IMPURE
    calls = {node.func.id for node in ast.walk(parsed(path))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    assert not calls & {"open", "print", "input"}


SIBLINGS = ["core/logs/parsers", "core/detect/signals", "core/feeds/formats", "core/feeds/consumers", "io/sinks",
            "io/sources", "io/publish"]  # fmt: skip


@pytest.mark.parametrize("folder", SIBLINGS)
def test_extensions_do_not_import_each_other(folder: str) -> None:
    """A parser, signal, format, sink, source or publisher is readable alone."""
    package = "dnswatch." + folder.replace("/", ".")
    modules = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"}
    for path in (PACKAGE / folder).glob("*.py"):
        if path.stem == "__init__":
            continue
        siblings = {f"{package}.{name}" for name in modules - {path.stem}}
        assert not siblings & set(imported(path)), f"{path.relative_to(ROOT)} imports a sibling"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_say_what_they_are(path: Path) -> None:
    """Every module has a docstring and a noun for a name."""
    tree = parsed(path)
    assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring"
    assert path.stem not in FORBIDDEN_NAMES


def test_only_jobs_imports_apscheduler() -> None:
    """The scheduler has one door."""
    users = {path.relative_to(PACKAGE).as_posix() for path in MODULES
             if any(name.split(".")[0] == "apscheduler" for name in imported(path))}  # fmt: skip
    assert users <= {"io/jobs.py"}


def test_broad_excepts_live_in_supervise_only() -> None:
    """`except Exception` belongs to the one retry loop (DESIGN §7)."""
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                broad = caught in {"everything", "Exception", "BaseException"}
                assert not broad or path.name == "supervise.py", f"{path.relative_to(ROOT)}:{node.lineno}"
