"""What a log cannot show of a client: companions known from another address, names asked for out of sight, crowds.

Signals that rest on something missing, or on two lookups being one program's, ask here first. Never: judges. Read
next: ``signals/companion.py``.
"""

from __future__ import annotations

from dnswatch.core.detect.history import Seen
from dnswatch.core.detect.signal import Past
from dnswatch.core.model import Client, IndicatorRole, Service
from dnswatch.core.policy import DAY_S

MEMORY_S = 14 * DAY_S
"""So long a companion vouches for its client: a week at least (a running app asks for the interface alone, hours
later), two to cover a holiday."""
APP_S = 30.0
"""An app that starts asks for its companions up to 16 s after the interface (measured); twice that is waited."""
DOH_S = DAY_S
"""So long after a DNS-over-HTTPS name a client's missing lookups mean nothing."""
DOH_LOOKUPS = 10
"""So many lookups of a service's interface in sight, and none of its companions: DNS over HTTPS takes a whole program
out of sight, or now and then a name of it, but not the same names every time."""
UNATTENDED_ROLES = frozenset({"server", "ci", "iot"})
MIXED_ROLES = {"forwarder": "many clients", "scanner": "whatever it reads"}

PEOPLES_ROLES = frozenset({"", "workstation"})
"""Not ``guest``: those addresses are another one's tomorrow."""


def known(past: Past, client: Client, role: IndicatorRole, service: str) -> Seen | None:
    """Say when the host asked for such a name, by its address or, where a lease tells, by its MAC."""
    by_address = past.note(client.address, role, service)
    by_mac = past.note(f"mac:{client.mac}", role, service) if client.mac else None
    if by_address is None or by_mac is None:
        return by_address or by_mac
    return max(by_address, by_mac, key=lambda seen: seen.last_at)


def app(past: Past, client: Client, service: Service, at: float, memory_s: float = MEMORY_S) -> Seen | None:
    """Say that the client runs the service's own app: a companion that exonerates was seen within the memory."""
    if service.companion_effect != "exonerates":
        return None
    seen = known(past, client, "companion", service.id)
    return seen if seen is not None and at - seen.last_at <= memory_s else None


def mixed(past: Past, client: Client, at: float) -> str:
    """Say why two lookups of this client need not be the same program's, or ""."""
    if client.role in MIXED_ROLES:
        return f"is a {client.role} and asks for {MIXED_ROLES[client.role]}"
    behaviour = past.behaviour(client.address, at)
    if behaviour.crowd:
        return f"behaves like many clients ({behaviour.samples} sampled lookups a day)"
    return "resolves whatever it reads, as mail gateways and sandboxes do" if behaviour.scanner else ""


def unseen(past: Past, client: Client, service: Service, at: float, doh_s: float = DOH_S) -> str:
    """Say why companions of a service that are missing in the log may have been asked for nonetheless, or ""."""
    doh, met = known(past, client, "doh", "doh"), past.client(f"{client.address} {service.id}")
    if doh is not None and at - doh.last_at <= doh_s and (met is None or met.count < DOH_LOOKUPS):
        return f"uses DNS over HTTPS, seen {ago(at - doh.last_at)}"
    return mixed(past, client, at)


def plain(past: Past, client: Client, service: Service, at: float) -> bool:
    """Say whether the lookup tells of a script: nobody's app asks for this name, or it would have shown itself.

    Where nobody sits there is no app.
    """
    if not service.shared:
        return True
    if service.companion_effect == "exonerates":
        return not (app(past, client, service, at) or unseen(past, client, service, at))
    return client.role in UNATTENDED_ROLES or bool(machine(past, client, at))


def machine(past: Past, client: Client, at: float) -> str:
    """Say what shows that nobody sits at a client that no group gives a role, or ""."""
    behaviour = past.behaviour(client.address, at) if not client.role else None
    return str(behaviour.habit) if behaviour is not None and behaviour.like == "server" else ""


def person(past: Past, client: Client, at: float) -> str:
    """Say what shows that somebody browses at this client, or "" (always where a group says that nobody does)."""
    behaviour = past.behaviour(client.address, at) if client.role in PEOPLES_ROLES else None
    return str(behaviour.habit) if behaviour is not None and behaviour.like == "human" else ""


def ago(seconds: float) -> str:
    """Write how long ago something was."""
    if seconds < 0:
        return "just now"
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
