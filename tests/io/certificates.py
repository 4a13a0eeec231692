"""Certificates for tests, made with openssl: an authority, a server for loopback, a client, and a stranger."""

from __future__ import annotations

import functools
import hashlib
import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass(frozen=True)
class Certificates:
    """PEM files in one folder; ``stranger`` is signed by nobody whom the authority's friends know."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def cert(self, name: str) -> Path:
        """Give the certificate of ``server``, ``client`` or ``stranger``."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Give its key."""
        return self.folder / f"{name}.key"

    def fingerprint(self, name: str) -> str:
        """Give the SHA-256 of a certificate."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.cert(name).read_text())).hexdigest()

    def server_context(self, mutual: bool = False) -> ssl.SSLContext:
        """Give what a server needs; with ``mutual`` it wants a certificate of its clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert("server"), self.key("server"))
        if mutual:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@functools.cache
def certificates() -> Certificates:
    """Make them once for a process; the folder goes with it."""
    folder = tempfile.TemporaryDirectory(prefix="dnswatch-certificates-")
    made = Certificates(Path(folder.name))
    made.folder.chmod(0o755)
    KEPT.append(folder)
    _self_signed(made, "ca", "/CN=test authority")
    _self_signed(made, "stranger", "/CN=stranger")
    for name in ("server", "client"):
        _signed(made, name)
    return made


KEPT: list[tempfile.TemporaryDirectory[str]] = []
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=120)


def _self_signed(made: Certificates, name: str, subject: str) -> None:
    files = ("-keyout", str(made.key(name)), "-out", str(made.cert(name)))
    _openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", subject, *files)


def _signed(made: Certificates, name: str) -> None:
    request, extensions = made.folder / f"{name}.csr", made.folder / f"{name}.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", str(made.key(name)), "-out", str(request))
    authority = ("-CA", str(made.ca), "-CAkey", str(made.key("ca")), "-set_serial", str(len(name) + 100))
    _openssl("x509", "-req", "-in", str(request), *authority, "-days", "2", "-extfile", str(extensions), "-out",
             str(made.cert(name)))  # fmt: skip
