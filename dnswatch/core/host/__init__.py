"""What a host's own files say of its DNS servers: read named.conf and dnsmasq.conf, draft a configuration.

Never: touches the host. Files come through a `Tree` (``tree.py``), which ``io/host.py`` implements and tests fake.
Read next: ``findings.py``.
"""
