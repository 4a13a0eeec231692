"""The values that flow through dnswatch, in the field's words (RFC 9499, RPZ, STIX); nothing else.

Never: behaviour beyond trivial derivations, clocks, input or output. Times are Unix seconds in UTC as floats
(``at``, ``*_at``), durations are seconds (``*_s``). Read next: ``core/detect/engine.py``.

What a log line becomes (`Query`, `Verdict`, `Lease`, `Notice`, `Weird`), and what an attempt does (`Client`,
`Sighting`, `Finding`, `Reason`, `Evidence`, `Trace`), is a NamedTuple: building one with eight fields costs 0.3 µs, a
frozen dataclass 1.4 µs, and these are built for every line or attempt. Everything else is a frozen, slotted dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Name = str
"""A canonical DNS name: see ``core/names.py``. Lower case, no final dot, the root is ``"."``."""

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
"""Least to most severe (the Sigma scale, with ``info`` for informational)."""

Outcome = Literal["observed", "would-block", "blocked", "leaked"]
Match = Literal["exact", "subdomains", "domain"]
"""``exact``: that name; ``subdomains``: proper subdomains only; ``domain``: the name and every subdomain."""

IndicatorRole = Literal["api", "companion", "ambiguous", "recon", "doh"]
Transport = Literal["udp", "tcp", ""]
ClientRole = Literal["server", "ci", "iot", "guest", "workstation", "forwarder", "scanner", ""]
Mode = Literal["off", "shadow", "enforce"]


# ── What log lines become ─────────────────────────────────────────────────────────────────────────────────────


class Query(NamedTuple):
    """One DNS query as the server logged it."""

    at: float
    client: str  # canonical address text, without zone id
    port: int  # 0 where the log does not tell
    qname: Name
    qtype: str  # "A", "HTTPS", "TYPE65280"; "" where the log does not tell
    transport: Transport
    server: str  # address that was asked; "" where the log does not tell
    serial: int  # dnsmasq extra/proto serial, else 0
    line: bytes  # the log line without its newline
    offset: int  # of the line's first byte in its (uncompressed) file


class Verdict(NamedTuple):
    """What the resolver says of a query: an answer, an RPZ rewrite, a denial, a failure."""

    at: float
    client: str  # "" where the log does not tell (dnsmasq plain)
    port: int
    qname: Name
    qtype: str
    serial: int
    kind: Literal["answer", "rewrite", "denied", "failed"]
    action: str  # rewrite: nxdomain nodata passthru drop tcp-only local-data cname; else the rcode or ""
    disabled: bool  # rewrite that the server logged but did not apply (RPZ `policy disabled`)
    via: Name  # owner of the RPZ record that matched; "" where there is none
    data: tuple[str, ...]  # addresses or other answer data
    line: bytes
    offset: int


class Lease(NamedTuple):
    """An address belongs to a host from ``at`` on (DHCP ack, lease file, hosts file)."""

    at: float
    address: str
    name: str  # "" unknown; client-supplied, so hostile
    mac: str  # aa:bb:cc:dd:ee:ff, "" unknown
    until: float | None
    offset: int = 0  # of the log line; 0 where a lease file said it


class Notice(NamedTuple):
    """Something the server says of itself: ``overflow`` (count = lines lost), ``start``, ``stop``, ``rebind`` …"""

    at: float
    kind: str
    text: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody wants here
    line: bytes
    offset: int


class Weird(NamedTuple):
    """A line that does not parse, or parses but must not be trusted. Counted and kept, never an exception."""

    at: float  # 0.0 where the stamp itself is unreadable
    why: str  # a short fixed phrase: it becomes a counter label
    client: str  # "" where unknown or untrusted
    line: bytes
    offset: int


Event = Query | Verdict | Lease | Notice | Weird


@dataclass(frozen=True, slots=True)
class Position:
    """How far a source has been read: everything before ``offset`` of this file is behind us."""

    source: str  # id of the source (its configured path or address)
    path: str  # the file read at this moment
    offset: int  # of the first byte not yet consumed (start of an incomplete line)
    device: int = 0
    inode: int = 0
    head_hash: str = ""  # SHA-256 of the file's first ``head_size`` (≤ 256) bytes: content decides identity
    head_size: int = 0
    tail_hash: str = ""  # SHA-256 of the ``tail_size`` (≤ 64) bytes before ``offset``
    tail_size: int = 0
    changed_ns: int = 0  # last write to the file that was seen: what was written later is new, if this file is gone
    cursor: str = ""  # the journal's own mark of the last entry consumed, where it is the journal
    left: tuple[Position, ...] = ()  # where the files before it were left; they may get late lines (log_formats §0.6)


# ── Judgements ────────────────────────────────────────────────────────────────────────────────────────────────


class Reason(NamedTuple):
    """Why something was judged as it was. Alerts, ``explain`` and pages print this very value."""

    term: str  # stable word: "base", "first-seen-network", "expectation", "group" …
    text: str  # one sentence with its numbers
    points: int = 0

    def __str__(self) -> str:
        return f"{self.text} ({self.points:+d})" if self.points else self.text


# ── The catalogue ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Indicator:
    """One name of a service and how it matches."""

    name: Name
    match: Match
    role: IndicatorRole
    service: str  # service id; "recon" or "doh" for the two lists
    domain: Name  # registrable domain of the name (ICANN section of the public suffix list)


@dataclass(frozen=True, slots=True)
class Service:
    """A catalogue entry: a webhook or bot-API service and what is known of it."""

    id: str
    name: str
    category: str
    profile: Literal["core", "extended"]
    indicators: tuple[Indicator, ...]  # every role; api ones first
    companion_effect: Literal["exonerates", "weak", "none"]
    shared: bool  # flagging the api name also hits normal human use
    multi_tenant: bool  # the label left of a ``subdomains`` indicator names a tenant
    block_safety: Literal["safe", "collateral"]
    base_severity: Severity
    severity_reason: str
    attack: tuple[str, ...]  # ATT&CK technique ids
    references: tuple[str, ...]
    confidence: Literal["high", "medium", "low"]
    region: str = ""
    note: str = ""
    origin: str = ""  # file that defines it


# ── Clients and expectations ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of networks whose members play one role."""

    name: str
    networks: tuple[str, ...]  # canonical CIDR text
    role: ClientRole = ""
    owner: str = ""  # who answers for its members


class Client(NamedTuple):
    """An address and what was known of it at the time of the event."""

    address: str
    group: str = ""  # "" = in no group (audience ``any``)
    role: ClientRole = ""
    name: str = ""
    mac: str = ""
    owner: str = ""  # of its group
    leased_at: float | None = None  # since when the host has had the address; None: no lease tells
    leased_until: float | None = None  # end of the lease as far as it is known; None: not told


WhoKind = Literal["group", "network", "address", "name", "mac"]


@dataclass(frozen=True, slots=True)
class Who:
    """One member of an expectation's ``who`` list."""

    kind: WhoKind
    value: str  # canonical: group name, CIDR, address, lower-case host name, aa:bb:… MAC

    def __str__(self) -> str:
        return self.value if self.kind in ("network", "address") else f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """Who may use which services, why, on whose word and until when."""

    who: tuple[Who, ...]
    services: frozenset[str]  # service ids (``category:X`` already resolved)
    because: str
    owner: str = ""
    until: float | None = None  # valid before this instant
    origin: str = ""  # "file:line" that says so


# ── Detection ─────────────────────────────────────────────────────────────────────────────────────────────────


class Sighting(NamedTuple):
    """An attempt that met an api indicator: all lookups of one qname by one client within 5 s are one."""

    at: float
    client: Client
    indicator: Indicator
    service: Service
    qname: Name
    qtype: str
    expected: bool
    because: tuple[Reason, ...]
    pair: str  # client address and service id: the key of what is remembered of both; one string for every table


class Finding(NamedTuple):
    """One signal's statement on (client, service)."""

    signal: str
    points: int
    because: tuple[Reason, ...]
    fact: bool = True  # counts as the "further fact" that lets an alert rise above low
    floor: Severity | None = None  # severity that this fact alone guarantees
    ceiling: Severity | None = None  # severity that nothing lifts an alert above while this holds


class Evidence(NamedTuple):
    """A log line that an alert rests on, and where it stands."""

    path: str
    offset: int
    line: str  # rendered escaped: printable ASCII and \\xNN


class Trace(NamedTuple):
    """A watched, companion or recon name that a client asked for around an alert; repeats are one."""

    at: float
    last_at: float  # of the last repeat, to the minute
    name: Name
    role: IndicatorRole
    service: str  # "recon" for that list
    path: str  # of the line that began it
    offset: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One revision of an episode of (client, service). Identity: (id, rev)."""

    id: str  # 26 base32 characters, fixed at the opening attempt
    rev: int  # 1, 2, 3 …
    at: float  # when this revision was decided, in log time
    state: Literal["open", "acknowledged", "snoozed", "closed"]
    severity: Severity
    score: int
    client: Client
    service: str
    category: str
    rule_id: str
    mitre: tuple[str, ...]
    qname: Name  # of the opening attempt
    qtype: str
    domain: Name
    qnames: tuple[Name, ...]  # distinct names of the episode, first 16
    first_at: float
    last_at: float
    count: int  # attempts, each once, ever
    outcome: Outcome
    answers: tuple[str, ...]  # distinct addresses seen in answers, first 8
    because: tuple[Reason, ...]  # score terms, the base first
    evidence: tuple[Evidence, ...]  # first 5 and last 5 lines
    cause: str  # why this revision exists: opened, severity, outcome, count, rhythm, closed, acknowledged …
    timeline: tuple[Trace, ...] = ()  # in order of time: the first 6 and the newest 14
    left_out: int = 0  # traces that did not fit between them


@dataclass(frozen=True, slots=True)
class Decision:
    """What the engine adds to a feed beyond static policy: a tenant name to block, a client to cut off."""

    trigger: str  # the tenant's name; the client's address
    action: str  # "block-tenant", "quarantine"
    scope: str  # audience, "" = all
    reason: str
    expires_at: float | None
    alert: str = ""


Effect = Alert | Decision


# ── Feeds ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One RPZ trigger and its action. ``trigger`` is relative to the zone: ``hooks.slack.com``, ``*.ngrok.io``,
    ``32.7.10.0.10.rpz-client-ip``."""

    trigger: str
    action: Literal["nxdomain", "nodata", "passthru", "address"]
    addresses: tuple[str, ...] = ()  # for action ``address``


@dataclass(frozen=True, slots=True)
class Zone:
    """A published zone: whom it serves and the rules that policy gives it."""

    name: Name  # e.g. servers.rpz.dnswatch.internal
    audience: str  # group name, "any", "exempt", "quarantine", "everyone"
    rules: tuple[Rule, ...]  # sorted, one per trigger


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One immutable version of a zone. Same serial ⇒ same bytes."""

    zone: Zone
    serial: int
    at: float
    data: frozenset[str] = frozenset()  # triggers that leases and decisions put there, no configuration file


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference of two snapshots of one zone."""

    zone: Name
    from_serial: int
    to_serial: int
    removed: tuple[Rule, ...]
    added: tuple[Rule, ...]
