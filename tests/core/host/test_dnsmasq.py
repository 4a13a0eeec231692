"""dnsmasq.conf as discovery reads it."""

from dnswatch.core.host import dnsmasq
from tests.core.host.tree import Files


def test_options_and_comments() -> None:
    """A # begins a comment at the start of a line or after a blank, not inside a value."""
    text = '# log-queries\nlog-queries=extra # why\nserver=127.0.0.1#5353\n  domain-needed\nlog-facility="/a b"\n'
    assert dnsmasq.options(text) == [
        ("log-queries", "extra"), ("server", "127.0.0.1#5353"), ("domain-needed", ""), ("log-facility", "/a b"),
    ]  # fmt: skip


def test_directories_obey_their_suffix_lists() -> None:
    """conf-dir with *.conf takes only those; Debian's CONFIG_DIR skips what dpkg leaves behind."""
    tree = Files(
        {
            "/etc/dnsmasq.conf": "conf-dir=/etc/x,*.conf\n",
            "/etc/x/a.conf": "log-queries\n",
            "/etc/x/b.txt": "log-facility=/wrong\n",
            "/etc/dnsmasq.d/q": "log-facility=/var/log/q.log\n",
            "/etc/dnsmasq.d/q.dpkg-old": "log-facility=/old\n",
            "/etc/dnsmasq.d/q~": "log-facility=/older\n",
        }
    )
    found = dnsmasq.read(tree, "/etc/dnsmasq.conf", ("/etc/dnsmasq.d",))
    assert found is not None
    assert (found.log_queries, found.log_path) == ("yes", "/var/log/q.log")


def test_servers_in_every_notation() -> None:
    """Plain, with port, for a domain, with a source interface; a blocking entry without address is none."""
    text = "server=10.0.0.1\nserver=127.0.0.1#54\nserver=/lan/::1#55\nserver=9.9.9.9@eth0\nserver=/bad/\nserver=/x/#\n"
    found = dnsmasq.read(Files({"/d": text}), "/d")
    assert found is not None
    assert found.servers == [("10.0.0.1", 53), ("127.0.0.1", 54), ("::1", 55), ("9.9.9.9", 53)]


def test_an_include_loop_ends() -> None:
    """A file that includes itself is read once."""
    found = dnsmasq.read(Files({"/d": "conf-file=/d\nlog-queries=proto\n"}), "/d")
    assert found is not None
    assert (found.files, found.log_queries) == (["/d"], "proto")


def test_nothing_there_is_none() -> None:
    """Without a configuration there is no dnsmasq."""
    assert dnsmasq.read(Files({}), "/etc/dnsmasq.conf") is None
