"""What a host's own files say of its DNS servers: read their configuration, draft ours.

Never: touches the host. Files come through a `Tree` (``tree.py``), which ``io/host.py`` implements and tests fake.
Read next: ``findings.py``.
"""
