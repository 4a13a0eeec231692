"""How single values of the configuration are written: durations, times, sockets, addresses of sinks, secrets.

Each function takes what stands in the file and gives the value, or raises `ValueError` saying what would be right.
Never: knows where a value stands (``load.py``) or what it is for (``model.py``, read next).
"""

from __future__ import annotations

import base64
import difflib
import os
import re
import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})?\Z")

PORTS = {"relp": 2514, "relp+tls": 2514, "tcp": 514, "tls": 6514, "udp": 514}
"""Ports of syslog transports where the address names none: RFC 5426, RFC 5425, else custom."""
_LATER_SCHEMES = {"http": "HTTP sinks", "https": "HTTP sinks"}


def close_to(word: str, known: Iterable[str]) -> str:
    """Give `` (did you mean 'x'?)`` for the known word closest to ``word``, or nothing."""
    close = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def duration(value: object) -> float:
    """Read ``7d``, ``10m``, ``250ms``, ``1h30m`` as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value == 0:
            return 0.0
        raise ValueError(f"{value} has no unit: write {value}s, {value}m, {value}h or {value}d")
    if not isinstance(value, str) or not _DURATION.match(value):
        raise ValueError(f"{value!r} is not a duration (write 250ms, 30s, 10m, 12h, 7d or 1h30m)")
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(value))


class Extent(NamedTuple):
    """How far: a time or a size."""

    seconds: float | None = None
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.size}B" if self.size is not None else duration_text(self.seconds or 0.0)


_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?)B\Z")
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def extent(value: object) -> Extent:
    """Read ``2d`` as a time, ``10GB`` as a size (powers of ten, as disks are sold)."""
    if isinstance(value, Extent):
        return value
    if isinstance(value, str) and (found := _SIZE.match(value)):
        made = Extent(size=int(float(found[1]) * _SIZES[found[2]]))
    else:
        try:
            made = Extent(seconds=duration(value))
        except ValueError:
            raise ValueError(f"{value!r} is neither a time (2d, 12h) nor a size (10GB, 500MB)") from None
    if not (made.size or made.seconds):
        raise ValueError("must be more than nothing; to begin anew at the end, remove the stored position")
    return made


def duration_text(seconds: float) -> str:
    """Write a duration the way it is configured: in the largest unit that divides it."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"


def instant(value: object) -> float:
    """Read an RFC 3339 time (with its zone) or a date (its first moment in UTC) as Unix seconds."""
    return _moment(value).timestamp()


def end(value: object) -> float:
    """Read an end: a date includes that whole day in UTC, so it ends at the next midnight; a time is exact."""
    moment = _moment(value)
    return (moment + timedelta(days=1) if _DATE.match(str(value)) else moment).timestamp()


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not (_DATE.match(value) or _TIME.match(value)):
        raise ValueError(f"{value!r} is not a date or time (write 2027-06-30 or 2027-06-30T12:00:00Z)")
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(f"{value!r} is no such day or time") from None
    if moment.tzinfo is None:
        if not _DATE.match(value):
            raise ValueError(f"{value!r} has no zone: write {value}Z for UTC, or an offset such as +02:00")
        moment = moment.replace(tzinfo=UTC)
    return moment


def time_text(at: float) -> str:
    """Write Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def timezone(value: str) -> str:
    """Check the name of a time zone (IANA); an unknown one is answered with the closest name."""
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        known = zoneinfo.available_timezones()
        exact = next((name for name in known if name.lower() == value.lower()), None)
        hint = f" (did you mean {exact!r}?)" if exact else close_to(value, known)
        if not hint:
            cities = {name.rpartition("/")[2].lower(): name for name in sorted(known)}
            city = cities.get(value.lower().replace(" ", "_"))
            hint = f" (did you mean {city!r}?)" if city else " (write a name such as Europe/Berlin or UTC)"
        raise ValueError(f"unknown time zone {value!r}{hint}") from None
    return value


class Listen(NamedTuple):
    """A TCP or UDP socket to listen on."""

    host: str
    port: int


def listen(value: str) -> str:
    """Check ``127.0.0.1:8053``, ``[::1]:8053`` or ``localhost:8053``; port 0 asks the system for a free one."""
    split_listen(value)
    return value


def split_listen(value: str) -> Listen:
    """Split a listen address into host and port."""
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{value!r}: write an IPv6 address in brackets: [{host}]:{port}")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{value!r} is not ADDRESS:PORT (write 127.0.0.1:8053)")
    return Listen(host, int(port))


def is_loopback(host: str) -> bool:
    """Say whether only this host can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def sink_address(value: str) -> str:
    """Check a syslog address and complete its port: ``udp://host`` becomes ``udp://host:514``."""
    if "://" not in value:
        raise ValueError(f"{value!r} has no transport: write relp://HOST, tls://HOST:PORT, tcp://HOST:PORT, "
                         "udp://HOST:PORT or unix:///dev/log")  # fmt: skip
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{value!r} is not an address: write udp://HOST:PORT (IPv6: udp://[::1]:514)") from None
    if parts.scheme in _LATER_SCHEMES:
        raise ValueError(
            f"not available yet: {_LATER_SCHEMES[parts.scheme]} (use relp://, tls://, tcp://, udp:// or unix://)"
        )
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{value!r}: write unix:///PATH, for example unix:///dev/log")
        return value
    if parts.scheme not in PORTS:
        known = (*PORTS, "unix")
        alias = {"relps": "relp+tls", "relp-tls": "relp+tls", "tls+tcp": "tls", "ssl": "tls"}.get(parts.scheme)
        hint = f" (did you mean {alias!r}?)" if alias else close_to(parts.scheme, known)
        raise ValueError(f"unknown transport {parts.scheme!r}: {', '.join(known)} are known{hint}")
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise ValueError(f"{value!r}: write {parts.scheme}://HOST:PORT")
    port = PORTS[parts.scheme] if port is None else port
    if port == 0:
        raise ValueError(f"{value!r}: port 0 cannot be sent to")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def url(value: str) -> str:
    """Check the address of an HTTP receiver."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{value!r} is not an address: write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{value!r}: write https://HOST/PATH")
    if parts.username is not None:
        raise ValueError("a password does not belong into an address: write it as a secret, or as a header")
    if parts.fragment:
        raise ValueError(f"{value!r}: leave out #{parts.fragment}, which is never sent")
    return value


_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


def fingerprint(value: str) -> str:
    """Read a SHA-256 fingerprint as `openssl x509 -noout -fingerprint -sha256` prints it; give 64 digits."""
    plain = value.rpartition("=")[2].lower().removeprefix("sha256:").removeprefix("sha-256:").replace(":", "")
    if value and not _FINGERPRINT.match(plain):
        raise ValueError(f"{value!r} is not a SHA-256 fingerprint of 64 hexadecimal digits (openssl x509 -noout "
                         "-fingerprint -sha256 -in FILE prints it)")  # fmt: skip
    return plain


_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\Z")


def server_name(value: str) -> str:
    """Read the name, or the address, that a certificate is valid for."""
    if value and not (_HOST.match(value) and len(value) <= 253):
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a host name or address: write it alone, siem.example") from None
    return value


class Secret:
    """A password or key that stands elsewhere: in a file, or in the environment. Never printed."""

    __slots__ = ("_value", "reference")

    def __init__(self, reference: str, value: str) -> None:
        self.reference = reference
        self._value = value

    def reveal(self) -> str:
        """Give the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    __str__ = __repr__


def secret(value: object, base: Path | None = None) -> Secret:
    """Read a secret from ``file:/path`` (one final newline is dropped) or ``env:NAME``; never from the file itself."""
    kind, colon, place = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not place or kind not in ("file", "env"):
        raise ValueError("a secret is not written into the configuration: write file:/path or env:NAME")
    if kind == "env":
        found = os.environ.get(place)
        if not found:
            raise ValueError(f"the environment variable {place} is not set")
        return Secret(f"env:{place}", found)
    path = Path(place) if base is None else base / place
    try:
        text = path.read_text("utf-8").removesuffix("\n")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"{path} is empty")
    return Secret(f"file:{path}", text)


_KEY_STATEMENT = re.compile(
    r'\s*key\s+"?(?P<name>[^\s"{]+)"?\s*\{\s*algorithm\s+"?(?P<algorithm>[\w-]+)"?\s*;\s*'
    r'secret\s+"?(?P<secret>[A-Za-z0-9+/=]+)"?\s*;\s*\}\s*;\s*\Z'
)
LEAST_KEY = 16
"""Octets of a TSIG secret: RFC 2104 §3 calls shorter ones weak; `tsig-keygen` makes 32 and more."""


def tsig_secret(secret: Secret, algorithm: str) -> bytes:
    """Give the octets of a TSIG secret: base64, or the ``key`` statement that `tsig-keygen` prints."""
    text = secret.reveal()
    statement = _KEY_STATEMENT.match(text)
    if statement and statement["algorithm"].lower() != algorithm:
        raise ValueError(f"{secret.reference} is a key for {statement['algorithm']}: write algorithm: "
                         f"{statement['algorithm'].lower()}")  # fmt: skip
    try:
        octets = base64.b64decode(statement["secret"] if statement else text.strip(), validate=True)
    except ValueError:
        raise ValueError(f"{secret.reference} is not base64: make one with `tsig-keygen -a {algorithm}`") from None
    if len(octets) < LEAST_KEY:
        raise ValueError(f"{secret.reference} has {len(octets)} octets, fewer than {LEAST_KEY}: make one with "
                         f"`tsig-keygen -a {algorithm}`")  # fmt: skip
    return octets
