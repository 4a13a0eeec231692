"""dnstap: what a resolver tells of its queries and answers in binary, exactly, without a log line to misread.

``frames.py`` (Frame Streams) → ``protobuf.py`` → ``dns.py`` → ``message.py``, and ``digest.py`` as ``core/logs`` has it
for lines. Never: raises for any bytes. Read next: ``digest.py``.
"""
