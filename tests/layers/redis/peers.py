"""Layers in this process and in others, for the same servers."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from fairway.layers.redis import RedisChannelLayer
from tests.layers.redis.servers import RedisServer

#: For :class:`fairway.testing.peer.Peer`.
PEER: Final = f"{__name__}:make_layer"
#: The environment variable that has the options of its layer.
OPTIONS: Final = "FAIRWAY_TEST_REDIS"

#: What the conformance suite wants.
CONTRACT: Final[Mapping[str, Any]] = {"capacity": 5, "expiry": 60, "group_expiry": 600}


def make_layer() -> RedisChannelLayer:
    """The layer of another process."""
    return RedisChannelLayer(**json.loads(os.environ[OPTIONS]))


#: Shifts what one key holds into the past, as if it had been written some milliseconds earlier.
_AGE: Final = """
local key, ms = KEYS[1], tonumber(ARGV[1])
local kind = redis.call('TYPE', key).ok
local left = redis.call('PTTL', key)
local function aged(entry) -- of a queue: its expiry comes first
  return struct.pack('>d', struct.unpack('>d', entry) - ms) .. string.sub(entry, 9)
end
if kind == 'list' then
  for i, entry in ipairs(redis.call('LRANGE', key, 0, -1)) do
    redis.call('LSET', key, i - 1, aged(entry))
  end
elseif kind == 'hash' then
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do redis.call('HSET', key, found[i], aged(found[i + 1])) end
elseif kind == 'zset' then
  local found = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    redis.call('ZREM', key, found[i])
    local member = found[i]
    if string.sub(key, -6) == ':later' then
      member = string.sub(member, 1, 24) .. aged(string.sub(member, 25))
    end
    redis.call('ZADD', key, found[i + 1] - ms, member)
  end
end
if left > ms then
  redis.call('PEXPIRE', key, left - ms)
elseif left >= 0 then
  redis.call('DEL', key)
end
"""


def elapse(servers: list[RedisServer], prefix: str, seconds: float) -> None:
    """Let time pass for everything that a layer has stored."""
    for server in servers:
        for key in server.ask("KEYS", f"{prefix}:*"):
            server.ask("EVAL", _AGE, 1, key, int(seconds * 1000))
