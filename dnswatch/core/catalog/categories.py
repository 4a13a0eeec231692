"""The categories of watched services: the folders under ``feeds/``. A new one is one line here.

Never: severities or triage text; those stand with the service and in ``feeds/triage/``. Read next: ``schema.py``.
"""

CATEGORIES: dict[str, str] = {
    "automation-hook": "inbound hooks of workflow and automation platforms",
    "bot-api": "bot interfaces of messengers: commands in, results out",
    "chat-webhook": "incoming webhooks of chat services",
    "dead-drop": "public pages from which malware reads its instructions",
    "mail-api": "HTTP interfaces that send mail",
    "messaging-api": "HTTP interfaces that send SMS and calls",
    "oob-interaction": "out-of-band callback servers of scanners and exploits (OAST)",
    "paste-file-drop": "paste and file-drop sites",
    "push-notification": "push services for scripts",
    "request-bin": "public inspectors that show whatever is posted to them",
    "saas-api": "interfaces of hosted applications",
    "serverless": "shared hosting where anybody's code answers",
    "tunnel-agent": "names that only the hosting side of a tunnel looks up",
    "tunnel-visit": "public addresses of somebody's tunnel",
}
"""Category id → what it holds, sorted by id."""
