"""TLS settings of a connection to a receiver: whom to trust, whom to claim to be; and what an SSL error means.

TLS 1.2 at least (RFC 9662 §4). The certificate must be valid for the host of the address or for ``server_name``, unless
a fingerprint names the one certificate that is right, or ``verify`` is off. Never: opens a connection. Read next:
``stream.py``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnswatch.config.model.sinks import Tls

NOT_OURS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED",
            "CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE", "HANDSHAKE_FAILURE", "ACCESS_DENIED")  # fmt: skip
"""Alerts by which a server refuses a client's certificate (RFC 8446 §6.2), as OpenSSL names them."""


@dataclass(frozen=True, slots=True)
class Security:
    """Certificates of a TLS connection."""

    ca: Path | None = None  # unset: the system's
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    fingerprint: str = ""  # SHA-256 of the server's certificate, 64 hexadecimal digits
    server_name: str = ""  # that its certificate must be valid for, where it is not the host of the address

    @classmethod
    def of(cls, tls: Tls | None) -> Security:
        """Take what the configuration says; nothing: the defaults."""
        if tls is None:
            return cls()
        return cls(tls.ca, tls.cert, tls.key, tls.verify, tls.fingerprint, tls.server_name)

    def context(self) -> ssl.SSLContext:
        """Read the files anew: certificates are renewed while we run. Raises `OSError` naming the file."""
        try:
            made = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except OSError as error:
            raise _unreadable(error, "tls.ca", self.ca) from error
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.fingerprint or not self.verify:
            made.check_hostname = False
            if not self.ca or not self.verify:
                made.verify_mode = ssl.CERT_NONE
        if self.cert is not None:
            try:
                made.load_cert_chain(self.cert, self.key, password="")  # never asks at the terminal
            except OSError as error:
                raise _unreadable(error, "tls.cert or tls.key", self.cert) from error
        return made

    def check(self, certificate: bytes | None) -> None:
        """Compare the server's certificate (DER) with the fingerprint. Raises `OSError`."""
        if not self.fingerprint:
            return
        found = hashlib.sha256(certificate or b"").hexdigest()
        if found != self.fingerprint:
            raise ConnectionError(errno.EPROTO, f"its certificate has fingerprint {found}, not {self.fingerprint}")


def _unreadable(error: OSError, key: str, path: Path | None) -> OSError:
    if not isinstance(error, ssl.SSLError):
        return OSError(error.errno, f"{key}: {path} cannot be used: {error.strerror or error}")
    why = {
        "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
        "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate in PEM form",
    }.get(error.reason or "", "no certificate and key in PEM form, or the key is encrypted")
    return OSError(errno.EINVAL, f"{key}: {path} cannot be used: {why}")


def said(error: OSError) -> str:
    """Say in one line what went wrong on a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if "ALERT" in reason and any(word in reason for word in NOT_OURS):
            return f"it refuses our certificate, or that we have none ({reason.replace('_', ' ').lower()})"
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return "it does not speak TLS"
        return f"TLS failed: {reason.replace('_', ' ').lower()}"
    if error.errno and (error.strerror or "").startswith("Connect call failed"):  # asyncio's own words
        return os.strerror(error.errno)
    return (error.strerror or str(error) or type(error).__name__).replace("\n", " ")
