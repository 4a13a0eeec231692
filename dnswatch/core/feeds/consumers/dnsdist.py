"""dnsdist 1.7: reads our zone files into rules of its own, which tell clients and names apart before any cache.

It knows no RPZ, so Lua makes each version of the zones one rule for each action, and puts it in the place of the last
one: at no time is a client judged by half a version. What is longest decides, as in PowerDNS: an exact name, then the
nearest wildcard. dnsdist sees the question only, so an alias of a blocked name passes. Never: servers, listeners or
caches; they stay the operator's. Read next: ``../lua.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dnswatch.core.feeds.lua import READER
from dnswatch.core.feeds.subscription import SHARED, File, Subscription
from dnswatch.core.feeds.triggers import CANARY
from dnswatch.core.feeds.zones import EXEMPT, QUARANTINE

CONFIG = "/etc/dnsdist/dnswatch.lua"

_HEAD = """\
-- install: {path}
--
-- dnsdist 1.7 with the zones of dnswatch, written by `dnswatch consumer-config dnsdist`: each group of clients is
-- answered with the blocklist of that group. Write it again when groups or their networks change, and only then. What
-- expectations, exemptions and quarantine change is in the files of {directory},
-- which it looks at every second; the user _dnsdist may read them. Your own settings stay in dnsdist.conf (setLocal,
-- newServer, a packet cache, rules), which hold for whoever passes here; but a function maintenance(), or setACL, must
-- stand there above the line that loads this file. It logs no query: dnswatch reads dnstap (docs/sources.md).
--
--   once:  dnswatch feed build
--          echo 'dofile("{path}")' >> /etc/dnsdist/dnsdist.conf
--   then:  dnsdist --check-config && systemctl restart dnsdist
local directory = '{directory}'
local quarantine, exempt = '{quarantine}', '{exempt}'
local order = {{{order}}}
local groups = {{      -- its zone, and its networks without those of others inside them
"""
_RULES = """
-- Zones in force, and those that could not be read.
local zones, failed = {}, {}

local function read(zone)
  local made = {names = {}, canaries = {}, clients = newNMG(), answers = {}}
  for trigger, kind, data in rules_of(zone) do
    local network = network_of(trigger)
    local blocks = data ~= 'rpz-passthru.'
    if trigger:sub(-#canaries) == canaries then
      made.canaries[trigger .. ' ' .. kind] = data
    else
      if network then made.clients:addMask(network) else made.names[trigger] = blocks end
      if blocks then made.answers[data] = true end
    end
  end
  return made
end

-- Says whether the wildcards above a name block it: the nearest decides.
local function above(names, name)
  for at in name:gmatch('()%.') do
    local blocks = names['*' .. name:sub(at)]
    if blocks ~= nil then return blocks end
  end
  return false
end

-- Gives a rule for the names that a zone blocks. An exact name is stronger than any wildcard, and of wildcards the
-- deepest one decides. The name of a wildcard is not below itself.
local function blocked(names)
  local exact = {[true] = newDNSNameSet(), [false] = newDNSNameSet()}
  local depths, deepest = {}, 0
  for trigger, blocks in pairs(names) do
    local name = trigger:match('^%*%.(.+)$')
    if name then
      local _, depth = name:gsub('%.', '')
      deepest = math.max(deepest, depth)
      depths[depth] = depths[depth] or {}
      depths[depth][blocks] = depths[depth][blocks] or newSuffixMatchNode()
      depths[depth][blocks]:add(newDNSName(name))
      if names[name] == nil then exact[above(names, name)]:add(newDNSName(name)) end
    else
      exact[blocks]:add(newDNSName(trigger))
    end
  end
  local rule = QNameSetRule(newDNSNameSet())      -- nothing
  for depth = 0, deepest do
    local at = depths[depth] or {}
    if at[true] then rule = OrRule({SuffixMatchNodeRule(at[true], true), rule}) end
    if at[false] then rule = AndRule({NotRule(SuffixMatchNodeRule(at[false], true)), rule}) end
  end
  return OrRule({QNameSetRule(exact[true]), AndRule({NotRule(QNameSetRule(exact[false])), rule})})
end

-- Gives the one rule that says who gets no answer for what: quarantine, unless exempt the zone of the group.
local function judgement()
  local groups_blocked = {}
  for _, one in ipairs(groups) do
    if zones[one[1]] then
      local members = newNMG()
      for _, mask in ipairs(one[2]) do members:addMask(mask) end
      groups_blocked[#groups_blocked + 1] = AndRule({NetmaskGroupRule(members), blocked(zones[one[1]].names)})
    end
  end
  local rule = OrRule(groups_blocked)
  if zones[exempt] then rule = AndRule({NotRule(NetmaskGroupRule(zones[exempt].clients)), rule}) end
  if zones[quarantine] then rule = OrRule({NetmaskGroupRule(zones[quarantine].clients), rule}) end
  return rule
end

-- Gives what a blocked client is told, as actions with what they are for: feeds.action is the same in every zone.
local function answers()
  local addresses, seen = {}, {}
  for _, zone in pairs(zones) do
    for data in pairs(zone.answers) do
      if data == '.' then return {{AllRule(), RCodeAction(DNSRCode.NXDOMAIN, {ra = true})}} end
      if data ~= '*.' and not seen[data] then table.insert(addresses, data) end
      seen[data] = true
    end
  end
  local found = {{AllRule(), RCodeAction(DNSRCode.NOERROR, {ra = true})}}
  if #addresses > 0 then
    table.insert(found, 1, {OrRule({QTypeRule(DNSQType.A), QTypeRule(DNSQType.AAAA)}),
                            SpoofAction(addresses, {ra = true, ttl = 60})})
  end
  return found
end

-- Canaries let dnswatch see every zone, wherever it asks from.
local function canary(dq)
  local kind = dq.qtype == DNSQType.A and ' A' or dq.qtype == DNSQType.AAAA and ' AAAA' or ''
  for _, zone in pairs(zones) do
    local data = zone.canaries[dq.qname:toString():lower():gsub('%.$', '') .. kind]
    if data then return DNSAction.Spoof, data end
  end
  return DNSAction.Nxdomain, ''
end

-- Puts the rules of these versions before all others, the last one first, then takes the old ones away.
local in_force, version = {}, 0
local function replace()
  local wanted = {{{canaries .. '.'}, LuaAction(canary)}}
  local whom = judgement()
  for _, one in ipairs(answers()) do table.insert(wanted, {AndRule({whom, one[1]}), one[2]}) end
  local old = in_force
  in_force, version = {}, version + 1
  for i = #wanted, 1, -1 do
    local name = 'dnswatch-' .. version .. '-' .. i
    addAction(wanted[i][1], wanted[i][2], {name = name})
    mvRuleToTop()
    table.insert(in_force, name)
  end
  for _, name in ipairs(old) do rmRule(name) end
end

local function refresh()
  local changed = version == 0
  for _, zone in ipairs(order) do
    local serial = serial_of(zone) or 'none'
    if serial ~= (zones[zone] or {}).serial and serial ~= failed[zone] then
      local fine, made = pcall(read, zone)
      if fine then
        made.serial, zones[zone], failed[zone], changed = serial, made, nil, true
        infolog('dnswatch: ' .. zone .. ' has serial ' .. serial)
      else
        failed[zone] = serial
        errlog('dnswatch: ' .. zone .. ' stays as it was: ' .. tostring(made))
      end
    end
  end
  if changed then replace() end
end

local theirs = maintenance
function maintenance()      -- dnsdist calls it every second
  if theirs then theirs() end
  refresh()
end
refresh()
"""


class Dnsdist:
    """Writes one file of Lua for dnsdist.conf to load."""

    name, checker = "dnsdist", "dnsdist --check-config --config"
    has_tls = has_keys = has_views = False
    reads_files = tells_clients = True

    def files(self, subscription: Subscription) -> Sequence[File]:
        """Give the file."""
        return [File(CONFIG, "".join(_config(subscription)), "--")]


def _config(subscription: Subscription) -> Iterator[str]:
    served = [audience.name for audience in subscription.audiences]
    order = ", ".join(f"'{subscription.zone(audience)}'" for audience in (*SHARED, *served))
    yield _HEAD.format(path=CONFIG, directory=subscription.directory, quarantine=subscription.zone(QUARANTINE),
                       exempt=subscription.zone(EXEMPT), order=order)  # fmt: skip
    for audience in served:
        nets = subscription.access_list(audience)
        masks = ", ".join(f"'{'' if member else '!'}{network}'" for member, network in nets)
        yield f"  {{'{subscription.zone(audience)}', {{{masks}}}}},\n"
    yield f"}}\nlocal canaries = '{CANARY}'\n\n"
    yield "-- Who may ask. The most specific network decides.\n"
    allowed = ", ".join(f"'{'' if audience in served else '!'}{network}'" for network, audience in subscription.clients)
    yield f"setACL({{{allowed}}})\n\n"
    yield READER
    yield _RULES
