"""Hub: channels and groups of one process."""

import asyncio
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from fairway.delivery import ChannelQueue, Hub, Mailbox, Overflow
from fairway.delivery.hub import SLICE
from fairway.delivery.patience import Patience
from fairway.server.observing.counters import Counters
from fairway.wire.prepared import PreparedMessage
from tests.delivery.helpers import new_mailbox, open_outbox, take_all


def attach(hub: Hub, name: str, **options: object) -> Mailbox:
    mailbox = new_mailbox(**options)  # type: ignore[arg-type]  # passed on
    hub.attach(name, mailbox)
    return mailbox


def attach_queue(hub: Hub, name: str, capacity: int = 10) -> ChannelQueue:
    queue = ChannelQueue(name, capacity, 60, lambda: 0.0)
    hub.attach(name, queue)
    return queue


async def settle() -> None:
    """Let what was posted to this loop arrive."""
    for _ in range(10):
        await asyncio.sleep(0)


class TestMembership:
    async def test_join_and_leave(self) -> None:
        """A channel is in a group from join to leave; a group without members is not kept."""
        hub = Hub()
        attach(hub, "a")
        attach(hub, "b")
        assert hub.join("room", "a") is True
        assert hub.join("room", "b") is False
        assert hub.join("room", "b") is False
        assert set(hub.groups["room"]) == {"a", "b"}
        assert hub.leave("room", "a") is False
        assert hub.leave("room", "a") is False
        assert hub.leave("room", "b") is True
        assert hub.groups == {}

    async def test_join_of_an_unknown_channel(self) -> None:
        """Only what is read here can join here."""
        with pytest.raises(KeyError, match="stranger"):
            Hub().join("room", "stranger")

    async def test_leave_of_a_stranger(self) -> None:
        """Leaving where one is not, or as nobody, is ignored."""
        hub = Hub()
        attach(hub, "a")
        assert hub.leave("room", "a") is False
        assert hub.leave("room", "stranger") is False

    async def test_detach_leaves_every_group(self) -> None:
        """With its channel's end a member is out of every group; emptied ones are named."""
        hub = Hub()
        attach(hub, "a")
        attach(hub, "b")
        for group in ("one", "two"):
            hub.join(group, "a")
        hub.join("two", "b")
        assert hub.detach("a") == ["one"]
        assert {name: set(group) for name, group in hub.groups.items()} == {"two": {"b"}}
        assert hub.detach("a") == []

    async def test_clear_keeps_connections(self) -> None:
        """Clearing forgets queues and groups; a connection's channel stays, it is still there."""
        hub = Hub()
        mailbox = attach(hub, "a")
        attach_queue(hub, "jobs")
        hub.join("room", "a")
        hub.clear()
        assert hub.groups == {}
        assert hub.channels == {"a": mailbox}
        assert hub.join("room", "a") is True


class TestPut:
    async def test_to_a_mailbox(self) -> None:
        """A message for a channel lies in its mailbox at once."""
        hub = Hub()
        mailbox = attach(hub, "a")
        assert hub.put("a", b"x") is True
        assert take_all(mailbox) == [b"x"]

    async def test_to_a_full_queue(self) -> None:
        """A full channel says so, and the loss is counted."""
        hub = Hub()
        attach_queue(hub, "jobs", capacity=1)
        assert [hub.put("jobs", b"x") for _ in range(2)] == [True, False]
        assert hub.dropped == 1

    async def test_to_another_loop(self) -> None:
        """A mailbox of another thread's loop gets its message on that thread."""
        hub = Hub()
        ready = threading.Event()
        seen: list[tuple[object, int]] = []

        async def read() -> None:
            mailbox = attach(hub, "far")
            ready.set()
            await mailbox.park()
            seen.append((mailbox.take(), threading.get_ident()))

        thread = threading.Thread(target=asyncio.run, args=(read(),))
        thread.start()
        await asyncio.to_thread(ready.wait)
        assert hub.put("far", b"x") is True
        await asyncio.to_thread(thread.join)
        assert seen == [(b"x", thread.ident)]

    async def test_to_a_closed_loop(self) -> None:
        """A channel whose loop was closed is forgotten, and the loss counted."""
        hub = Hub()
        loop = asyncio.new_event_loop()
        hub.attach("dead", Mailbox(loop))
        hub.join("room", "dead")
        loop.close()
        hub.put("dead", b"x")
        assert (hub.channels, hub.groups, hub.dropped) == ({}, {}, 1)


class TestPublish:
    async def test_reaches_every_member_with_the_same_bytes(self) -> None:
        """All members get the very same bytes object, strangers nothing."""
        hub = Hub()
        boxes = [attach(hub, name) for name in "abc"]
        hub.join("room", "a")
        hub.join("room", "b")
        payload = b"payload"
        assert await hub.publish("room", payload) == 2
        first, second, other = (take_all(box) for box in boxes)
        assert (first, second, other) == ([payload], [payload], [])
        assert first[0] is payload
        assert second[0] is payload

    async def test_nobody_there(self) -> None:
        """A group that nobody is in here is no error."""
        assert await Hub().publish("room", b"x") == 0

    async def test_full_members_are_counted(self) -> None:
        """A member that cannot take the message misses it, and the others do not."""
        hub = Hub()
        slow = attach(hub, "slow", max_messages=1, overflow=Overflow.DROP_NEWEST)
        quick = attach(hub, "quick")
        hub.join("room", "slow")
        hub.join("room", "quick")
        await hub.publish("room", b"1")
        await hub.publish("room", b"2")
        assert take_all(slow) == [b"1"]
        assert take_all(quick) == [b"1", b"2"]
        assert hub.dropped == 1

    async def test_large_groups_yield(self) -> None:
        """While a large group is served, the event loop runs others."""
        hub = Hub()
        for index in range(3 * SLICE):
            name = f"c{index}"
            attach(hub, name)
            hub.join("room", name)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        assert await hub.publish("room", b"x") == 3 * SLICE
        task.cancel()
        assert turns == 2

    async def test_members_on_several_loops(self) -> None:
        """Members of every thread's loop are reached, each on its own, and large groups whole."""
        hub = Hub()
        near = attach(hub, "near")
        hub.join("room", "near")
        ready = threading.Event()
        counts: list[int] = []

        async def read() -> None:
            boxes = []
            for index in range(SLICE + 1):
                boxes.append(attach(hub, f"far{index}"))
                hub.join("room", f"far{index}")
            ready.set()
            await boxes[-1].park()
            counts.append(sum(len(take_all(box)) for box in boxes))

        thread = threading.Thread(target=asyncio.run, args=(read(),))
        thread.start()
        await asyncio.to_thread(ready.wait)
        assert await hub.publish("room", b"x") == SLICE + 2
        await asyncio.to_thread(thread.join)
        assert counts == [SLICE + 1]
        assert take_all(near) == [b"x"]

    async def test_order_across_threads(self) -> None:
        """Two messages of another thread keep their order, also where a group shrinks between."""
        hub = Hub()
        boxes = [attach(hub, f"c{index}") for index in range(2 * SLICE + 1)]
        for index in range(len(boxes)):
            hub.join("room", f"c{index}")

        async def send() -> None:
            await hub.publish("room", b"1")
            for index in range(SLICE):
                hub.leave("room", f"c{index}")
            await hub.publish("room", b"2")

        thread = threading.Thread(target=asyncio.run, args=(send(),))
        thread.start()
        thread.join()  # the loop has had no turn: both are waiting
        await settle()
        assert [take_all(box) for box in boxes[:SLICE]] == [[b"1"]] * SLICE
        assert [take_all(box) for box in boxes[SLICE:]] == [[b"1", b"2"]] * (SLICE + 1)

    async def test_failing_member(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error at one member's delivery does not hold up what is posted afterwards."""
        hub = Hub()
        broken, near = attach(hub, "broken", max_messages=0), attach(hub, "near")

        def fail() -> None:
            raise RuntimeError("no more of it")

        broken.on_overflow = fail

        def send() -> None:
            hub.put("broken", b"x")
            hub.put("near", b"y")

        await asyncio.to_thread(send)
        await settle()
        assert take_all(near) == [b"y"]
        assert "could not be delivered" in caplog.text

    async def test_loop_that_closes_meanwhile(self) -> None:
        """What was posted to a loop that was then closed is counted as lost."""
        hub = Hub()
        loop = asyncio.new_event_loop()
        hub.attach("far", Mailbox(loop))
        hub.put("far", b"1")
        loop.close()
        hub.put("far", b"2")
        assert (hub.channels, hub.dropped, hub._posted) == ({}, 2, {})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork().")
def test_fork() -> None:
    """A forked process has no readers and no groups, even if it was forked with the lock held."""
    hub = Hub()
    attach_queue(hub, "jobs")
    hub.join("room", "jobs")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(hub.lock.acquire).result()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is the case
            child = os.fork()
        if not child:
            try:
                alone = hub.lock.acquire(timeout=5) and not (hub.channels or hub.groups)
                os._exit(0 if alone else 1)
            finally:
                os._exit(2)
        pool.submit(hub.lock.release).result()
    assert os.waitpid(child, 0)[1] == 0
    assert list(hub.channels) == ["jobs"]


class TestPrepared:
    """A message that needs no handler goes past the mailbox where nothing stands in the way."""

    async def publish(self, hub: Hub) -> None:
        await hub.publish("room", b"payload", PreparedMessage("hi"))

    async def test_waiting_reader(self) -> None:
        """The reader waits and the socket can take it: the frame is written at once."""
        hub = Hub()
        mailbox = attach(hub, "a")
        hub.join("room", "a")
        mailbox.direct, written, _ = open_outbox()
        reader = mailbox.park()
        await self.publish(hub)
        assert written == [b"\x81\x02hi"]
        assert not reader.done()

    async def test_counted(self) -> None:
        """What was written is counted, and what waits in a mailbox is not."""
        hub = Hub()
        counters = Counters()
        for name in ("a", "b", "c"):
            mailbox = attach(hub, name)
            hub.join("room", name)
            mailbox.direct, _, _ = open_outbox()
            mailbox.direct.tally = counters
            if name != "b":
                mailbox.park()
        await self.publish(hub)
        assert counters.messages_sent == 2

    @pytest.mark.parametrize("obstacle", ["handler runs", "not ready", "no direct way"])
    async def test_through_the_mailbox(self, obstacle: str) -> None:
        """Everybody else gets it through the mailbox, in order."""
        hub = Hub()
        mailbox = attach(hub, "a")
        hub.join("room", "a")
        outbox, written, _ = open_outbox()
        if obstacle != "no direct way":
            mailbox.direct = outbox
        if obstacle != "handler runs":
            mailbox.park()
        if obstacle == "not ready":
            outbox.ready = False
        await self.publish(hub)
        assert (written, take_all(mailbox)) == ([], [b"payload"])

    async def test_order_is_kept(self) -> None:
        """While an earlier message waits, a later one does not overtake it."""
        hub = Hub()
        mailbox = attach(hub, "a")
        hub.join("room", "a")
        mailbox.direct, written, _ = open_outbox()
        mailbox.park()
        await hub.publish("room", b"first")
        await self.publish(hub)
        assert (written, take_all(mailbox)) == ([], [b"first", b"payload"])

    async def test_queue_members(self) -> None:
        """A queue in the group gets the message itself."""
        hub = Hub()
        queue = attach_queue(hub, "jobs")
        hub.join("room", "jobs")
        await self.publish(hub)
        assert await queue.get(1) == [b"payload"]


async def test_a_loop_of_sends() -> None:
    """A sender that never waits for anything still lets its readers keep up."""
    hub = Hub()
    mailbox = new_mailbox(max_messages=100, max_bytes=150_000)
    hub.attach("one", mailbox)
    hub.join("room", "one")
    taken: list[object] = []

    async def read() -> None:
        while len(taken) < 250:
            item = mailbox.take()
            if item is None:
                await mailbox.park()
            else:
                taken.append(item)

    reading = asyncio.ensure_future(read())
    for _ in range(250):
        await hub.publish("room", b"x" * 1000)
    await reading
    assert hub.dropped == 0


def test_post() -> None:
    """A thread without an event loop hands a message to queues at once, and says to how many."""
    hub = Hub()
    queue = ChannelQueue("one", 10, 60, lambda: 0.0)
    hub.attach("one", queue)
    hub.join("room", "one")
    assert hub.post("room", b"1") == 1
    assert hub.post("elsewhere", b"1") == 0
    assert len(queue) == 1


class TestPatience:
    """Members that are behind, while the clock of the senders' patience stands still."""

    @staticmethod
    def hub() -> Hub:
        return Hub(Patience(lambda: 0.0))

    @staticmethod
    async def read(mailbox: Mailbox, count: int) -> list[object]:
        """What a reader gets whose handler runs in a thread for each message."""
        got: list[object] = []
        while len(got) < count and not mailbox.dropped:
            item = mailbox.take()
            if item is None:
                await mailbox.park()
            else:
                await asyncio.to_thread(got.append, item)
        return got

    async def test_reader_with_a_thread(self) -> None:
        """A loop of sends loses nothing at a reader that needs several turns for each message."""
        hub = self.hub()
        mailbox = attach(hub, "a", max_messages=60)
        hub.join("room", "a")
        reading = asyncio.ensure_future(self.read(mailbox, 300))
        for number in range(300):
            await hub.publish("room", b"%d" % number)
        assert await reading == [b"%d" % number for number in range(300)]

    async def test_sender_with_a_loop_of_its_own(self) -> None:
        """Neither does one on another event loop."""
        hub = self.hub()
        mailbox = attach(hub, "a", max_messages=200)
        hub.join("room", "a")

        async def send() -> None:
            for number in range(1000):
                await hub.publish("room", b"%d" % number)

        reading = asyncio.ensure_future(self.read(mailbox, 1000))
        await asyncio.to_thread(asyncio.run, send())
        assert await reading == [b"%d" % number for number in range(1000)]

    @pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
    async def test_who_may_lose_some(self, overflow: Overflow) -> None:
        """Nobody waits for a reader that has said which messages it does without."""
        hub = self.hub()
        mailbox = attach(hub, "a", max_messages=60, overflow=overflow)
        hub.join("room", "a")
        for _ in range(100):
            await hub.publish("room", b"x")
        assert mailbox.dropped == 40
