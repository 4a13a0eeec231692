"""Install and check the Debian packages that the live tests need (packages.txt), without starting their services.

Run as a script: ``python packages.py`` lists what is missing (exit 1 if anything is), ``--install`` installs it where
this is Debian and we are root; elsewhere it prints the command, and with ``CI=true`` a missing package is a failure.
syslog-ng conflicts with rsyslog: its packages are only downloaded and unpacked, below the virtual environment.
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
UNPACKED = Path(sys.prefix) / "unpacked"
SYSLOG_NG = ("syslog-ng-core", "libivykis0", "libjson-c5", "libnet1", "libpcre3", "libwrap0")
"""The package and those of its libraries that a small system lacks (Debian 12)."""
# Debian puts servers into sbin, which is not on every user's PATH.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def wanted() -> dict[str, str]:
    """Give program → Debian package, as packages.txt lists them (``program package`` a line)."""
    lines = (line.split("#")[0].split() for line in (HERE / "packages.txt").read_text().splitlines())
    return {fields[0]: fields[1] for fields in lines if fields}


def there(program: str) -> bool:
    """Say whether a program, or a file whose pattern begins with a slash, is on this machine."""
    if program.startswith("/"):
        return any(Path("/").glob(program.removeprefix("/")))
    return shutil.which(program) is not None


def missing() -> list[str]:
    """Give the packages whose program is not on this machine."""
    return sorted({package for program, package in wanted().items() if not there(program)})


def syslog_ng() -> Path | None:
    """Give the directory into which syslog-ng is unpacked; None: it is not."""
    return UNPACKED if (UNPACKED / "usr/sbin/syslog-ng").exists() else None


def unpack_syslog_ng() -> None:
    """Download syslog-ng's packages and unpack them; nothing is installed."""
    UNPACKED.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["apt-get", "-qq", "download", *SYSLOG_NG], cwd=UNPACKED, capture_output=True, text=True, check=False
    )
    for package in sorted(UNPACKED.glob("*.deb")) if done.returncode == 0 else ():
        subprocess.run(["dpkg-deb", "-x", str(package), str(UNPACKED)], check=True)
        package.unlink()


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
    if "--install" in sys.argv[1:] and syslog_ng() is None and shutil.which("apt-get"):
        print("Unpacking syslog-ng for the live tests (it is not installed: it conflicts with rsyslog)", flush=True)
        unpack_syslog_ng()
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
