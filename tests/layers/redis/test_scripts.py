"""The scripts: each is one step, also when it is sent twice or the memory is full."""

import struct
import time
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest

from fairway.layers.redis.keys import Keys
from fairway.layers.redis.scripts import (
    HEAD,
    NUMBER,
    PUSH,
    PUSH_TERMS,
    RELEASE,
    SCRIPTS,
    TAKE,
    TAKE_TERMS,
    UNTAKE,
    Script,
    attempt_of,
)
from tests.layers.redis.servers import RedisServer

CALL = "PUBLISH wake:{jobs}:"


class Client:
    """One process as the scripts see it, with its commands numbered by the test."""

    def __init__(self, server: RedisServer, prefix: str, process: str) -> None:
        self.server = server
        self.process = process * 16
        self.keys = Keys(prefix, self.process)

    def run(self, script: Script, *words: str | int | bytes) -> Any:
        return self.server.ask("EVAL", script.source, script.keys, *words)

    def push(self, number: int, payload: str, *, capacity: int = 100, delay: int = 0) -> Any:
        """Whether there was room, and how many had expired."""
        keys = (*self.keys.queue("jobs"), self.keys.changed("jobs"))
        terms = PUSH_TERMS.pack(60_000, capacity, delay) + NUMBER.pack(number)
        reply = self.run(PUSH, *keys, 91_500, CALL, terms, payload)
        return [reply % 2, reply // 2]

    def take(self, number: int, lease: int = 0, *, in_line: bool = False) -> Any:
        """Payload, attempt and how many had expired; or None, when to ask again, and the last."""
        expired, *found = self._take(number, lease, 1, in_line=in_line)
        if isinstance(found[0], int):
            return [None, found[0], expired]
        return [*_open(found[0]), expired]

    def take_many(self, number: int, limit: int) -> list[str]:
        """The payloads."""
        expired, *found = self._take(number, 0, limit)
        assert not expired
        return [_open(entry)[0] for entry in found]

    def _take(self, number: int, lease: int, limit: int, *, in_line: bool = False) -> Any:
        keys = (*self.keys.queue("jobs"), self.keys.taken("jobs"))
        terms = TAKE_TERMS.pack(lease, 60_000, limit, in_line) + NUMBER.pack(number)
        reply = self.run(TAKE, *keys, terms)
        return reply if isinstance(reply, list) else [0, reply]

    def put_back(self, number: int, *payloads: str) -> Any:
        keys = (*self.keys.queue("jobs"), self.keys.changed("jobs"))
        return self.run(UNTAKE, *keys, NUMBER.pack(number), 60_000, CALL, *map(_entry, payloads))

    def release(self, ticket: int, verb: str, ms: int = 0) -> Any:
        name = f"{self.process}:{ticket}"
        return self.run(RELEASE, *self.keys.queue("jobs"), name, verb, ms, 60_000, CALL)

    def waiting(self) -> Any:
        return self.server.ask("ZRANGE", self.keys.queue("jobs")[4], 0, -1)


def _open(entry: str) -> tuple[str, int]:
    data = entry.encode(errors="surrogateescape")
    return data[HEAD:].decode(), attempt_of(data)


def _entry(payload: str) -> bytes:
    return struct.pack(">dH", time.time() * 1000 + 60_000, 1) + payload.encode()


@pytest.fixture
def one(shared: RedisServer, prefix: str) -> Client:
    return Client(shared, prefix, "1")


@pytest.fixture
def two(shared: RedisServer, prefix: str) -> Client:
    return Client(shared, prefix, "2")


NOTHING = [None, -1, 0]


@pytest.mark.pain(4)
def test_pushed_twice(one: Client, two: Client) -> None:
    """A command that is sent again adds nothing, even if a reader was faster."""
    assert one.push(1, "a") == [1, 0]
    assert two.take(1) == ["a", 1, 0]
    assert one.push(1, "a") == [1, 0]
    assert two.take(2) == NOTHING
    assert one.push(2, "b") == [1, 0]
    assert two.push(1, "c") == [1, 0]
    assert [one.take(3)[0], one.take(4)[0]] == ["b", "c"]


@pytest.mark.pain(4)
@pytest.mark.row("3.1 receive")
def test_taken_twice(one: Client) -> None:
    """A command that is sent again gets what it got, and what is behind that stays."""
    one.push(1, "a")
    one.push(2, "b")
    assert one.take(3) == one.take(3) == ["a", 1, 0]
    assert one.take(4) == ["b", 1, 0]


def test_many_taken_twice(one: Client) -> None:
    """Several that were taken in one step are given again in one step, whatever is in them."""
    payloads = ["a", "", "\0" * 300, "ключ", "e"]
    for number, payload in enumerate(payloads, 1):
        one.push(number, payload)
    assert one.take_many(10, 4) == one.take_many(10, 4) == payloads[:4]
    assert one.take_many(11, 4) == payloads[4:]


def test_a_step_has_an_end(one: Client) -> None:
    """Large entries are handed out in smaller numbers, one at least: they are kept for a while."""
    payloads = [letter * 40_000 for letter in "abc"] + ["d" * 100_000, "e"]
    for number, payload in enumerate(payloads, 1):
        one.push(number, payload)
    assert [one.take_many(number, 5) for number in (10, 11, 12)] == [
        payloads[:2],
        payloads[2:4],
        payloads[4:],
    ]


def test_taken_late(one: Client) -> None:
    """One that is overtaken by a later one takes nothing: nobody is there to have it."""
    assert one.take(3) == NOTHING
    assert one.take(4) == NOTHING
    one.push(5, "a")
    assert one.take(3) == NOTHING
    assert one.take(6) == ["a", 1, 0]


def test_leased_twice(one: Client) -> None:
    """The same holds for leases."""
    one.push(1, "a")
    assert one.take(2, lease=60_000) == one.take(2, lease=60_000) == ["a", 1, 0]
    assert one.take(3)[0] is None
    assert one.release(2, "done") == 1
    assert one.release(2, "done") == 0


def test_put_back_twice(one: Client) -> None:
    """What is put back is at the front, once."""
    one.push(1, "a")
    one.push(2, "b")
    one.take(3)
    assert one.put_back(4, "a") == one.put_back(4, "a") == 1
    assert [one.take(5)[0], one.take(6)[0], one.take(7)[0]] == ["a", "b", None]


def test_several_put_back(one: Client) -> None:
    """Several are put back in one step, in their order."""
    for number, payload in enumerate("abcd", 1):
        one.push(number, payload)
    one.take_many(5, 3)
    assert one.put_back(6, "a", "b", "c") == one.put_back(6, "a", "b", "c") == 1
    assert one.take_many(7, 5) == ["a", "b", "c", "d"]


@pytest.mark.row("3.1 send", "4 capacity")
def test_capacity(one: Client) -> None:
    """It is enforced in the same step, for what waits and what waits for its time."""
    assert one.push(1, "a", capacity=2) == [1, 0]
    assert one.push(2, "b", capacity=2, delay=60_000) == [1, 0]
    assert one.push(3, "c", capacity=2) == [0, 0]
    one.take(4)
    assert one.push(5, "c", capacity=2) == [1, 0]


def test_room_of_the_expired(one: Client, shared: RedisServer) -> None:
    """In a full queue what has expired makes room for a new entry, and only if it is full."""
    ready = one.keys.queue("jobs")[0]
    expired = struct.pack(">dH", time.time() * 1000 - 1, 1)
    shared.ask("RPUSH", ready, expired + b"a", expired + b"b", _entry("c"))
    assert one.push(1, "d", capacity=4) == [1, 0]
    assert one.push(2, "e", capacity=4) == [1, 2]
    assert one.push(3, "f", capacity=3) == [0, 0]
    assert one.take_many(4, 5) == ["c", "d", "e"]


def test_refused(one: Client, shared: RedisServer) -> None:
    """Nothing of it stays in a full queue, whether it was for now or for later."""
    ready, later, *_ = one.keys.queue("jobs")
    one.push(1, "a", capacity=1)
    assert one.push(2, "b", capacity=1) == [0, 0]
    assert one.push(3, "c", capacity=1, delay=60_000) == [0, 0]
    assert one.push(4, "d", capacity=1, delay=-60_000) == [0, 0]
    assert [shared.ask("LLEN", ready), shared.ask("EXISTS", later)] == [1, 0]
    assert one.take(5)[0] == "a"
    assert one.push(6, "e", capacity=1, delay=60_000) == [1, 0]
    assert one.push(7, "f", capacity=1) == [0, 0]
    assert shared.ask("EXISTS", ready) == 0


def test_delayed(one: Client) -> None:
    """A reader is told when the next entry is due."""
    one.push(1, "later", delay=60_000)
    one.push(2, "much later", delay=600_000)
    payload, due, _ = one.take(3)
    assert payload is None
    assert 0 < due <= 60_000


def test_equal_entries(one: Client) -> None:
    """Two delayed entries may have the same payload and the same time."""
    for number in range(10):
        one.push(number + 1, "same", delay=50_000)
    assert one.server.ask("ZCARD", one.keys.queue("jobs")[1]) == 10


def test_in_line(one: Client, two: Client) -> None:
    """Who finds nothing is in line; who takes something, or is called in vain, is not."""
    one.take(1)
    two.take(1)
    assert one.waiting() == [one.process, two.process]
    one.push(2, "a")  # nobody listens to what would call them
    assert one.waiting() == []
    two.take(2)
    assert one.waiting() == []
    two.take(3)
    one.server.ask("RPUSH", one.keys.queue("jobs")[0], _entry("b"))  # without a call
    two.take(4, in_line=True)
    assert one.waiting() == []


def test_in_line_by_a_lost_answer(one: Client, two: Client) -> None:
    """Who found nothing, was not told so, and is given something now, is in line no more."""
    two.take(1)
    one.take(1)
    one.server.ask("RPUSH", one.keys.queue("jobs")[0], _entry("a"))  # the other one is called
    assert one.take(1) == ["a", 1, 0]
    assert one.waiting() == [two.process]


def test_given_back(one: Client) -> None:
    """At the front, or for later; each time its next attempt."""
    one.push(1, "a")
    one.push(2, "b")
    assert one.take(3, lease=60_000) == ["a", 1, 0]
    assert one.release(3, "return") == 1
    assert one.take(4, lease=60_000) == ["a", 2, 0]
    assert one.release(4, "unlease") == 1
    assert one.take(5, lease=60_000) == ["a", 2, 0]
    assert one.release(5, "return", 60_000) == 1
    assert one.take(6) == ["b", 1, 0]
    assert one.take(7)[0] is None
    assert one.release(5, "extend", 1000) == 0


@pytest.mark.pain(6)
def test_nothing_stays(one: Client, shared: RedisServer, prefix: str) -> None:
    """Every key has an end, whoever forgets about it."""
    one.push(1, "a")
    one.push(2, "b", delay=1000)
    one.take(3, lease=1000)
    one.take(4)
    keys = shared.ask("KEYS", f"{prefix}:*")
    assert len(keys) == 6
    assert all(0 < shared.ask("PTTL", key) <= 185_000 for key in keys)


def test_remembered(one: Client, shared: RedisServer) -> None:
    """What a process did last is known for two minutes at least, and is not prolonged each time."""
    changed, taken = one.keys.changed("jobs"), one.keys.taken("jobs")
    one.push(1, "a")
    one.take(2)
    for key, known, expiry in ((changed, 8, 150_000), (taken, 11, 150_000)):
        shared.ask("PEXPIRE", key, expiry)
        assert shared.ask("STRLEN", key) >= known + 8
    one.push(3, "b")
    one.take(4)
    assert all(shared.ask("PTTL", key) <= 150_000 for key in (changed, taken))
    soon = struct.pack(">d", int(shared.ask("TIME")[0]) * 1000 + 119_000)
    shared.ask("SETRANGE", changed, 8, soon)
    shared.ask("SETRANGE", taken, 11, soon)
    one.push(5, "c")
    one.take(6)
    assert all(150_000 < shared.ask("PTTL", key) <= 180_000 for key in (changed, taken))


@pytest.fixture
def full(server: RedisServer, prefix: str) -> Iterator[Client]:
    """A server whose memory is full, with two entries in a queue."""
    client = Client(server, prefix, "1")
    client.push(1, "a")
    client.push(2, "b")
    server.ask("CONFIG", "SET", "maxmemory", "1")
    yield client
    server.ask("CONFIG", "SET", "maxmemory", "0")


def test_memory_full(full: Client) -> None:
    """Nothing can be added; everything can be taken, leased and given back."""
    with pytest.raises(hiredis.ReplyError, match="OOM"):
        full.push(3, "c")
    assert full.push(3, "c", capacity=2) == [0, 0]
    assert full.take(4) == ["a", 1, 0]
    assert full.take(5, lease=60_000) == ["b", 1, 0]
    assert full.take(6)[0] is None
    assert full.waiting() == [full.process]
    assert full.release(5, "return") == 1
    assert full.take(7) == ["b", 2, 0]


def test_entries() -> None:
    """An entry begins with its expiry and its attempt, as the scripts write them."""
    assert struct.calcsize(">dH") == 10


def test_shas(shared: RedisServer) -> None:
    """Redis names the scripts as we do."""
    for script in SCRIPTS:
        assert shared.ask("SCRIPT", "LOAD", script.source) == script.sha
