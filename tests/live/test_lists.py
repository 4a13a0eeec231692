"""Lists for resolvers without policy zones, in real ones: what each blocks, with the catalogue alone and by policy."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from dnswatch.core.feeds.formats import FORMATS
from dnswatch.core.feeds.history import advance
from dnswatch.core.feeds.zones import EVERYONE
from dnswatch.core.model import Rule, Zone
from tests.core.feed_worlds import AT
from tests.live.servers import (
    ADDRESS,
    Answer,
    Server,
    Upstream,
    daemon_user,
    dig,
    free_port,
    place,
    program,
    unbound_with,
)

PASSED = Answer("NOERROR", (ADDRESS,))
RULES = (  # blocked: whole with holes, exactly, only below; what passes
    Rule("*.exact.test", "passthru"), Rule("*.low.test", "nxdomain"), Rule("*.ok.whole.test", "passthru"),
    Rule("*.whole.test", "nxdomain"), Rule("exact.test", "nxdomain"), Rule("ok.whole.test", "passthru"),
    Rule("plain.test", "nxdomain"), Rule("whole.test", "nxdomain"), Rule("bad.ok.whole.test", "nxdomain"),
)  # fmt: skip
EVERY = advance(None, Zone("everyone.rpz.test.invalid", EVERYONE, tuple(sorted(RULES))), AT)
ASKED = ["whole.test", "a.whole.test", "ok.whole.test", "a.ok.whole.test", "bad.ok.whole.test", "exact.test",
         "a.exact.test", "low.test", "a.low.test", "plain.test", "a.plain.test", "other.test"]  # fmt: skip


def written(form: str, folder: Path) -> Path:
    path = folder / FORMATS[form].file_name(EVERY)
    path.write_bytes(FORMATS[form].render(EVERY))
    return path


def statuses(port: int) -> dict[str, str]:
    """Give what is not passed on: the status, or the addresses that stand for none."""
    found = {name: dig(port, "127.0.0.1", name) for name in ASKED}
    return {name: ",".join(one.records) or one.status for name, one in found.items() if one != PASSED}


def test_unbound_reads_local_zones() -> None:
    """Whole, with holes in it, and exactly; "only below" is left out, and what it would take along passes."""
    with place() as folder, Upstream() as upstream:
        folder.chmod(0o777)
        port = free_port()
        config = f"""
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  interface: 127.0.0.1@{port}
  do-ip6: no
  do-not-query-localhost: no
  local-zone: "test." nodefault
  module-config: "iterator"
  include: "{written("unbound", folder)}"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream.port}
"""
        with unbound_with(config, folder, port):
            assert statuses(port) == {
                "whole.test": "NXDOMAIN", "a.whole.test": "NXDOMAIN", "bad.ok.whole.test": "0.0.0.0",
                "exact.test": "0.0.0.0", "plain.test": "0.0.0.0",
            }  # fmt: skip
            assert dig(port, "127.0.0.1", "exact.test", "AAAA").records == ("::",)
            assert dig(port, "127.0.0.1", "exact.test", "TXT") == Answer("NOERROR", ())
    assert list(FORMATS["unbound"].left_out(EVERY)) == ["*.low.test"]


def test_dnsmasq_reads_hosts_and_servers() -> None:
    """A hosts line is exactly its name, in both families; a servers line takes everything below along."""
    with place() as folder, Upstream() as upstream:
        folder.chmod(0o755)
        for option, form, wanted in [
            ("addn-hosts", "hosts", {"plain.test": "0.0.0.0"}),
            ("servers-file", "dnsmasq", {"a.low.test": "NXDOMAIN", "plain.test": "NXDOMAIN",
                                         "a.plain.test": "NXDOMAIN"}),
        ]:  # fmt: skip
            port = free_port()
            command = [program("dnsmasq", folder), "-k", "-C", "/dev/null", f"--port={port}", "--no-resolv",
                       "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file",
                       f"--server=127.0.0.1#{upstream.port}", f"--{option}={written(form, folder)}",
                       "-u", daemon_user("dnsmasq") or pwd.getpwuid(os.geteuid()).pw_name]  # fmt: skip
            ready = lambda port=port: dig(port, "127.0.0.1", "ready.test").status  # noqa: E731
            with Server(command, folder / "dnsmasq.out", ready):
                assert statuses(port) == wanted, form
                answer = dig(port, "127.0.0.1", "plain.test", "AAAA")
                assert answer == (Answer("NOERROR", ("::",)) if form == "hosts" else Answer("NXDOMAIN", ()))
