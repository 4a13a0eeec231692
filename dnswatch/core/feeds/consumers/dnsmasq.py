"""dnsmasq 2.90: one list of names for everybody, read from a file on the same host; it cannot tell clients apart.

Names that nobody is expected to use get NXDOMAIN, whoever asks; all others pass (research rpz.md §3, §4). The list is
read again on SIGHUP, so a unit of systemd signals dnsmasq when the file is replaced: dnswatch needs no right over it.
Never: dnsmasq.conf; what is there stays the operator's. Read next: ``../formats/dnsmasq.py``, which writes the list.
"""

from __future__ import annotations

from collections.abc import Sequence

from dnswatch.core.feeds.subscription import File, Subscription

CONFIG = "/etc/dnsmasq.d/dnswatch.conf"
PATH_UNIT, SERVICE = "/etc/systemd/system/dnswatch-dnsmasq.path", "/etc/systemd/system/dnswatch-dnsmasq.service"
LIST = "dnsmasq.servers"
LOG = "/var/log/dnsmasq.log"
PID = "/run/dnsmasq/dnsmasq.pid"
"""Where Debian's start script has it written."""

_CONFIG = """\
# install: {path}
#
# dnsmasq 2.90 with the list of dnswatch, written by `dnswatch consumer-config dnsmasq`. dnsmasq cannot tell clients
# apart: it blocks only names that no expectation allows to anybody, for everybody. In shadow mode the list is empty.
# Your own settings stay in /etc/dnsmasq.conf and other files of this directory; none of them may have another
# servers-file. dnswatch runs on this host, and the user dnsmasq may read {directory}.
#
#   once:  dnswatch feed build
#   then:  dnsmasq --test && systemctl restart dnsmasq
#          systemctl daemon-reload && systemctl enable --now dnswatch-dnsmasq.path
servers-file={directory}/{list}
{port}
# Everything that dnswatch reads. `extra` puts the client before the name, where a hostile name cannot forge it.
log-queries=extra
log-facility={log}
"""
_PATH_UNIT = """\
# install: {path}
[Unit]
Description=dnswatch has written a new list of names

[Path]
# The file is replaced by rename, which changes the directory.
PathChanged={directory}
Unit=dnswatch-dnsmasq.service

[Install]
WantedBy=multi-user.target
"""
_SERVICE = """\
# install: {path}
[Unit]
Description=Have dnsmasq read the list of names of dnswatch
After=dnsmasq.service
ConditionPathExists={pid}

[Service]
Type=oneshot
# The resolver's own user may signal it; dnswatch needs no right over dnsmasq.
User=dnsmasq
ExecStart=/usr/bin/pkill -HUP -F {pid} dnsmasq
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
"""


class Dnsmasq:
    """Writes a file for dnsmasq.d, and the units that have the list read again."""

    name, checker = "dnsmasq", ""
    has_tls = has_keys = has_views = tells_clients = False
    reads_files = True

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give the settings and two units."""
        port = f"port={subscription.port}\n" if subscription.port != 53 else ""
        text = _CONFIG.format(path=CONFIG, directory=subscription.directory, list=LIST, port=port,
                              log=subscription.log or LOG)  # fmt: skip
        return [
            File(CONFIG, text, "#"),
            File(PATH_UNIT, _PATH_UNIT.format(path=PATH_UNIT, directory=subscription.directory), "#"),
            File(SERVICE, _SERVICE.format(path=SERVICE, pid=PID), "#"),
        ]
