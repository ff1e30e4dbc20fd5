"""Remote: what processes ask of each other."""

import asyncio
import logging

import ormsgpack
import pytest

from fairway.delivery import Hub, Mailbox
from fairway.exceptions import ChannelLayerUnavailable
from fairway.layers import remote
from fairway.layers.base import ChannelLayer, Reached
from fairway.layers.bus import Published
from fairway.layers.envelope import Kind, for_channel, for_request
from tests.layers.network import Network, messages


@pytest.fixture
def network() -> Network:
    return Network()


def bind(layer: ChannelLayer, *, gaps: bool = False) -> tuple[str, Mailbox]:
    mailbox = Mailbox(asyncio.get_running_loop())
    return layer.bind(mailbox, gaps=gaps), mailbox


async def settled() -> None:
    """What was posted to this loop from elsewhere has been delivered."""
    for _ in range(3):
        await asyncio.sleep(0)


class TestMessages:
    async def test_to_a_channel_of_another_process(self, network: Network) -> None:
        """A message to a connection reaches it, whichever process it is sent from."""
        here, there = network.layer(), network.layer()
        name, mailbox = bind(there)
        await here.send(name, {"type": "chat.message", "text": "hi"})
        await settled()
        assert list(messages(mailbox)) == [{"type": "chat.message", "text": "hi"}]

    async def test_to_a_process_that_is_gone(self, network: Network) -> None:
        """Delivery is at-most-once: what is sent to nobody is lost, and no error."""
        here, there = network.layer(), network.layer()
        name, _ = bind(there)
        await there.close()
        await here.send(name, {"type": "chat.message"})

    async def test_to_a_group(self, network: Network) -> None:
        """Members of every process get a group's message, and the sender hears how far it went."""
        layers = [network.layer() for _ in range(3)]
        bound = [bind(layer) for layer in layers]
        for layer, (name, _) in zip(layers, bound, strict=True):
            await layer.group_add("room", name)
        assert await layers[0].group_send("room", {"type": "x", "n": 1}) == Reached(1, 3)
        await settled()
        assert [list(messages(mailbox)) for _, mailbox in bound] == [[{"type": "x", "n": 1}]] * 3

    async def test_named_channel_in_a_group(self, network: Network) -> None:
        """A named channel is a member whoever reads it."""
        here, there = network.layer(), network.layer()
        await here.group_add("alarms", "pager")
        await there.group_send("alarms", {"type": "fire"})
        assert await there.receive("pager") == {"type": "fire"}
        await there.group_discard("alarms", "pager")
        await here.group_send("alarms", {"type": "fire"})
        assert len(network.queue("pager")) == 0

    async def test_what_cannot_be_understood(
        self, network: Network, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is broken, or of a later version, is counted; what comes after it arrives."""
        here, there = network.layer(), network.layer()
        name, mailbox = bind(there)
        topic = remote.topic_of(there.process)
        network.buses[0].tell(topic, bytes((Kind.CHANNEL, 200)))
        network.buses[0].tell(topic, b"\xff of a later version")
        await here.send(name, {"type": "x"})
        await settled()
        assert list(messages(mailbox)) == [{"type": "x"}]
        line = (
            f"A message to {topic} could not be read (An envelope of 1 bytes ends within its "
            "channel's name.), and was dropped. Have all processes the same CHANNEL_LAYERS, and "
            "the same version of this package? (While one replaces the other, they cannot always "
            "read each other's messages.)"
        )
        assert caplog.record_tuples == [("fairway.layers", logging.ERROR, line)]
        assert (there.stats()["unreadable"], there.stats()["received"]) == (2, 1)

    @pytest.mark.parametrize("kind", [Kind.GROUP, Kind.WEBSOCKET_SEND, Kind.CHANNEL])
    @pytest.mark.parametrize(
        "payload", [b'{"type": "x"}', b"\x81\xa4type", ormsgpack.packb(ormsgpack.Ext(99, b""))]
    )
    async def test_what_is_no_message(
        self, network: Network, kind: Kind, payload: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What a process with other options sends reaches no consumer, which it would end."""
        here, there = network.layer(), network.layer()
        name, mailbox = bind(there)
        await there.group_add("room", name)
        if kind == Kind.CHANNEL:
            network.buses[0].tell(remote.topic_of(there.process), for_channel(name, payload))
        else:
            network.buses[0].tell("room", bytes((kind,)) + payload)
        await here.group_send("room", {"type": "x"})
        await settled()
        assert list(messages(mailbox)) == [{"type": "x"}]
        assert (there.stats()["unreadable"], there.stats()["received"]) == (1, 1)
        assert len(caplog.records) == 1

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes((Kind.JOIN,)),
            bytes((Kind.DONE, 1)),
            for_request(Kind.LEAVE, 1, "abc"),
            for_request(Kind.JOIN, 1, "abc", "é", "room"),
        ],
    )
    async def test_what_asks_for_nothing(
        self, network: Network, data: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is empty, or a request that is cut short, is counted as well."""
        there = network.layer()
        network.buses[0].deliver("room", data)
        assert there.stats()["unreadable"] == 1
        assert [record.exc_info for record in caplog.records] == [None]
        assert caplog.records[0].message.startswith("A message to room could not be read (")

    async def test_what_cannot_be_delivered(
        self,
        network: Network,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A mistake of this process's own is told as one, whatever it is; what follows arrives."""
        here, there = network.layer(), network.layer()
        name, mailbox = bind(there)

        def fail(*args: object) -> None:
            monkeypatch.undo()
            raise ValueError("not the message's fault")

        monkeypatch.setattr(Hub, "put", fail)
        await here.send(name, {"type": "x"})
        await here.send(name, {"type": "y"})
        assert list(messages(mailbox)) == [{"type": "y"}]
        topic = remote.topic_of(there.process)
        line = f"What another process sent to {topic!r} could not be delivered"
        assert caplog.record_tuples == [("fairway.layers", logging.ERROR, line)]
        assert there.stats()["unreadable"] == 0

    async def test_what_is_no_job(self, network: Network) -> None:
        """What lies in a named channel and is no message is dropped, and does not come back."""
        layer = network.layer()
        for _ in range(2):
            network.queue("jobs").put_message(b'{"type": "x"}')
            await layer.send("jobs", {"type": "x"})
        assert await layer.receive("jobs") == {"type": "x"}
        job = await layer.receive_job("jobs", lease=30)
        assert job.message == {"type": "x"}
        assert await job.acknowledge()
        assert (network.queue("jobs").idle, layer.stats()["unreadable"]) == (True, 2)


class TestMembership:
    async def test_joined_by_another_process(self, network: Network) -> None:
        """A channel can be put into a group, and taken out, from any process."""
        here, there = network.layer(), network.layer()
        name, mailbox = bind(there)
        await here.group_add("room", name)
        assert await here.group_send("room", {"type": "x"}) == Reached(0, 1)
        await settled()
        assert list(messages(mailbox)) == [{"type": "x"}]
        await here.group_discard("room", name)
        assert await here.group_send("room", {"type": "x"}) == Reached(0, 0)

    async def test_channel_that_is_gone(self, network: Network) -> None:
        """What belongs to a connection that has ended joins nothing, and is no error."""
        here, there = network.layer(), network.layer()
        name, _ = bind(there)
        await there.unbind(name)
        await here.group_add("room", name)
        assert await here.group_send("room", {"type": "x"}) == Reached(0, 0)
        await there.close()
        await here.group_add("room", name)

    async def test_no_answer(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that does not answer is an error, not a wait for ever."""
        monkeypatch.setattr(remote, "REPLY_TIMEOUT", 0.01)
        here, there = network.layer(), network.layer()
        name, _ = bind(there)
        network.buses[1].deliver = lambda topic, payload: None
        with pytest.raises(ChannelLayerUnavailable, match=r"did not answer within 0\.01 s"):
            await here.group_add("room", name)

    async def test_receiving_for_another_process(self, network: Network) -> None:
        """Only its own process receives from a channel, and knows how much waits there."""
        here, there = network.layer(), network.layer()
        name = await there.new_channel()
        with pytest.raises(RuntimeError, match="belongs to another process"):
            await here.receive(name)
        with pytest.raises(RuntimeError, match="belongs to another process"):
            await here.waiting(name)

    async def test_sent_after_it_was_emptied(self, network: Network) -> None:
        """A channel that is read with receive() gets what is sent between two receives."""
        here, there = network.layer(), network.layer()
        name = await there.new_channel()
        for number in range(3):
            await here.send(name, {"type": "x", "n": number})
            assert await there.receive(name) == {"type": "x", "n": number}


async def test_gap(network: Network) -> None:
    """Those who ask for it are told that messages may have been missed; nobody else is."""
    layer = network.layer()
    (_, asked), (_, other) = bind(layer, gaps=True), bind(layer)
    network.buses[0].lost()
    assert list(messages(asked)) == [{"type": "layer.gap"}]
    assert list(messages(other)) == []


async def test_stats(network: Network) -> None:
    """Counts of what was sent, delivered, received, dropped and expired."""
    here, there = network.layer(), network.layer()
    name, _ = bind(there)
    await there.group_add("room", name)
    await here.group_send("room", {"type": "x"})
    await there.group_send("room", {"type": "x"})
    await here.send(name, {"type": "x"})
    await settled()
    assert here.stats() == {
        "sent": 2, "delivered": 0, "received": 0, "dropped": 0, "channels": 0, "groups": 0,
        "waiting": 0, "expired": 0, "unreadable": 0,
    }  # fmt: skip
    assert there.stats() == {
        "sent": 1, "delivered": 1, "received": 2, "dropped": 0, "channels": 1, "groups": 1,
        "waiting": 3, "expired": 0, "unreadable": 0,
    }  # fmt: skip


async def test_confirmation(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who joins second waits as long as the first for the certainty that messages arrive."""
    import concurrent.futures

    layer = network.layer()
    asked: list[concurrent.futures.Future[None]] = []

    def subscribe(topic: str) -> concurrent.futures.Future[None] | None:
        if topic == "room":
            asked.append(concurrent.futures.Future())
            return asked[-1]
        return None

    monkeypatch.setattr(network.buses[0], "subscribe", subscribe)
    first, second = bind(layer)[0], bind(layer)[0]
    joins = [asyncio.ensure_future(layer.group_add("room", name)) for name in (first, second)]
    await settled()
    assert [join.done() for join in joins] == [False, False]
    joins[0].cancel()  # and is nobody else's affair
    await settled()
    asked[0].set_result(None)
    await joins[1]
    assert len(asked) == 1
    assert await layer.group_add("room", second) is None  # type: ignore[func-returns-value]  # done


def test_published_defaults() -> None:
    """A bus that knows no member queues names none."""
    assert Published(2) == Published(processes=2, queues=())
