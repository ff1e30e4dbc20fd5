"""What Redis does in one step: Lua scripts, each over keys of one hash slot.

A queue is these keys, with its name as their hash tag:

``…``            list: what waits, first in first out
``…:later``      sorted set by time: what waits for its time
``…:leases``     sorted set of tickets by the end of their leases
``…:leased``     hash by ticket: what is leased
``…:waiting``    sorted set of the processes that wait, by the time since when
``…:from:P``     number of the last command with which process P changed it
``…:taken:P``    number of the last command with which P took from it, and what it got

An entry is its expiry (milliseconds of Redis's clock, a double), which attempt it is for (two
bytes), and the payload. A process that is woken is told by a channel of its own, and it takes the
entry itself: an entry is nowhere but in the queue until a script hands it over.

Each script begins with a write that Redis allows when its memory is full, unless it adds something:
so whoever takes can take then, whoever adds is refused, and no script stops half-way. The same
write is what a replica refuses.
"""

import dataclasses
import hashlib
from typing import Final


@dataclasses.dataclass(frozen=True)
class Script:
    """A script and what it takes.

    Attributes:
        source: Its text.
        keys: How many keys it takes.
    """

    source: str
    keys: int
    sha: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        sha = hashlib.sha1(self.source.encode()).hexdigest()  # noqa: S324  Redis names them so
        object.__setattr__(self, "sha", sha)


#: The keys of a queue, in the order in which its scripts take them.
QUEUE_KEYS: Final = ("", ":later", ":leases", ":leased", ":waiting")

#: Seconds that the number of a process's last command is kept: longer than one is sent again.
_REMEMBER: Final = 120

# What scripts begin with, put together from parts, as a function that is not called takes 0.15 µs.
# Constant arguments are texts: Redis would have to print numbers each time, which takes longer.
_BEGIN = """
local ready, later, leases, leased, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function keep(key, ms)
  -- Half as long again, so that not each entry has to prolong it.
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, math.floor(ms * 1.5)) end
end
"""

_SETTLE = """
local function again(entry, expires)
  local before, attempt = struct.unpack('>dH', entry)
  return struct.pack('>dH', math.max(before, expires), math.min(attempt + 1, 65535))
    .. string.sub(entry, 11)
end

local function settle(expiry)
  if redis.call('EXISTS', later, leases) == 0 then return false end
  local due = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', '0', '1000')
  for _, member in ipairs(due) do
    redis.call('RPUSH', ready, string.sub(member, 25))
    redis.call('ZREM', later, member)
  end
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', '0', '1000')
  for _, ticket in ipairs(ended) do
    local entry = redis.call('HGET', leased, ticket)
    redis.call('ZREM', leases, ticket)
    if entry then
      redis.call('LPUSH', ready, again(entry, now + expiry))
      redis.call('HDEL', leased, ticket)
    end
  end
  if #due > 0 or #ended > 0 then keep(ready, expiry + 1000) end
  return true
end
"""

_NEXT_DUE = """
local function next_due()
  local found = -1
  for _, key in ipairs({later, leases}) do
    local first = redis.call('ZRANGE', key, '0', '0', 'WITHSCORES')
    if first[1] then
      local left = math.max(tonumber(first[2]) - now, 0)
      if found < 0 or left < found then found = left end
    end
  end
  return found
end
"""

_WAKE = """
local function wake(command, channel)
  while true do
    local process = redis.call('ZPOPMIN', waiting)[1]
    if not process then return end
    if redis.call(command, channel .. process, '') > 0 then return end
  end
end
"""

#: Add an entry. Keys of the queue, and the number's.
#: Arguments: number, expiry (ms), capacity, delay (ms), process, publish command, wake channel,
#: payload. Returns whether there was room, and how many entries had expired.
PUSH: Final = Script(
    _BEGIN
    + _SETTLE
    + _WAKE
    + f"""
local from = KEYS[6]
local number, expiry, capacity, delay = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4] + 0
local last = redis.call('GET', from)
if last and tonumber(last) >= tonumber(number) then return {{1, 0}} end
local expired, delayed = 0, 0
if settle(expiry) then delayed = redis.call('ZCARD', later) end
if redis.call('LLEN', ready) + delayed >= capacity then
  local head = redis.call('LINDEX', ready, '0')
  while head and struct.unpack('>d', head) <= now do
    redis.call('LPOP', ready)
    expired = expired + 1
    head = redis.call('LINDEX', ready, '0')
  end
  if redis.call('LLEN', ready) + delayed >= capacity then return {{0, expired}} end
end
local due = now + delay
local entry = struct.pack('>dH', due + expiry, 1) .. ARGV[8]
if delay > 0 then
  redis.call('ZADD', later, due, struct.pack('>c16d', ARGV[5], tonumber(number)) .. entry)
  keep(later, delay + expiry + 1000)
else
  redis.call('RPUSH', ready, entry)
  keep(ready, expiry + 1000)
end
redis.call('SET', from, number, 'EX', '{_REMEMBER}')
wake(ARGV[6], ARGV[7])
return {{1, expired}}
""",
    keys=6,
)

#: Take an entry, or get in line. Keys of the queue, and what was taken.
#: Arguments: number, process, lease (ms; 0 to take it for good), ticket, expiry (ms), seconds in
#: line. Returns the payload and its attempt, or nothing and the milliseconds until the next entry
#: is due (-1 for none); then how many entries had expired.
TAKE: Final = Script(
    _BEGIN
    + _SETTLE
    + _NEXT_DUE
    + f"""
local taken = KEYS[6]
local number, lease = ARGV[1], ARGV[3] + 0
redis.call('ZREM', waiting, ARGV[2])
local last = redis.call('GETRANGE', taken, '0', '10')
if #last > 0 then
  local seen, attempt, got = struct.unpack('>dHB', last)
  if seen == tonumber(number) then
    if got == 1 then return {{redis.call('GETRANGE', taken, '11', '-1'), attempt, 0}} end
  elseif seen > tonumber(number) then
    return {{false, -1, 0}}
  end
end
local more = settle(ARGV[5] + 0)
local expired = 0
local entry = redis.call('LPOP', ready)
while entry and struct.unpack('>d', entry) <= now do
  expired = expired + 1
  entry = redis.call('LPOP', ready)
end
if not entry then
  redis.call('ZADD', waiting, now, ARGV[2])
  redis.call('EXPIRE', waiting, ARGV[6])
  redis.call('SET', taken, struct.pack('>dHB', tonumber(number), 0, 0), 'EX', '{_REMEMBER}')
  return {{false, more and next_due() or -1, expired}}
end
local _, attempt = struct.unpack('>dH', entry)
local payload = string.sub(entry, 11)
if lease > 0 then
  redis.call('HSET', leased, ARGV[4], entry)
  redis.call('ZADD', leases, now + lease, ARGV[4])
  keep(leased, lease + ARGV[5] + 1000)
  keep(leases, lease + ARGV[5] + 1000)
end
redis.call('SET', taken, struct.pack('>dHB', tonumber(number), attempt, 1) .. payload,
  'EX', '{_REMEMBER}')
return {{payload, attempt, expired}}
""",
    keys=6,
)

#: Put back at the front what was taken and reached nobody. Keys of the queue, and the number's.
#: Arguments: number, expiry (ms), attempt, publish command, wake channel, payload.
UNTAKE: Final = Script(
    _BEGIN
    + _WAKE
    + f"""
local from = KEYS[6]
local last = redis.call('GET', from)
if last and tonumber(last) >= tonumber(ARGV[1]) then return 1 end
local entry = struct.pack('>dH', now + ARGV[2], ARGV[3] + 0) .. ARGV[6]
redis.call('LPUSH', ready, entry)
keep(ready, ARGV[2] + 1000)
redis.call('SET', from, ARGV[1], 'EX', '{_REMEMBER}')
wake(ARGV[4], ARGV[5])
return 1
""",
    keys=6,
)

#: End a lease. Keys of the queue. Arguments: ticket, what to do ("done", "extend", "return" or
#: "unlease", which counts no attempt), milliseconds, expiry (ms), publish command, wake channel.
#: Returns whether the lease had not run out.
RELEASE: Final = Script(
    _BEGIN
    + _SETTLE
    + _WAKE
    + """
local ticket, verb, ms, expiry = ARGV[1], ARGV[2], ARGV[3] + 0, ARGV[4] + 0
redis.call('ZREMRANGEBYRANK', waiting, '1', '0')
local ends = redis.call('ZSCORE', leases, ticket)
if not ends then return 0 end
if tonumber(ends) <= now then
  settle(expiry)
  wake(ARGV[5], ARGV[6])
  return 0
end
if verb == 'extend' then
  redis.call('ZADD', leases, now + ms, ticket)
  keep(leases, ms + expiry + 1000)
  keep(leased, ms + expiry + 1000)
  return 1
end
local function later_member()
  return struct.pack('>c16d', ticket, tonumber(string.sub(ticket, 18)) or 0)
end
local entry = redis.call('HGET', leased, ticket)
redis.call('ZREM', leases, ticket)
redis.call('HDEL', leased, ticket)
if verb == 'done' or not entry then return entry and 1 or 0 end
if verb == 'return' then entry = again(entry, now + ms + expiry) end
if ms > 0 then
  redis.call('ZADD', later, now + ms, later_member() .. entry)
  keep(later, ms + expiry + 1000)
else
  redis.call('LPUSH', ready, entry)
  keep(ready, expiry + 1000)
end
wake(ARGV[5], ARGV[6])
return 1
""",
    keys=5,
)

#: Leave the line; if there is something to take, now or later, wake the next one.
#: Keys of the queue. Arguments: process, publish command, wake channel.
PASS_ON: Final = Script(
    _BEGIN
    + _WAKE
    + """
redis.call('ZREM', waiting, ARGV[1])
if redis.call('LLEN', ready) > 0 or redis.call('EXISTS', later, leases) > 0 then
  wake(ARGV[2], ARGV[3])
end
return 1
""",
    keys=5,
)

#: Publish, and say which queues are members. Key of the members.
#: Arguments: publish command, channel, what is before the payload, payload.
#: Returns the number of subscribers, and the queues.
PUBLISH: Final = Script(
    """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
local found = redis.call('ZRANGE', KEYS[1], '0', '-1')
table.insert(found, 1, redis.call(ARGV[1], ARGV[2], ARGV[3] .. ARGV[4]))
return found
""",
    keys=1,
)

#: Make a queue a member. Key of the members. Arguments: queue, expiry (ms).
ADOPT: Final = Script(
    """
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < ARGV[2] + 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
""",
    keys=1,
)

#: All of them, to be loaded when a connection begins.
SCRIPTS: Final = (PUSH, TAKE, UNTAKE, RELEASE, PASS_ON, PUBLISH, ADOPT)
