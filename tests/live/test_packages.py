"""Every Debian package that the live tests need is installed."""

import os
import shutil

import pytest

from tests.live.packages import wanted


@pytest.mark.parametrize(("program", "package"), sorted(wanted().items()))
def test_package_is_installed(program: str, package: str) -> None:
    """Its program is on the path; elsewhere than in CI a missing one is a skip with the command."""
    if shutil.which(program) is None:
        command = f"{program} is missing: apt-get install --no-install-recommends {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(command, pytrace=False)
        pytest.skip(command)
