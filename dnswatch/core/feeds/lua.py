"""Lua that reads the zone files of `formats/rpz.py`: the resolvers that know no client triggers are programmed in it.

Our own files only: one record a line, every owner absolute, the same serial means the same content. Never: decides
anything. Read next: ``consumers/knot.py``, ``consumers/dnsdist.py``.
"""

from __future__ import annotations

READER = """\
local function file_of(zone)
  return directory .. '/' .. zone .. '.zone'
end

-- Gives the serial of a zone's file; nil: there is none.
local function serial_of(zone)
  local file = io.open(file_of(zone))
  if not file then return nil end
  local found
  for line in file:lines() do
    found = line:match(' SOA %S+ %S+ (%d+) ')
    if found then break end
  end
  file:close()
  return found
end

-- Goes through the rules of a zone: trigger, type, data.
local function rules_of(zone)
  local suffix = '.' .. zone .. '.'
  local lines = io.lines(file_of(zone))
  return function()
    for line in lines do
      local owner, kind, data = line:match('^(%S+) %d+ IN (%u+) (%S+)$')
      if owner and owner:sub(-#suffix) == suffix then return owner:sub(1, -#suffix - 1), kind, data end
    end
  end
end

-- Gives the network of a client's trigger, 10.0.10.7/32 for 32.7.10.0.10.rpz-client-ip; nil: it is a name.
local function network_of(trigger)
  local bits, rest = trigger:match('^(%d+)%.(.+)%.rpz%-client%-ip$')
  if not bits then return nil end
  local parts = {}
  for part in rest:gmatch('[^.]+') do table.insert(parts, 1, part) end
  local is_four = #parts == 4 and not rest:find('zz', 1, true)
  local address = table.concat(parts, is_four and '.' or ':'):gsub(':?zz:?', '::')
  return address .. '/' .. bits
end
"""
