"""Health: what dnswatch must know of its own eyes and ears, and say like any alert. Read next: ``kinds.py``."""
