"""Live tests need Debian's servers: without them they skip and say what to install, and with ``CI=true`` they fail."""

from __future__ import annotations

import os

import pytest

from tests.live.packages import missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory as live."""
    for item in items:
        if "tests/live/" in item.path.as_posix():
            item.add_marker(pytest.mark.live)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail in CI, where a server that the tests use is not installed."""
    if item.get_closest_marker("live") is None or item.path.name == "test_packages.py":
        return
    packages = missing()
    if packages:
        command = "apt-get install --no-install-recommends " + " ".join(packages)
        if os.environ.get("CI") == "true":
            pytest.fail(f"a server is missing: {command}", pytrace=False)
        pytest.skip(f"needs: {command}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests have measured."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    for report in reports:
        for what, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{what}: {value}")
