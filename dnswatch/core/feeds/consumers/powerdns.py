"""PowerDNS Recursor 4.8: all zones in one server; a Lua hook discards those of other groups for each question.

The packet cache knows no policy: what one client was told, the next one is told as well (research rpz.md §3). So each
client has a number of its own there, and nobody is answered from what somebody else asked. NOTIFY is acknowledged and
does nothing (§2.3): a change is live within the refresh, not at once. Transfers are signed, never encrypted. Never:
recursor.conf; what is there stays the operator's. Read next: ``../subscription.py``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from dnswatch.core.feeds.subscription import SHARED, File, Origin, Subscription
from dnswatch.core.feeds.triggers import CANARY
from dnswatch.core.feeds.zones import EXEMPT
from dnswatch.core.host.advice import POWERDNS_HOOK

CONFIG = "/etc/powerdns/recursor.d/dnswatch.conf"
ZONES, GROUPS = "/etc/powerdns/dnswatch-zones.lua", "/etc/powerdns/dnswatch-groups.lua"
HOME = "/var/lib/pdns-recursor"
"""Where copies of the zones are kept. Debian's unit may write there, but its package does not make the directory."""
REFRESH_S = 60
"""How often the Recursor asks for changes: the time until one is live, for NOTIFY does nothing."""

_CONFIG = """\
# install: {path}
#
# PowerDNS Recursor 4.8 for consumer {consumer}, written by `dnswatch consumer-config powerdns`: each group of clients
# is answered with the blocklist of that group. Write it again when groups, their networks or keys change, and only
# then. Your own settings stay in recursor.conf and other files of this directory (forward-zones, dnssec), but no file
# that is read later may set lua-config-file or lua-dns-script. What Debian's recursor.lua does, {zones}
# does, too.
#
#   once:  install -d -o pdns -g pdns -m 0755 {home}
#   then:  systemctl restart pdns-recursor
lua-config-file={zones}
lua-dns-script={groups}
"""
_LOGGING = """\

# Everything that dnswatch reads; it goes to the journal.
quiet=no
structured-logging=yes

# Blocked answers have neither record nor SOA. In the packet cache the hook, which logs them, would not be asked.
packetcache-servfail-ttl=0
# What was allowed before a change is answered from there for so long; each client has its own part of it.
packetcache-ttl={refresh}

# Who may ask. The most specific network decides.
allow-from={allowed}
"""
_ZONES = """\
-- install: {path}
--
-- The zones of dnswatch, and what Debian's recursor.lua does.{private}
dofile("/usr/share/pdns-recursor/lua-config/rootkeys.lua")

-- The order of policy zones: quarantine, then feeds of third parties (add them there), `exempt`, which frees a client
-- from everything after it, and the zones of the groups; {groups} chooses among those.
--   refresh               seconds between questions for changes: NOTIFY does nothing in the Recursor
--   seedFile, dumpFile    it goes on from there after a restart, also while dnswatch is down
"""
_HEAD = """\
-- install: {path}
--
-- Which zone a client is served with, and a log line for each hit. The first network that matches decides.
local groups = {{
"""
_HOOKS = """\
}}
local zones = {{ {zones} }}
local canaries = newDN("{canary}")

local masks = {{}}
for i, one in ipairs(groups) do
  local mask = newNMG()
  mask:addMask(one[1])
  masks[i] = {{mask, one[2]}}
end

local function group(address)
  for _, one in ipairs(masks) do
    if one[1]:match(address) then return one[2] end
  end
end

function prerpz(dq)
  if dq.qname:isPartOf(canaries) then return false end      -- lets dnswatch see every zone
  local own = group(dq.remoteaddr)
  for _, zone in ipairs(zones) do
    if zone ~= own then dq:discardPolicy(zone) end
  end
  return false
end

-- Each client has a number of its own in the packet cache, which knows no policy: an IPv4 address is one; those of IPv6
-- are mixed with a number that nobody can guess.
math.randomseed(os.time() + math.floor(os.clock() * 1e6))
local salt = math.random(0, 2^31 - 2)

function gettag(remote)
  local tag = 0
  local raw = remote:getRaw()
  if #raw == 4 then
    for i = 1, 4 do tag = tag * 256 + raw:byte(i) end
    return tag
  end
  tag = salt
  for i = 1, #raw do tag = (tag * 69069 + raw:byte(i) + 1) % 4294967296 end
  return tag
end

"""
_EXEMPT = """
-- Who is exempt is answered like everybody else: that is no hit.
local log = policyEventFilter
function policyEventFilter(event)
  if event.appliedPolicy.policyName == "{exempt}" then return false end
  return log(event)
end
"""


class PowerDNS:
    """Writes a file for recursor.d, and two of Lua beside recursor.conf."""

    name, checker = "powerdns", ""
    has_keys = tells_clients = True
    has_tls = has_views = reads_files = False

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give the settings, the zones (with the key, if there is one) and the hooks."""
        return [
            File(CONFIG, "".join(_config(subscription)), "#"),
            File(ZONES, "".join(_zones(subscription)), "--", private=subscription.key is not None),
            File(GROUPS, "".join(_groups(subscription)), "--"),
        ]


def _served(subscription: Subscription) -> list[str]:
    return [audience.name for audience in subscription.audiences]


def _config(subscription: Subscription) -> Iterator[str]:
    yield _CONFIG.format(path=CONFIG, consumer=subscription.consumer, zones=ZONES, groups=GROUPS, home=HOME)
    if subscription.is_remote:
        yield f"# Leave this out where another file has it.\nlocal-address=127.0.0.1, ::1, {subscription.address}\n"
    if subscription.port != 53:
        yield f"local-port={subscription.port}\n"
    served = _served(subscription)
    allowed = ", ".join(f"{'' if audience in served else '!'}{network}" for network, audience in subscription.clients)
    yield _LOGGING.format(refresh=REFRESH_S, allowed=allowed)


def _zones(subscription: Subscription) -> Iterator[str]:
    key = subscription.key
    private = f" Nobody else may read the key:\n--   chown root:pdns {ZONES} && chmod 0640 {ZONES}" if key else ""
    yield _ZONES.format(path=ZONES, private=private, groups=GROUPS)
    options = [f"refresh={REFRESH_S}"]
    if key:
        encoded = base64.b64encode(key.secret).decode()
        options += [f'tsigname="{key.name}"', f'tsigalgo="{key.algorithm}"', f'tsigsecret="{encoded}"']
    origins = ", ".join(f'"{_address(origin)}"' for origin in subscription.origins)
    for zone in (*SHARED, *_served(subscription)):
        name = subscription.zone(zone)
        copy = f"{HOME}/{name}.zone"
        own = ", ".join([f'policyName="{name}"', *options, f'seedFile="{copy}"', f'dumpFile="{copy}"'])
        yield f'rpzPrimary({{{origins}}}, "{name}", {{{own}}})\n'


def _groups(subscription: Subscription) -> Iterator[str]:
    yield _HEAD.format(path=GROUPS)
    served = _served(subscription)
    for network, audience in subscription.clients:
        if audience in served:
            yield f'  {{"{network}", "{subscription.zone(audience)}"}},\n'
    zones = ", ".join(f'"{subscription.zone(audience)}"' for audience in served)
    yield _HOOKS.format(zones=zones, canary=CANARY)
    yield POWERDNS_HOOK
    yield _EXEMPT.format(exempt=subscription.zone(EXEMPT))


def _address(origin: Origin) -> str:
    return f"[{origin.address}]:{origin.port}" if ":" in origin.address else f"{origin.address}:{origin.port}"
