"""Payloads at the server: their format, and their encryption."""

import asyncio
import contextlib
import logging
import time
from typing import Any

import pytest

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable
from fairway.layers import codec
from fairway.layers.envelope import for_channel, for_group, for_request
from fairway.layers.redis import RedisChannelLayer
from fairway.layers.redis.connection import connect, pack
from fairway.layers.redis.hosts import Server
from fairway.layers.redis.wire import Wire
from fairway.layers.serializers import BaseMessageSerializer, SerializerDoesNotExist, registry
from tests.layers.redis.conftest import MakeLayer
from tests.layers.redis.servers import RedisServer, eventually, within
from tests.layers.redis.sockets import Socket

MESSAGE: Event = {"type": "test.message", "text": "wörds", "numbers": [1, 2]}
PAYLOAD = codec.encode(MESSAGE)


def wire(format: str = "msgpack", keys: Any = None) -> Wire:  # noqa: A002  the word that is known
    return Wire(registry.get_serializer(format), keys, expiry=60)


ENVELOPES = [
    for_group(PAYLOAD, websocket_send=False),
    for_group(PAYLOAD, websocket_send=True),
    for_channel("specific.abc!def", PAYLOAD),
    for_request(4, 7, "abc", "specific.abc!def", "room"),  # type: ignore[arg-type]  # as on the wire
]


@pytest.mark.parametrize("keys", [None, ["secret"]])
@pytest.mark.parametrize("format", ["msgpack", "json"])
def test_round_trips(format: str, keys: list[str] | None) -> None:  # noqa: A002
    """What goes in comes out, in each format, encrypted or not."""
    ours, theirs = wire(format, keys), wire(format, keys)
    assert theirs.open(ours.seal(PAYLOAD), "jobs") == PAYLOAD
    for envelope in ENVELOPES:
        assert theirs.open_envelope(ours.seal_envelope(envelope), "room") == envelope


def test_json() -> None:
    """With ``serializer_format="json"``, what is at the server is JSON."""
    assert (
        wire("json").seal(PAYLOAD)
        == b'{"type": "test.message", "text": "w\\u00f6rds", "numbers": [1, 2]}'
    )
    assert wire("json").seal_envelope(ENVELOPES[0])[1:].startswith(b'{"type": "test.message"')


async def test_what_json_cannot_carry(make_layer: MakeLayer, shared: RedisServer) -> None:
    """It is refused where it is sent, before anybody gets it."""
    layer = make_layer(shared, serializer_format="json")
    socket = await Socket.joined(layer, "room")
    for sending in (layer.send("jobs", {"type": "x", "data": b"1"}),
                    layer.group_send("room", {"type": "x", "data": b"1"})):  # fmt: skip
        with pytest.raises(MessageNotSerializable, match=r"\$\.data"):
            await sending
    assert socket.received() == []


async def test_json_across_processes(make_layer: MakeLayer, shared: RedisServer) -> None:
    """Groups, channels and named channels work with it."""
    layer, other = (make_layer(shared, serializer_format="json") for _ in range(2))
    socket = await Socket.joined(layer, "room")
    await other.group_send("room", MESSAGE)
    await other.send(socket.channel, MESSAGE)
    await other.send("jobs", MESSAGE)
    assert [await socket.receive() for _ in range(2)] == [MESSAGE] * 2
    assert await within(layer.receive("jobs")) == MESSAGE


def test_registered_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format of one's own, as channels_redis lets one register it."""

    class Reversed(BaseMessageSerializer):
        def as_bytes(self, message: Event) -> bytes:
            return codec.encode(message)[::-1]

        def from_bytes(self, message: bytes) -> Event:
            return codec.decode(message[::-1])

    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    registry.register_serializer("test-reversed", Reversed)
    assert wire("test-reversed").seal(PAYLOAD) == PAYLOAD[::-1]
    assert wire("test-reversed").open(PAYLOAD[::-1], "jobs") == PAYLOAD


def test_unknown_format() -> None:
    """A format that nobody registered is refused at the start."""
    with pytest.raises(SerializerDoesNotExist, match="serializer_format='yaml'"):
        RedisChannelLayer(serializer_format="yaml")


class ReversingLayer(RedisChannelLayer):
    """Encodes messages in its own way, as subclasses of the layer in channels_redis do."""

    def serialize(self, message: Event) -> bytes:
        return super().serialize(message)[::-1]

    def deserialize(self, message: bytes) -> Event:
        return super().deserialize(message[::-1])


async def test_own_way_of_encoding(prefix: str, shared: RedisServer) -> None:
    """What a subclass makes of messages is what is at the server, and comes back by its hands."""
    host = ("127.0.0.1", shared.port)
    async with contextlib.AsyncExitStack() as stack:
        layer, other, plain = (
            kind(hosts=[host], prefix=prefix)
            for kind in (ReversingLayer, ReversingLayer, RedisChannelLayer)
        )
        for each in (layer, other, plain):
            stack.push_async_callback(each.close)
        socket = await Socket.joined(layer, "room")
        await other.group_send("room", MESSAGE)
        await other.send(socket.channel, MESSAGE)
        assert [await socket.receive() for _ in range(2)] == [MESSAGE] * 2
        await other.send("jobs", MESSAGE)
        assert await within(layer.receive("jobs")) == MESSAGE
        # Whoever knows nothing of it reads something else.
        await plain.send("jobs", MESSAGE)
        receiving = asyncio.ensure_future(layer.receive("jobs"))
        await eventually(lambda: layer._wire.unreadable == 1)
        await other.send("jobs", MESSAGE)
        assert await within(receiving) == MESSAGE


async def test_serialize(make_layer: MakeLayer, shared: RedisServer) -> None:
    """A layer tells what it makes of a message; it is the format's form."""
    for format in ("json", "msgpack"):  # noqa: A001  the word that is known
        layer = make_layer(shared, serializer_format=format)
        serializer = registry.get_serializer(format)
        assert layer.serialize(MESSAGE) == serializer.serialize(MESSAGE)
        assert layer.deserialize(layer.serialize(MESSAGE)) == MESSAGE


@pytest.mark.row("3.3 encryption")
async def test_nothing_can_be_read(make_layer: MakeLayer, server: RedisServer) -> None:
    """At the server, no message can be read, in whichever way it crosses."""
    layer, other = (make_layer(server, symmetric_encryption_keys=["secret"]) for _ in range(2))
    socket = await Socket.joined(layer, "room")
    monitor = await connect(Server(host="127.0.0.1", port=server.port))
    lines: list[bytes] = []
    monitor.on_reply = lines.append
    monitor.write(pack(("MONITOR",)))
    await eventually(lambda: lines[:1] == [b"OK"])  # and what else goes on there meanwhile
    clear = {"type": "test.message", "text": "in the clear"}
    await other.send("jobs", clear)
    assert await within(layer.receive("jobs")) == clear
    await other.group_send("room", clear)
    await other.send(socket.channel, clear)
    assert [await socket.receive() for _ in range(2)] == [clear] * 2
    server.ask("ECHO", "the end")
    await eventually(lambda: any(b"the end" in line for line in lines))
    await monitor.close()
    assert len(lines) > 3
    assert not any(b"clear" in line or b"test.message" in line for line in lines)


def test_rotation() -> None:
    """What an old key encrypted is still read; what the new one did, not without it."""
    old, both, new = wire(keys=["old"]), wire(keys=["new", "old"]), wire(keys=[b"new"])
    assert both.open(old.seal(PAYLOAD), "jobs") == PAYLOAD
    assert new.open(both.seal(PAYLOAD), "jobs") == PAYLOAD
    assert old.open(both.seal(PAYLOAD), "jobs") is None


@pytest.mark.row("3.3 encryption")
def test_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines whose clocks differ by a minute understand each other, whatever ``expiry`` is."""
    machine = Wire(registry.get_serializer("msgpack"), ["secret"], expiry=5)
    sealed, now = machine.seal_envelope(ENVELOPES[0]), time.time()
    for difference, opened in [(-59, True), (59, True), (-120, False), (120, False)]:
        monkeypatch.setattr(time, "time", lambda: now + difference)  # noqa: B023  used at once
        found = machine.open_envelope(sealed, "room")
        assert found == (ENVELOPES[0] if opened else None)


def test_keys_are_a_list() -> None:
    """Text is no list of keys; the message is the one that is known."""
    with pytest.raises(
        ValueError, match=r"^symmetric_encryption_keys must be a list of possible keys$"
    ):
        wire(keys="secret")


async def test_other_keys(
    make_layer: MakeLayer, shared: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be decrypted is dropped, counted, logged once per burst, and ends nothing."""
    layer = make_layer(shared, symmetric_encryption_keys=["ours"])
    stranger = make_layer(shared, symmetric_encryption_keys=["theirs"])
    friend = make_layer(shared, symmetric_encryption_keys=["ours"])
    socket = await Socket.joined(layer, "room")
    for _ in range(3):
        await stranger.group_send("room", MESSAGE)
        await stranger.send("jobs", MESSAGE)
    await friend.group_send("room", MESSAGE)
    assert await socket.receive() == MESSAGE
    await friend.send("jobs", MESSAGE)
    assert await within(layer.receive("jobs")) == MESSAGE
    assert layer.stats()["unreadable"] == 6
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert errors == [
        (
            "A message to room could not be read (InvalidToken), and was dropped. Do all processes "
            "have the same 'symmetric_encryption_keys' and 'serializer_format', and is nobody "
            "else's 'prefix' the same?"
        )
    ]
    job = asyncio.ensure_future(layer.receive_job("jobs", lease=60))
    await stranger.send("jobs", MESSAGE)
    await friend.send("jobs", MESSAGE)
    assert (await within(job)).message == MESSAGE
