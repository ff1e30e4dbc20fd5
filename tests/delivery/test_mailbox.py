"""Mailbox: one order for everything that waits for a connection, and two budgets."""

import asyncio
import logging

import pytest

from fairway.delivery import Mailbox, Overflow
from fairway.delivery.mailbox import EVENT_OVERHEAD, INPUT_HIGH_WATER, TURN
from tests.delivery.helpers import RecordingFlow, new_mailbox, take_all

RECEIVE = {"type": "websocket.receive", "text": "hello"}
GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


class TestOrder:
    async def test_one_order_for_events_and_messages(self) -> None:
        """What was put in first comes out first, whoever put it in."""
        mailbox = new_mailbox()
        mailbox.put_event(RECEIVE)
        mailbox.put_message(b"one")
        mailbox.put_event({"type": "websocket.receive", "bytes": b"\0"})
        mailbox.put_message(b"two")
        assert take_all(mailbox) == [
            RECEIVE,
            b"one",
            {"type": "websocket.receive", "bytes": b"\0"},
            b"two",
        ]

    async def test_disconnect_overtakes_layer_messages(self) -> None:
        """A disconnect overtakes layer messages, but no event that the client sent before it."""
        mailbox = new_mailbox()
        mailbox.put_message(b"one")
        mailbox.put_event(RECEIVE)
        mailbox.put_message(b"two")
        mailbox.put_disconnect(GONE)
        assert take_all(mailbox) == [RECEIVE, GONE]

    async def test_nothing_after_the_disconnect(self) -> None:
        """After the disconnect nothing is taken in, and only the first disconnect counts."""
        mailbox = new_mailbox()
        mailbox.put_disconnect(GONE)
        mailbox.put_event(RECEIVE)
        mailbox.put_disconnect({"type": "websocket.disconnect", "code": 1000, "reason": ""})
        assert mailbox.put_message(b"late") is True
        assert take_all(mailbox) == [GONE]
        assert mailbox.last_event == GONE


class TestReading:
    async def test_receive_returns_events(self) -> None:
        """Called, it is the ASGI receive."""
        mailbox = new_mailbox()
        mailbox.put_event(RECEIVE)
        assert await mailbox() == RECEIVE

    async def test_receive_waits(self) -> None:
        """A reader that finds nothing is woken by the next event."""
        mailbox = new_mailbox()
        reader = asyncio.ensure_future(mailbox())
        await asyncio.sleep(0)
        parked = [mailbox.parked is not None]
        mailbox.put_event(RECEIVE)
        assert [*parked, mailbox.parked is not None] == [True, False]
        assert await reader == RECEIVE

    async def test_receive_after_disconnect(self) -> None:
        """An application that asks on after the disconnect gets it again."""
        mailbox = new_mailbox()
        mailbox.put_disconnect(GONE)
        assert await mailbox() == GONE
        assert await mailbox() == GONE

    async def test_cancelled_reader_loses_nothing(self) -> None:
        """What comes after a reader was cancelled is there for the next one."""
        mailbox = new_mailbox()
        reader = asyncio.ensure_future(mailbox())
        await asyncio.sleep(0)
        reader.cancel()
        mailbox.put_event(RECEIVE)
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await mailbox() == RECEIVE

    async def test_reader_woken_then_cancelled(self) -> None:
        """A reader cancelled between being woken and running leaves the event for the next one."""
        mailbox = new_mailbox()
        reader = asyncio.ensure_future(mailbox())
        await asyncio.sleep(0)
        mailbox.put_event(RECEIVE)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert await mailbox() == RECEIVE

    async def test_two_readers(self) -> None:
        """Two tasks may wait at once; each event goes to one of them, whichever is cancelled."""
        mailbox = new_mailbox()
        first, second, third = (asyncio.ensure_future(mailbox()) for _ in range(3))
        await asyncio.sleep(0)
        third.cancel()
        mailbox.put_event(RECEIVE)
        done, waiting = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert [reader.result() for reader in done] == [RECEIVE]
        mailbox.put_disconnect(GONE)
        assert await waiting.pop() == GONE

    async def test_long_backlog(self) -> None:
        """A reader that never has to wait gives others a turn now and then."""
        mailbox = new_mailbox()
        for _ in range(2 * TURN):
            mailbox.put_event(RECEIVE)
        turns: list[int] = []
        received = 0

        async def other() -> None:
            while True:
                turns.append(received)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        for _ in range(2 * TURN):
            await mailbox()
            received += 1
        task.cancel()
        assert turns == [TURN - 1, 2 * TURN - 1]

    async def test_on_park(self) -> None:
        """on_park is called when the reader begins to wait, and may bring what it waits for."""
        mailbox = new_mailbox()
        mailbox.on_park = lambda: mailbox.put_event(RECEIVE)
        assert await mailbox() == RECEIVE

    async def test_failure_comes_last(self) -> None:
        """A failure reaches the reader once everything before it has been taken."""
        mailbox = new_mailbox()
        mailbox.put_event(RECEIVE)
        mailbox.fail(ConnectionError("the source broke"))
        assert await mailbox() == RECEIVE
        with pytest.raises(ConnectionError, match="the source broke"):
            await mailbox()

    async def test_failure_wakes_the_reader(self) -> None:
        """A reader that waits is told at once."""
        mailbox = new_mailbox()
        reader = asyncio.ensure_future(mailbox())
        await asyncio.sleep(0)
        mailbox.fail(ConnectionError("the source broke"))
        with pytest.raises(ConnectionError, match="the source broke"):
            await reader


class TestHooks:
    async def test_on_disconnect(self) -> None:
        """The reader's owner hears of the disconnect, once, also while the reader is busy."""
        mailbox = new_mailbox()
        calls: list[int] = []
        mailbox.on_disconnect = lambda: calls.append(mailbox.waiting[0])
        mailbox.put_event(RECEIVE)
        mailbox.put_disconnect(GONE)
        mailbox.put_disconnect(GONE)
        assert calls == [1]

    async def test_waiting(self) -> None:
        """What waits is counted, without the disconnect."""
        mailbox = new_mailbox()
        assert mailbox.waiting == (0, 0)
        mailbox.put_event(RECEIVE)
        mailbox.put_message(b"one")
        assert mailbox.waiting == (1, 1)
        mailbox.put_disconnect(GONE)
        assert mailbox.waiting == (1, 0)
        assert take_all(mailbox) == [RECEIVE, GONE]
        assert mailbox.waiting == (0, 0)

    async def test_at_once(self) -> None:
        """A disconnect that overtakes the client's events is all that is left."""
        mailbox = new_mailbox()
        mailbox.put_event(RECEIVE)
        mailbox.put_message(b"one")
        mailbox.put_disconnect(GONE, at_once=True)
        assert mailbox.waiting == (0, 0)
        assert take_all(mailbox) == [GONE]

    async def test_wake(self) -> None:
        """A reader that waits looks again; where none does, nothing happens."""
        mailbox = new_mailbox()
        mailbox.wake()
        reader = mailbox.park()
        mailbox.wake()
        await reader
        assert mailbox.take() is None


class TestClientBudget:
    async def test_flood_pauses_reading(self) -> None:
        """Client events beyond the high-water mark pause the socket, and draining resumes it."""
        flow = RecordingFlow()
        mailbox = new_mailbox(flow)
        mailbox.put_event(RECEIVE, INPUT_HIGH_WATER - EVENT_OVERHEAD)
        assert (flow.calls, mailbox.paused) == ([], False)
        mailbox.put_event(RECEIVE, 1)
        mailbox.put_event(RECEIVE, 1)
        assert (flow.calls, mailbox.paused) == (["pause"], True)
        mailbox.take()
        mailbox.take()
        assert flow.calls == ["pause"]
        mailbox.take()
        assert (flow.calls, mailbox.paused) == (["pause", "resume"], False)

    async def test_empty_events_count_too(self) -> None:
        """A flood of empty frames is bounded as well."""
        flow = RecordingFlow()
        mailbox = new_mailbox(flow)
        for _ in range(INPUT_HIGH_WATER // EVENT_OVERHEAD + 1):
            mailbox.put_event(RECEIVE, 0)
        assert flow.calls == ["pause"]

    async def test_layer_messages_do_not_pause(self) -> None:
        """Group messages are no reason to stop reading from the client."""
        flow = RecordingFlow()
        mailbox = new_mailbox(flow)
        mailbox.put_message(b"x" * (INPUT_HIGH_WATER + 1))
        assert flow.calls == []


class TestLayerBudget:
    async def test_disconnect_policy(self, caplog: pytest.LogCaptureFixture) -> None:
        """By default a reader that is too slow is disconnected, once, and sees no part of it."""
        calls: list[str] = []
        mailbox = new_mailbox(max_messages=2)
        mailbox.channel = "specific.a!b"
        mailbox.on_overflow = lambda: calls.append("overflow")
        taken = [mailbox.put_message(bytes([n])) for n in range(4)]
        assert taken == [True, True, False, False]
        assert calls == ["overflow"]
        assert mailbox.dropped == 4
        assert mailbox.take() is None
        assert [record.getMessage() for record in caplog.records] == [
            (
                "Channel specific.a!b: its reader is too slow, 2 messages (2 bytes) are waiting; "
                "policy 'disconnect' applies. Handle messages faster or send fewer."
            )
        ]

    async def test_drop_newest_policy(self) -> None:
        """The new message is refused."""
        mailbox = new_mailbox(max_messages=2, overflow=Overflow.DROP_NEWEST)
        assert [mailbox.put_message(bytes([n])) for n in range(4)] == [True, True, False, False]
        assert take_all(mailbox) == [b"\x00", b"\x01"]
        assert mailbox.dropped == 2

    async def test_drop_oldest_policy(self) -> None:
        """The message that waited longest makes room; client events keep their place."""
        mailbox = new_mailbox(max_messages=2, overflow=Overflow.DROP_OLDEST)
        mailbox.put_message(b"0")
        mailbox.put_event(RECEIVE)
        assert [mailbox.put_message(b"%d" % n) for n in (1, 2, 3)] == [True, True, True]
        assert take_all(mailbox) == [RECEIVE, b"2", b"3"]
        assert mailbox.dropped == 2

    async def test_latest_policy(self) -> None:
        """Of messages with one key the latest stays, in its place; client events keep theirs."""
        mailbox = new_mailbox(max_messages=6, overflow=Overflow.LATEST)
        mailbox.key_of = lambda payload: payload[:1]
        for payload in (b"a1", b"b1", b"a2", b"c1", b"a3", b"b2"):
            assert mailbox.put_message(payload)
        mailbox.put_event(RECEIVE)
        assert mailbox.put_message(b"c2")
        assert take_all(mailbox) == [b"a3", b"b2", RECEIVE, b"c2"]
        assert mailbox.dropped == 4

    async def test_latest_policy_with_many_keys(self) -> None:
        """Where that frees nothing, those that waited longest make room, many at a time."""
        mailbox = new_mailbox(max_messages=6, overflow=Overflow.LATEST)
        mailbox.key_of = lambda payload: payload
        for number in range(7):
            assert mailbox.put_message(b"%d" % number)
        assert take_all(mailbox) == [b"4", b"5", b"6"]
        assert mailbox.dropped == 4

    async def test_bytes_are_bounded_too(self) -> None:
        """The budget of bytes holds whatever the count."""
        mailbox = new_mailbox(max_bytes=10, overflow=Overflow.DROP_OLDEST)
        mailbox.put_message(b"12345")
        mailbox.put_message(b"67890")
        mailbox.put_message(b"abc")
        assert take_all(mailbox) == [b"67890", b"abc"]

    async def test_message_larger_than_the_budget(self) -> None:
        """Where others wait it is refused, and pushes nothing out."""
        mailbox = new_mailbox(max_bytes=10, overflow=Overflow.DROP_OLDEST)
        mailbox.put_message(b"12345")
        assert mailbox.put_message(b"x" * 11) is False
        assert take_all(mailbox) == [b"12345"]

    @pytest.mark.parametrize("overflow", Overflow)
    async def test_large_message_alone(self, overflow: Overflow) -> None:
        """One message of any size is taken while no other waits: the reader is not slow."""
        mailbox = new_mailbox(max_bytes=10, overflow=overflow)
        for _ in range(2):
            assert mailbox.put_message(b"x" * 11) is True
            assert take_all(mailbox) == [b"x" * 11]
        assert mailbox.dropped == 0

    async def test_client_flood_does_not_push_out_messages(self) -> None:
        """The budgets are apart: a flood of client events costs no group message."""
        mailbox = new_mailbox(max_messages=2, max_bytes=100)
        for _ in range(1000):
            mailbox.put_event(RECEIVE, 1000)
        assert mailbox.put_message(b"still there") is True
        assert take_all(mailbox)[-1] == b"still there"

    async def test_one_line_for_each_burst(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log has one line until the reader has caught up, then one for the next burst."""
        mailbox = new_mailbox(max_messages=1, overflow=Overflow.DROP_NEWEST)
        with caplog.at_level(logging.WARNING, "fairway.delivery"):
            for _ in range(2):
                for _ in range(5):
                    mailbox.put_message(b"x")
                take_all(mailbox)
                mailbox.park().cancel()
        assert len(caplog.records) == 2

    async def test_budget_is_freed_by_taking(self) -> None:
        """What has been taken no longer counts."""
        mailbox = new_mailbox(max_messages=1, max_bytes=5, overflow=Overflow.DROP_NEWEST)
        for _ in range(10):
            assert mailbox.put_message(b"12345") is True
            assert mailbox.take() == b"12345"


def test_it_belongs_to_a_loop() -> None:
    """A mailbox names the loop of its reader, so that others can find their way to it."""
    loop = asyncio.new_event_loop()
    try:
        assert Mailbox(loop).loop is loop
    finally:
        loop.close()
