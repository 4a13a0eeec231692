"""Expectations that history suggests (`propose`), for people to review (`to_yaml`, `to_plain`).

Never: applies anything. Read next: ``habits.py``.
"""

from dnswatch.core.propose.habits import NEVER, LeftOut, Proposal, Proposed, propose
from dnswatch.core.propose.render import entry, to_plain, to_yaml

__all__ = ["NEVER", "LeftOut", "Proposal", "Proposed", "entry", "propose", "to_plain", "to_yaml"]
