"""Install and check the Debian packages that the live tests need (packages.txt), without starting their services.

Run as a script: ``python packages.py`` lists what is missing (exit 1 if anything is), ``--install`` installs it where
this is Debian and we are root; elsewhere it prints the command, and with ``CI=true`` a missing package is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
POLICY = Path("/usr/sbin/policy-rc.d")
# Debian puts servers into sbin, which is not on every user's PATH.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def wanted() -> dict[str, str]:
    """Give program → Debian package, as packages.txt lists them (``program package`` a line)."""
    lines = (line.split("#")[0].split() for line in (HERE / "packages.txt").read_text().splitlines())
    return {fields[0]: fields[1] for fields in lines if fields}


def missing() -> list[str]:
    """Give the packages whose program is not on this machine."""
    return sorted({package for program, package in wanted().items() if shutil.which(program) is None})


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Forbid service starts by package scripts while we install: a policy-rc.d of our own, removed afterwards.

    One that is already there stays as it is (containers and CI machines often ship one).
    """
    if POLICY.exists():
        yield
        return
    POLICY.write_text(
        "#!/bin/sh\n# written by dnswatch's tests/live/packages.py; removed after the installation\nexit 101\n"
    )
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(packages: list[str]) -> int:
    """Install the packages; give apt's exit code."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        subprocess.run(["apt-get", "-qq", "update"], env=environment, check=False)
        command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages]
        return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    packages = missing()
    if not packages:
        return 0
    command = "apt-get install --no-install-recommends " + " ".join(packages)
    if "--install" in sys.argv[1:] and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing for the live tests (LIVE=0 leaves them out): {' '.join(packages)}", flush=True)
        install(packages)
        packages = missing()
        if not packages:
            return 0
    print(f"Live tests will be skipped; they need: {command}", file=sys.stderr)
    return 1 if os.environ.get("CI") == "true" or "--install" not in sys.argv[1:] else 0


if __name__ == "__main__":
    raise SystemExit(main())
