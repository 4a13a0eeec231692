"""The registry of signals. A new one is one file here and one line below; registering is what gets it tested.

Never: order that matters; signals do not see each other's findings. Read next: ``first_seen.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.signal import Signal
from dnswatch.core.detect.signals.burst import Burst
from dnswatch.core.detect.signals.category import Category
from dnswatch.core.detect.signals.companion import Companion
from dnswatch.core.detect.signals.doh import Doh
from dnswatch.core.detect.signals.first_seen import FirstSeen
from dnswatch.core.detect.signals.hostile_names import HostileNames
from dnswatch.core.detect.signals.off_hours import OffHours
from dnswatch.core.detect.signals.prevalence import Prevalence
from dnswatch.core.detect.signals.query_type import QueryType
from dnswatch.core.detect.signals.regularity import Regularity
from dnswatch.core.detect.signals.role import Role
from dnswatch.core.detect.signals.scanner import Scanner
from dnswatch.core.detect.signals.second_category import SecondCategory
from dnswatch.core.detect.signals.sequence import Sequence
from dnswatch.core.detect.signals.tenant import Tenant
from dnswatch.core.detect.signals.tunnel import Tunnel
from dnswatch.core.detect.signals.volume import Volume

SIGNALS: dict[str, type[Signal]] = {
    "burst": Burst,
    "category": Category,
    "companion": Companion,
    "doh": Doh,
    "first-seen": FirstSeen,
    "hostile-names": HostileNames,
    "off-hours": OffHours,
    "prevalence": Prevalence,
    "query-type": QueryType,
    "regularity": Regularity,
    "role": Role,
    "scanner": Scanner,
    "second-category": SecondCategory,
    "sequence": Sequence,
    "tenant": Tenant,
    "tunnel": Tunnel,
    "volume": Volume,
}
"""Name → signal, sorted by name: the order of the terms in every alert."""
