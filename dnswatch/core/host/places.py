"""Where servers keep their configuration, logs and leases, by distribution and habit. Nothing else.

Read next: ``findings.py``.
"""

from __future__ import annotations

NAMED_CONF = ("/etc/bind/named.conf", "/etc/named.conf", "/etc/named/named.conf", "/usr/local/etc/namedb/named.conf",
              "/var/named/etc/named.conf")  # fmt: skip
NAMED_START = ("/etc/default/named", "/etc/default/bind9", "/etc/sysconfig/named", "/etc/conf.d/named")
PIHOLE_CONF = "/etc/pihole/pihole.toml"  # v6; v5 has setupVars.conf and /etc/dnsmasq.d/01-pihole.conf
BIND_LOGS = ("/var/log/named/*.log", "/var/log/named/quer*", "/var/log/bind/*.log", "/var/log/bind9/*.log",
             "/var/named/data/*.log", "/var/named/data/quer*", "/var/named/data/named.run", "/var/cache/bind/*.log",
             "/var/log/query*.log", "/var/log/bind.log", "/var/log/named.log")  # fmt: skip
DNSMASQ_LOGS = ("/var/log/dnsmasq.log", "/var/log/dnsmasq/*.log", "/var/log/pihole/pihole.log", "/var/log/pihole.log")
OTHER_LOGS = ("/var/log/unbound.log", "/var/log/unbound/*.log", "/var/lib/unbound/*.log", "/etc/unbound/*.log",
              "/var/log/pdns-recursor*.log", "/var/log/pdns_recursor*.log", "/var/log/powerdns/*.log",
              "/var/log/coredns*.log", "/var/log/coredns/*.log", "/opt/AdGuardHome/data/querylog.json",
              "/var/lib/AdGuardHome/data/querylog.json", "/var/log/zeek/current/dns.log",
              "/opt/zeek/logs/current/dns.log", "/usr/local/zeek/logs/current/dns.log",
              "/var/log/suricata/eve*.json", "/etc/dns/logs/*.log")  # fmt: skip
SYSLOGS = ("/var/log/syslog", "/var/log/daemon.log", "/var/log/messages")
UNBOUND_CONF = ("/etc/unbound/unbound.conf", "/usr/local/etc/unbound/unbound.conf",
                "/opt/unbound/etc/unbound/unbound.conf", "/var/unbound/unbound.conf")  # fmt: skip
RECURSOR_CONF = ("/etc/powerdns/recursor.yml", "/etc/powerdns/recursor.conf", "/etc/pdns-recursor/recursor.yml",
                 "/etc/pdns-recursor/recursor.conf")  # fmt: skip
COREFILES = ("/etc/coredns/Corefile", "/etc/Corefile", "/opt/coredns/Corefile")
CONTAINERS = "/var/log/containers/coredns-*.log"  # kubelet's links to what the pods of this node print
UNITS = ("/usr/lib/systemd/system/", "/lib/systemd/system/", "/etc/systemd/system/")
LEASES = {
    "/var/lib/misc/dnsmasq.leases": "dnsmasq leases, Debian's place",
    "/var/lib/dnsmasq/dnsmasq.leases": "dnsmasq leases, Red Hat's place",
    "/tmp/dhcp.leases": "dnsmasq leases, OpenWrt's place",
    "/etc/pihole/dhcp.leases": "leases of Pi-hole's DHCP server",
    "/var/lib/kea/kea-leases4.csv": "Kea memfile leases (IPv4)",
    "/var/lib/kea/kea-leases6.csv": "Kea memfile leases (IPv6)",
    "/var/lib/dhcp/dhcpd.leases": "ISC dhcpd leases, Debian's place",
    "/var/lib/dhcpd/dhcpd.leases": "ISC dhcpd leases, Red Hat's place",
}
