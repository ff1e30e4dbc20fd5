"""What Redis does in one step: Lua scripts, each over keys of one hash slot.

A queue is these keys, with its name as their hash tag:

``…``            list: what waits, first in first out
``…:later``      sorted set by time: what waits for its time
``…:leases``     sorted set of tickets by the end of their leases
``…:leased``     hash by ticket: what is leased
``…:waiting``    sorted set of the processes that wait, by the time since when
``…:from:P``     number of the last command with which process P changed it
``…:taken:P``    number of the last command with which P took from it, and the entries that it got

P is sixteen characters, by which scripts find it at the end of a key. The last two know themselves
when they will be forgotten, so that most commands need not prolong them.

An entry is its expiry (milliseconds of Redis's clock, a double), which attempt it is for (two
bytes), and the payload. A process that is woken is told by a channel of its own, and it takes the
entry itself: an entry is nowhere but in the queue until a script hands it over.

The first write of each script is one that Redis allows when its memory is full, unless the script
adds something: so whoever takes can take then, whoever adds is refused, and no script stops
half-way. The same write is what a replica refuses.

What the two scripts that each job needs, PUSH and TAKE, calculate with comes packed into one
argument, their terms, with the number of the command as the last of them: an argument takes a third
of what a call of Redis takes, and to make a number of it as much again. What goes on to Redis as it
is comes as text.
"""

import dataclasses
import hashlib
import struct
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


def attempt_of(entry: bytes) -> int:
    """Which attempt an entry is for."""
    attempt: int
    _, attempt = _HEAD.unpack_from(entry)
    return attempt


#: The number of a command, the last of the terms of a script.
NUMBER: Final = struct.Struct(">d")
#: The others of :data:`PUSH`: expiry (ms), capacity, delay (ms).
PUSH_TERMS: Final = struct.Struct(">ddd")
#: Those of :data:`TAKE`: lease (ms; 0 to take entries for good, otherwise the limit is 1), expiry
#: (ms), limit, and whether the process may be in line.
TAKE_TERMS: Final = struct.Struct(">ddd?")

#: Seconds that a process is in line after it has asked.
IN_LINE: Final = 15

#: The keys of a queue, in the order in which its scripts take them.
QUEUE_KEYS: Final = ("", ":later", ":leases", ":leased", ":waiting")

_HEAD: Final = struct.Struct(">dH")
#: Bytes before the payload of an entry: its expiry and its attempt.
HEAD: Final = _HEAD.size

#: Seconds that the number of a process's last command is kept: longer than one is sent again …
_REMEMBER: Final = 120
#: … and seconds longer at first, so that not each command has to prolong it.
_LONGER: Final = 60

#: Bytes beyond which one reader is given nothing more at once: what it got is kept for a while.
_STEP_SIZE: Final = 65536

# Scripts are put together from parts. A line that is run takes 0.05 µs, a function that is made and
# not called 0.1 µs, a call of Redis 0.2 to 1 µs, an argument or a table that is returned 0.2 µs:
# what is seldom needed stands in a branch. Constant arguments of calls are texts: Redis would have
# to print numbers each time, which takes longer. Texts are joined by "..", which copies them; what
# Lua has for it in functions goes through them byte by byte.
_BEGIN = """
local call = redis.call
local ready, later, leases, leased, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
"""

_NOW = """
local time = call('TIME')
local now = time[1] * 1000 + time[2] / 1000
"""

_KEEP = """
local function keep(key, ms)
  -- Half as long again, so that not each entry has to prolong it.
  if call('PTTL', key) < ms then call('PEXPIRE', key, math.floor(ms * 1.5)) end
end
"""

# What this process did last, before anything is done: until when it is known.
_SEEN = """
local last, known = call('GET', from), 0
if last then
  local seen
  seen, known = struct.unpack('>dd', last)
  if seen >= number then return 1 end
end
"""

# And when it is done; "packed" is the number as it came. Writing over a part of a value leaves its
# end as it is.
_DONE = f"""
if known - now > {_REMEMBER * 1000} then
  call('SETRANGE', from, '0', packed)
else
  local known_until = now + {(_REMEMBER + _LONGER) * 1000}
  call('SET', from, packed .. struct.pack('>d', known_until), 'EX', '{_REMEMBER + _LONGER}')
end
"""

_AGAIN = """
local function again(entry, expires)
  local before, attempt = struct.unpack('>dH', entry)
  return struct.pack('>dH', math.max(before, expires), math.min(attempt + 1, 65535))
    .. string.sub(entry, 11)
end
"""

# Where something waits for its time, or is leased.
_SETTLE = f"""
{_AGAIN} {_KEEP}
local due = call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', '0', '1000')
for _, member in ipairs(due) do
  call('RPUSH', ready, string.sub(member, 25))
  call('ZREM', later, member)
end
local ended = call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', '0', '1000')
for _, ticket in ipairs(ended) do
  local entry = call('HGET', leased, ticket)
  call('ZREM', leases, ticket)
  if entry then
    call('LPUSH', ready, again(entry, now + expiry))
    call('HDEL', leased, ticket)
  end
end
if #due > 0 or #ended > 0 then keep(ready, expiry + 1000) end
"""

_NEXT_DUE = """
for _, key in ipairs({later, leases}) do
  local first = call('ZRANGE', key, '0', '0', 'WITHSCORES')
  if first[1] then
    local left = math.max(tonumber(first[2]) - now, 0)
    if next_due < 0 or left < next_due then next_due = left end
  end
end
"""

# Calls whoever is first in line and listens, with what Keys.call() says.
_WAKE = """
local process = call('ZPOPMIN', waiting)[1]
while process do
  local publish, channel = string.match({}, '(%u+) (.*)')
  if call(publish, channel .. process, '') > 0 then break end
  process = call('ZPOPMIN', waiting)[1]
end
"""

#: Add an entry. Keys of the queue, and the number's.
#: Arguments: milliseconds that the queue is kept for it, what calls, :data:`PUSH_TERMS` and number,
#: payload.
#: Returns how many entries had expired, twice, and one more if there was room.
PUSH: Final = Script(
    f"""{_BEGIN}
local from, packed = KEYS[6], string.sub(ARGV[3], -8)
local expiry, capacity, delay, number = struct.unpack('>dddd', ARGV[3])
{_SEEN} {_NOW}
local others, delayed = call('EXISTS', later, leases, waiting), 0
if others > 0 and call('EXISTS', later, leases) > 0 then
  {_SETTLE}
  delayed = call('ZCARD', later)
end
local length, expired = call('LLEN', ready), 0
if length + delayed >= capacity then
  while expired < length and struct.unpack('>d', call('LINDEX', ready, '0')) <= now do
    call('LPOP', ready)
    expired = expired + 1
  end
  length = length - expired
  -- Nothing of it was added: replicas are not told of what is refused.
  if length + delayed >= capacity then return expired * 2 end
end
local due = now + delay
local entry = struct.pack('>dH', due + expiry, 1) .. ARGV[4]
if delay > 0 then
  {_KEEP}
  call('ZADD', later, due, struct.pack('>c16d', string.sub(from, -16), number) .. entry)
  keep(later, delay + expiry + 1000)
else
  call('RPUSH', ready, entry)
  if length == 0 or call('PTTL', ready) < expiry + 1000 then call('PEXPIRE', ready, ARGV[1]) end
end
{_DONE}
if others > 0 then
  {_WAKE.format("ARGV[2]")}
end
return expired * 2 + 1
""",
    keys=6,
)

#: Take entries, or get in line. Keys of the queue, and what was taken.
#: Argument: :data:`TAKE_TERMS` and number. The ticket of a lease is the process, a colon and the
#: number.
#: Returns the entry if it is one and none had expired. Otherwise how many had; then those that were
#: taken, or the milliseconds until the next one is due (-1 for none).
TAKE: Final = Script(
    f"""{_BEGIN}
local taken = KEYS[6]
local lease, expiry, limit, in_line, number = struct.unpack('>dddBd', ARGV[1])
local last, known = call('GETRANGE', taken, '0', '15'), 0
if #last > 0 then
  local seen
  seen, known = struct.unpack('>dd', last)
  if seen == number then
    local kept, at, entries = call('GETRANGE', taken, '16', '-1'), 1, {{0}}
    while at <= #kept do entries[#entries + 1], at = struct.unpack('>Ic0', kept, at) end
    if #entries > 1 then return entries end
    in_line = 1 -- since it found nothing
  elseif seen > number then
    return {{0, -1}}
  end
end
{_NOW}
local more = call('EXISTS', later, leases) > 0
if more or in_line > 0 then call('ZREM', waiting, string.sub(taken, -16)) end
if more then
  {_SETTLE}
end
local expired, entry = 0, call('LPOP', ready)
while entry and struct.unpack('>d', entry) <= now do
  expired = expired + 1
  entry = call('LPOP', ready)
end
local short = known - now <= {_REMEMBER * 1000}
if short then known = now + {(_REMEMBER + _LONGER) * 1000} end
local kept, entries
if entry and limit > 1 then
  local parts, size = {{struct.pack('>dd', number, known)}}, 0
  entries = {{0}}
  while entry do
    if struct.unpack('>d', entry) > now then
      parts[#parts + 1] = struct.pack('>I', #entry) .. entry
      entries[#entries + 1] = entry
      size = size + #entry
      if #parts > limit or size > {_STEP_SIZE} then break end
    else
      expired = expired + 1
    end
    entry = call('LPOP', ready)
  end
  kept = table.concat(parts)
elseif entry then
  kept = struct.pack('>ddI', number, known, #entry) .. entry
else
  kept = struct.pack('>dd', number, known)
end
if short then
  call('SET', taken, kept, 'EX', '{_REMEMBER + _LONGER}')
else
  call('SET', taken, kept, 'KEEPTTL')
end
if entries then
  entries[1] = expired
  return entries
end
if not entry then
  call('ZADD', waiting, now, string.sub(taken, -16))
  call('EXPIRE', waiting, '{IN_LINE}')
  local next_due = -1
  if more then
    {_NEXT_DUE}
  end
  return {{expired, next_due}}
end
if lease > 0 then
  {_KEEP}
  local ticket = string.sub(taken, -16) .. string.format(':%.0f', number)
  call('HSET', leased, ticket, entry)
  call('ZADD', leases, now + lease, ticket)
  keep(leased, lease + expiry + 1000)
  keep(leases, lease + expiry + 1000)
end
return expired == 0 and entry or {{expired, entry}}
""",
    keys=6,
)

#: Put back at the front what was taken and reached nobody, as it was. Keys of the queue, and the
#: number's. Arguments: number, expiry (ms) of the queue itself (entries keep their own), what
#: calls, entries in their order.
UNTAKE: Final = Script(
    f"""{_BEGIN}
local from, packed = KEYS[6], ARGV[1]
local number = struct.unpack('>d', packed)
{_SEEN} {_NOW} {_KEEP}
for place = #ARGV, 4, -1 do call('LPUSH', ready, ARGV[place]) end
keep(ready, ARGV[2] + 1000)
{_DONE}
for _ = 4, #ARGV do
  {_WAKE.format("ARGV[3]")}
end
return 1
""",
    keys=6,
)

#: End a lease. Keys of the queue. Arguments: ticket, what to do ("done", "extend", "return" or
#: "unlease", which counts no attempt), milliseconds, expiry (ms), what calls.
#: Returns whether the lease had not run out.
RELEASE: Final = Script(
    f"""{_BEGIN}
local ticket, verb, ms, expiry = ARGV[1], ARGV[2], ARGV[3] + 0, ARGV[4] + 0
call('ZREMRANGEBYRANK', waiting, '1', '0')
local ends = call('ZSCORE', leases, ticket)
if not ends then return 0 end
{_NOW}
if tonumber(ends) <= now then
  {_SETTLE} {_WAKE.format("ARGV[5]")}
  return 0
end
{_KEEP}
if verb == 'extend' then
  call('ZADD', leases, now + ms, ticket)
  keep(leases, ms + expiry + 1000)
  keep(leased, ms + expiry + 1000)
  return 1
end
local entry = call('HGET', leased, ticket)
call('ZREM', leases, ticket)
call('HDEL', leased, ticket)
if verb == 'done' or not entry then return entry and 1 or 0 end
if verb == 'return' then
  {_AGAIN}
  entry = again(entry, now + ms + expiry)
end
if ms > 0 then
  local member = struct.pack('>c16d', ticket, tonumber(string.sub(ticket, 18)) or 0)
  call('ZADD', later, now + ms, member .. entry)
  keep(later, ms + expiry + 1000)
else
  call('LPUSH', ready, entry)
  keep(ready, expiry + 1000)
end
{_WAKE.format("ARGV[5]")}
return 1
""",
    keys=5,
)

#: Leave the line; if there is something to take, now or later, wake the next one.
#: Keys of the queue. Arguments: process, what calls.
PASS_ON: Final = Script(
    f"""{_BEGIN}
call('ZREM', waiting, ARGV[1])
if call('LLEN', ready) > 0 or call('EXISTS', later, leases) > 0 then
  {_WAKE.format("ARGV[2]")}
end
return 1
""",
    keys=5,
)

#: Publish, and say which queues are members. Key of the members.
#: Arguments: publish command, channel, what is before the payload, payload; and, to publish only if
#: this server counts a subscriber, the word that asks it for them.
#: Returns the number of subscribers, and the queues.
PUBLISH: Final = Script(
    f"""
local call = redis.call
call('ZREMRANGEBYRANK', KEYS[1], '1', '0')
if ARGV[5] and call('PUBSUB', ARGV[5], ARGV[2])[2] == 0 then return {{0}} end
if call('EXISTS', KEYS[1]) == 0 then return {{call(ARGV[1], ARGV[2], ARGV[3] .. ARGV[4])}} end
{_NOW}
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local found = call('ZRANGE', KEYS[1], '0', '-1')
table.insert(found, 1, call(ARGV[1], ARGV[2], ARGV[3] .. ARGV[4]))
return found
""",
    keys=1,
)

#: Make a queue a member. Key of the members. Arguments: queue, expiry (ms).
ADOPT: Final = Script(
    f"""
local call = redis.call
{_NOW}
call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if call('PTTL', KEYS[1]) < ARGV[2] + 0 then call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
""",
    keys=1,
)

#: All of them, to be loaded when a connection begins.
SCRIPTS: Final = (PUSH, TAKE, UNTAKE, RELEASE, PASS_ON, PUBLISH, ADOPT)
