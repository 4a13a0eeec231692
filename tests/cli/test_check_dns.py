"""`dnswatch check` of the zone server: ports for UDP and TCP, the certificate, the keys."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path

from click.testing import CliRunner

from dnswatch.cli import root


def check(folder: Path, dns: str) -> dict[str, tuple[str, str]]:
    """Give level and message by what was looked at and where."""
    (folder / "k1").write_text(base64.b64encode(b"1" * 32).decode())
    (folder / "query.log").write_text("")
    path = folder / "dnswatch.yaml"
    path.write_text(f"state_dir: {folder}\nsources: [{{type: bind, path: {folder}/query.log}}]\nhttp: {{listen: off}}\n"
                    f"dns: {dns}\n")  # fmt: skip
    done = CliRunner().invoke(root, ["--config", str(path), "check", "--json"])
    return {f"{one['what']} {one['where']}": (one["level"], one["message"])
            for one in json.loads(done.stdout)["findings"]}  # fmt: skip


def test_a_port_taken_for_udp_alone_is_found(tmp_path: Path) -> None:
    """TCP being free says little: SOA is asked over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = check(tmp_path, f'{{listen: "{listen}"}}')
    assert found[f"port {listen}"] == ("error", "another program listens there: choose another port (dns.listen)")


def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Missing, or not PEM."""
    (tmp_path / "bad.pem").write_text("no certificate\n")
    for cert in ("bad.pem", "missing.pem"):
        found = check(tmp_path, f'{{listen: "127.0.0.1:0", tls: {{listen: "127.0.0.1:0", cert: {cert}, key: {cert}}}}}')
        level, message = found[f"certificate {tmp_path}/{cert}"]
        assert level == "error"
        assert cert in message
