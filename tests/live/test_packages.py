"""Every Debian package that the live tests need is installed."""

import os

import pytest

from tests.live.packages import syslog_ng, there, wanted


@pytest.mark.parametrize(("program", "package"), sorted(wanted().items()))
def test_package_is_installed(program: str, package: str) -> None:
    """Its program is on the path; elsewhere than in CI a missing one is a skip with the command."""
    if not there(program):
        command = f"{program} is missing: apt-get install --no-install-recommends {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(command, pytrace=False)
        pytest.skip(command)


def test_syslog_ng_is_unpacked() -> None:
    """It conflicts with rsyslog, so it is only unpacked."""
    if syslog_ng() is None:
        command = "syslog-ng is missing: python tests/live/packages.py --install"
        if os.environ.get("CI") == "true":
            pytest.fail(command, pytrace=False)
        pytest.skip(command)
