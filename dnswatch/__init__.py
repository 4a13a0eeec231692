"""dnswatch: DNS query logs in; alerts on unexpected webhook and bot-API lookups, and RPZ blocklists, out."""

__version__ = "0.1.0"
