"""Knot Resolver 5.6: reads our zone files; a view for each network, and the zones of clients read by Lua of our own.

Its RPZ knows names only: no client triggers, no order of zones, and it fetches nothing (research rpz.md §2.1). So each
view asks `quarantine` and `exempt` for the client first, then the zone of its group. Each file's serial is looked at
every second: the module's own watching needs lua-cqueues, which Debian only recommends, and kresd does not start while
a file is missing. The blocked answer is ours, for that of `policy.DENY` may be kept for three hours. Never: kresd.conf;
what is there stays the operator's. Read next: ``../lua.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnswatch.core.feeds.lua import READER
from dnswatch.core.feeds.subscription import SHARED, File, Subscription
from dnswatch.core.feeds.triggers import CANARY
from dnswatch.core.feeds.zones import EXEMPT, QUARANTINE

CONFIG = "/etc/knot-resolver/dnswatch.lua"

_HEAD = """\
-- install: {path}
--
-- Knot Resolver 5.6 with the zones of dnswatch, written by `dnswatch consumer-config knot`: each group of clients is
-- answered with the blocklist of that group. Write it again when groups or their networks change, and only then. What
-- expectations, exemptions and quarantine change is in the files of {directory},
-- which it looks at every second; the user knot-resolver may read them. Your own settings stay in kresd.conf:
-- net.listen, forwarding, feeds of third parties by policy.add, which hold for whoever passes here. A view of your own
-- must stand there above the line that loads this file. Its log names no client: dnswatch reads dnstap
-- (docs/sources.md).
--
--   once:  dnswatch feed build
--          echo "dofile('{path}')" >> /etc/knot-resolver/kresd.conf
--   then:  systemctl restart 'kresd@*'
local directory = '{directory}'
local quarantine, exempt = '{quarantine}', '{exempt}'
local groups = {{      -- the first network that matches decides
"""
_POLICY = """
local ffi = require('ffi')
modules.load('view < policy')      -- before its own rules for .invalid, where canaries are

-- NXDOMAIN, to be kept no longer than a zone's records are: that of policy.DENY is kept for three hours.
local soa = '\\0\\0' .. string.rep('\\0\\0\\0\\60', 5)
local function deny(_, req)
  local answer = req:ensure_answer()
  if answer == nil then return nil end
  ffi.C.kr_pkt_make_auth_header(answer)
  answer:rcode(kres.rcode.NXDOMAIN)
  answer:begin(kres.section.AUTHORITY)
  answer:put(answer:qname(), 60, answer:qclass(), kres.type.SOA, soa)
  req:set_extended_error(kres.extended_error.BLOCKED, 'dnswatch')
  return kres.DONE
end

-- Zones in force, and those that could not be read.
local zones, failed = {}, {}

local function read(zone)
  local names = policy.rpz(deny, file_of(zone), false)
  local clients, seen = {}, {}
  for trigger in rules_of(zone) do
    local network = network_of(trigger)
    if network and not seen[network] then
      seen[network] = true
      local owner = kres.str2dname(trigger .. '.')
      local action = names(nil, {name = function() return owner end})      -- the module reads it as a name
      table.insert(clients, {tonumber(network:match('%d+$')), view.rule_src(action, network)})
    end
  end
  table.sort(clients, function(one, other) return one[1] > other[1] end)
  return {names = names, clients = clients}
end

local function refresh()
  for _, zone in ipairs(order) do
    local serial = serial_of(zone) or 'none'
    if serial ~= (zones[zone] or {}).serial and serial ~= failed[zone] then
      local fine, made = pcall(read, zone)
      if fine then
        made.serial, zones[zone], failed[zone] = serial, made, nil
        log_notice(ffi.C.LOG_GRP_POLICY, 'dnswatch: %s has serial %s', zone, serial)
      else
        failed[zone] = serial
        log_error(ffi.C.LOG_GRP_POLICY, 'dnswatch: %s stays as it was: %s', zone, made)
      end
    end
  end
end

local function client_action(zone, req)
  for _, one in ipairs((zones[zone] or {clients = {}}).clients) do
    local action = one[2](req)
    if action then return action end
  end
end

-- The order of zones: canaries, which let dnswatch see every zone, then quarantine, exempt and the zone of the group.
local function answering(own)
  return function(req, query)
    local name = query:name()
    if name:sub(-#canaries) == canaries then
      for _, zone in ipairs(order) do
        local action = zones[zone] and zones[zone].names(req, query)
        if action then return action end
      end
    end
    return client_action(quarantine, req) or client_action(exempt, req)
      or zones[own] and zones[own].names(req, query) or policy.PASS      -- else the view of a wider network is asked
  end
end

for _, one in ipairs(groups) do
  view:addr(one[1], one[2] and answering(one[2]) or policy.all(policy.REFUSE))
end
for _, everybody in ipairs({'0.0.0.0/0', '::/0'}) do
  view:addr(everybody, policy.all(policy.REFUSE))
end
refresh()
event.recurrent(1 * sec, refresh)
"""


class Knot:
    """Writes one file of Lua for kresd.conf to load."""

    name, checker = "knot", ""
    has_tls = has_keys = has_views = False
    reads_files = tells_clients = True

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give the file."""
        return [File(CONFIG, "".join(_config(subscription)), "--")]


def _config(subscription: Subscription) -> Iterator[str]:
    yield _HEAD.format(path=CONFIG, directory=subscription.directory, quarantine=subscription.zone(QUARANTINE),
                       exempt=subscription.zone(EXEMPT))  # fmt: skip
    served = [audience.name for audience in subscription.audiences]
    for network, audience in subscription.clients:
        if audience in served:
            yield f"  {{'{network}', '{subscription.zone(audience)}'}},\n"
        else:
            yield f"  {{'{network}'}},      -- group {audience} is not served here\n"
    yield "}\n"
    order = ", ".join(f"'{subscription.zone(audience)}'" for audience in (*SHARED, *served))
    yield f"local order = {{{order}}}\nlocal canaries = kres.str2dname('{CANARY}.')\n\n"
    yield READER
    yield _POLICY
