"""MITRE ATT&CK by id: the techniques that the catalogue names, in ATT&CK's own words, with their tactics.

Never: decides which technique an alert shows (the catalogue does). Read next: ``ecs.py``, ``ocsf.py``.
"""

from __future__ import annotations

from typing import NamedTuple

_COLLECTION = ("TA0009", "Collection")
_C2 = ("TA0011", "Command and Control")
_EXFILTRATION = ("TA0010", "Exfiltration")
_ACCESS = ("TA0001", "Initial Access")
_RECONNAISSANCE = ("TA0043", "Reconnaissance")


class Technique(NamedTuple):
    """A technique or sub-technique of the Enterprise matrix (v17)."""

    id: str
    name: str  # "" for one that this table does not know
    tactic_id: str
    tactic: str

    @property
    def parent(self) -> str:
        """Id of the technique above: ``T1567`` of ``T1567.004``, and of itself."""
        return self.id.partition(".")[0]


TECHNIQUES: dict[str, Technique] = {
    id_: Technique(id_, name, *tactic)
    for id_, name, tactic in (
        ("T1048", "Exfiltration Over Alternative Protocol", _EXFILTRATION),
        ("T1090", "Proxy", _C2),
        ("T1102", "Web Service", _C2),
        ("T1102.001", "Dead Drop Resolver", _C2),
        ("T1102.002", "Bidirectional Communication", _C2),
        ("T1102.003", "One-Way Communication", _C2),
        ("T1185", "Browser Session Hijacking", _COLLECTION),
        ("T1190", "Exploit Public-Facing Application", _ACCESS),
        ("T1567", "Exfiltration Over Web Service", _EXFILTRATION),
        ("T1567.001", "Exfiltration to Code Repository", _EXFILTRATION),
        ("T1567.002", "Exfiltration to Cloud Storage", _EXFILTRATION),
        ("T1567.003", "Exfiltration to Text Storage Sites", _EXFILTRATION),
        ("T1567.004", "Exfiltration Over Webhook", _EXFILTRATION),
        ("T1572", "Protocol Tunneling", _C2),
        ("T1595", "Active Scanning", _RECONNAISSANCE),
        ("T1595.002", "Vulnerability Scanning", _RECONNAISSANCE),
    )
}


def technique(id_: str) -> Technique:
    """Give what is known of a technique; one that is not in the table keeps its id alone."""
    return TECHNIQUES.get(id_) or Technique(id_, "", "", "")
