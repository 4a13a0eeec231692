"""Telling systemd how we are: ready, reloading, stopping, alive (sd_notify(3)). Without systemd nothing happens.

Never: raises; a service manager that does not listen is no reason to stop. Read next: ``daemon.py``.
"""

from __future__ import annotations

import os
import socket
import time


def notify(**state: str | int) -> None:
    """Send ``READY=1``, ``STATUS=…`` and the like to the socket that systemd named, if any."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    text = "\n".join(f"{key}={value}" for key, value in state.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(text.encode(), address)
    except OSError:
        return


def reloading() -> None:
    """Say that a reload has begun; `ready` ends it. The stamp lets systemd tell it from an older one."""
    notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


def ready(status: str) -> None:
    """Say that we do our work."""
    notify(READY=1, STATUS=status)


def watchdog_s() -> float | None:
    """Give how often systemd wants to hear from us, halved so that one message may be late; None when it does not."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 2e6 if text.isdigit() and int(text) else None
