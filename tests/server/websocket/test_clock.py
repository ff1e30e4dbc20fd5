"""When a WebSocket is pinged, given up or ended: decided on a clock that the test moves."""

import asyncio
import random
import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.config import Config
from fairway.server.context import Context
from fairway.server.websocket.clock import Verdict, WebSocketClock, judge_silence
from tests.server.clock import Clock
from tests.server.conftest import Serve
from tests.server.running import Logs, statuses, until
from tests.wire.client import PING, PONG, TEXT, close, frame, text


class TestJudgeSilence:
    """The decision: interval 20 s, timeout 30 s."""

    @pytest.mark.parametrize(
        ("now", "heard_at", "pinged_at", "verdict", "following"),
        [
            (110, 100, 0, Verdict.WAIT, 120),
            (119.9, 100, 0, Verdict.WAIT, 120),
            (120, 100, 0, Verdict.PING, 140),
            (500, 100, 0, Verdict.PING, 520),
            (130, 100, 120, Verdict.WAIT, 150),
            (149.9, 100, 120, Verdict.WAIT, 150),
            (150, 100, 120, Verdict.DROP, 150),
            (130, 125, 120, Verdict.WAIT, 145),
            (150, 120, 120, Verdict.PING, 170),
        ],
    )
    def test_with_timeout(
        self, now: float, heard_at: float, pinged_at: float, verdict: Verdict, following: float
    ) -> None:
        """A Ping after the interval; the end if nothing comes within the timeout after it."""
        decision = judge_silence(now, heard_at, pinged_at, interval=20, timeout=30)
        assert decision == (verdict, following)

    def test_short_timeout(self) -> None:
        """A timeout shorter than the interval ends it on time."""
        assert judge_silence(120, 100, 0, interval=20, timeout=3) == (Verdict.PING, 123)
        assert judge_silence(123, 100, 120, interval=20, timeout=3) == (Verdict.DROP, 123)

    @pytest.mark.parametrize("timeout", [0, -1])
    @pytest.mark.parametrize(
        ("now", "verdict", "following"),
        [(139, Verdict.WAIT, 140), (140, Verdict.PING, 160), (9999, Verdict.PING, 10019)],
    )
    def test_without_timeout(
        self, now: float, verdict: Verdict, following: float, timeout: float
    ) -> None:
        """Without a timeout it is pinged again and again, and never dropped."""
        assert judge_silence(now, 100, 120, interval=20, timeout=timeout) == (verdict, following)


class Client:
    """Notes what the clock does to it.

    Attributes:
        answers: Whether it answers Pings.
        delivered: How much it has read.
        log: What was done, with the moment.
        then: Called when it is ended.
    """

    def __init__(self, clock: Clock) -> None:
        self.heard_at = clock.now
        self.unread = False
        self.delivered = -70_000
        self.answers = False
        self.log: list[tuple[str, int]] = []
        self.then: Callable[[], None] = lambda: None
        self._clock = clock

    def ping(self) -> None:
        """Note a Ping, and answer it at once."""
        self.log.append(("ping", round(self._clock.now - 1000)))
        if self.answers:
            self.heard_at = self._clock.now + 0.001

    def give_up(self) -> None:
        """Note the end for want of an answer."""
        self.log.append(("give up", round(self._clock.now - 1000)))
        self.then()

    def cut_off(self) -> None:
        """Note the end for want of reading."""
        self.log.append(("cut off", round(self._clock.now - 1000)))
        self.then()

    def retire(self) -> None:
        """Note the end by age."""
        self.log.append(("retire", round(self._clock.now - 1000)))
        self.then()


class Parts:
    """A clock, the client that it belongs to, and the time that both go by."""

    def __init__(self, **options: Any) -> None:
        self.time = Clock()
        loop = cast("asyncio.AbstractEventLoop", self.time)

        async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

        self.client = Client(self.time)
        self.clock = WebSocketClock(Context(app, Config(**options), loop, None), self.client)


class TestOpen:
    """The deadlines of the configuration."""

    def test_silent(self) -> None:
        """A client that never says anything is pinged once and then dropped."""
        parts = Parts(ping_interval=20, ping_timeout=30)
        parts.client.then = parts.clock.stop
        parts.clock.open()
        parts.time.advance(200)
        assert parts.client.log == [("ping", 20), ("give up", 50)]

    def test_answering(self) -> None:
        """One that answers is pinged after each interval of silence."""
        parts = Parts(ping_interval=20, ping_timeout=30)
        parts.clock.open()
        parts.client.answers = True
        parts.time.advance(100)
        pings = [("ping", moment) for moment in (20, 40, 60, 80)]
        assert parts.client.log[:4] == pings

    def test_talking(self) -> None:
        """One that talks is never pinged."""
        parts = Parts(ping_interval=20)
        parts.clock.open()
        for _ in range(100):
            parts.time.advance(10)
            parts.client.heard_at = parts.time.now
        assert parts.client.log == []

    def test_not_read(self) -> None:
        """One that is not read, because the application is behind, is not blamed for silence."""
        parts = Parts(ping_interval=20, ping_timeout=30)
        parts.client.unread = True
        parts.client.then = parts.clock.stop
        parts.clock.open()
        parts.time.advance(300)
        assert parts.client.log == []
        parts.client.unread = False
        parts.time.advance(60)
        assert [kind for kind, _ in parts.client.log] == ["ping", "give up"]

    def test_not_read_after_a_ping(self) -> None:
        """Its Pong may be among what is not read."""
        parts = Parts(ping_interval=20, ping_timeout=30)
        parts.clock.open()
        parts.time.advance(25)
        parts.client.unread = True
        parts.time.advance(100)
        assert parts.client.log == [("ping", 20)]

    def test_age(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After ``websocket_timeout`` it is ended, however much it talks."""
        monkeypatch.setattr(random, "random", lambda: 0.0)
        parts = Parts(websocket_timeout=100, ping_interval=20)
        parts.client.then = parts.clock.stop
        parts.clock.open()
        for _ in range(30):
            parts.time.advance(10)
            parts.client.heard_at = parts.time.now
        assert parts.client.log == [("retire", 100)]

    def test_ages_differ(self) -> None:
        """Those that were opened together end up to a tenth of that earlier, each at its moment."""
        moments = []
        for _ in range(50):
            parts = Parts(websocket_timeout=1_000_000, ping_interval=0)
            parts.client.then = parts.clock.stop
            parts.clock.open()
            parts.time.advance(1_000_001)
            ((kind, moment),) = parts.client.log
            assert kind == "retire"
            moments.append(moment)
        assert all(900_000 <= moment <= 1_000_000 for moment in moments)
        assert len(set(moments)) > 25

    def test_reads_nothing(self) -> None:
        """One for which too much waits, and that reads nothing of it, is cut off."""
        parts = Parts(websocket_write_timeout=60, ping_interval=0)
        parts.client.then = parts.clock.stop
        parts.clock.open()
        parts.time.advance(100)
        parts.clock.block()
        parts.time.advance(200)
        assert parts.client.log == [("cut off", 160)]

    def test_reads_slowly(self) -> None:
        """One that reads a little in each such time is not, however long it takes."""
        parts = Parts(websocket_write_timeout=60, ping_interval=0)
        parts.client.then = parts.clock.stop
        parts.clock.open()
        parts.clock.block()
        for _ in range(20):
            parts.time.advance(50)
            parts.client.delivered += 10
        assert parts.client.log == []
        parts.time.advance(200)
        assert [kind for kind, _ in parts.client.log] == ["cut off"]

    def test_has_read(self) -> None:
        """One that has caught up is not cut off for what was before."""
        parts = Parts(websocket_write_timeout=60, ping_interval=0)
        parts.clock.open()
        parts.clock.block()
        parts.time.advance(30)
        parts.clock.unblock()
        parts.time.advance(500)
        assert parts.client.log == []

    def test_reads_nothing_from_the_beginning(self) -> None:
        """The time runs from when it fell behind, even if that was before it was accepted."""
        parts = Parts(websocket_write_timeout=60, ping_interval=0)
        parts.client.then = parts.clock.stop
        parts.clock.block()
        parts.time.advance(10)
        parts.clock.open()
        parts.time.advance(100)
        assert parts.client.log == [("cut off", 60)]

    def test_reads_nothing_without_a_limit(self) -> None:
        """Without the limit it may read nothing for ever."""
        parts = Parts(websocket_write_timeout=0, ping_interval=0, websocket_timeout=0)
        parts.clock.open()
        parts.clock.block()
        parts.time.advance(100_000)
        assert parts.client.log == []

    def test_off(self) -> None:
        """Without limits nothing ever happens."""
        parts = Parts(websocket_timeout=0, ping_interval=0)
        parts.clock.open()
        parts.time.advance(1_000_000)
        assert parts.client.log == []
        assert parts.clock.slot == 0


class TestSet:
    """A single deadline."""

    def test_once(self) -> None:
        """It comes once, and not early."""
        parts = Parts()
        calls: list[float] = []
        parts.clock.set(5, lambda: calls.append(parts.time.now))
        parts.time.advance(4.99)
        assert calls == []
        parts.time.advance(100)
        assert [round(moment) for moment in calls] == [1005]

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_never(self, seconds: float) -> None:
        """No limit, no deadline: also not the one that was set before."""
        parts = Parts()
        calls: list[float] = []
        parts.clock.set(5, lambda: calls.append(5))
        parts.clock.set(seconds, lambda: calls.append(seconds))
        parts.time.advance(100)
        assert calls == []

    def test_later(self) -> None:
        """Set again, only the last one counts, earlier or later."""
        parts = Parts()
        calls: list[float] = []
        for seconds in (5, 9, 2, 7):
            parts.clock.set(seconds, lambda: calls.append(parts.time.now))
        parts.time.advance(100)
        assert [round(moment) for moment in calls] == [1007]

    def test_set_by_itself(self) -> None:
        """What is done at a deadline may set the next."""
        parts = Parts()
        calls: list[float] = []

        def expire() -> None:
            calls.append(parts.time.now)
            if len(calls) < 3:
                parts.clock.set(10, expire)

        parts.clock.set(10, expire)
        parts.time.advance(100)
        assert [round(moment) for moment in calls] == [1010, 1020, 1030]

    def test_ends_opening(self) -> None:
        """A deadline for the end replaces those of an open WebSocket, even when it is none."""
        parts = Parts(ping_interval=20)
        parts.clock.open()
        parts.clock.set(0, lambda: None)
        parts.time.advance(500)
        assert parts.client.log == []

    def test_retired_into_a_deadline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ended by age, the WebSocket has its time for the closing handshake."""
        monkeypatch.setattr(random, "random", lambda: 0.0)
        parts = Parts(websocket_timeout=100, ping_interval=0)
        calls: list[float] = []
        parts.client.then = lambda: parts.clock.set(5, lambda: calls.append(parts.time.now))
        parts.clock.open()
        parts.time.advance(200)
        assert [round(moment) for moment in calls] == [1105]

    def test_close(self) -> None:
        """Closed, it stands nowhere any more."""
        parts = Parts()
        calls: list[int] = []
        parts.clock.set(5, lambda: calls.append(1))
        parts.clock.close()
        assert parts.clock.slot == 0
        parts.time.advance(100)
        assert calls == []


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts, and sends back what it gets until the client goes; then tells its code."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


class TestWithClients:
    """The same on sockets, with small values; the order of what happens counts, not when."""

    @pytest.mark.row("2.4 Keepalive")
    async def test_ping_and_pong(self, serve: Serve) -> None:
        """A silent client gets Pings as long as it answers, and is then heard as ever."""
        running = await serve(echo, ping_interval=0.05, ping_timeout=25)
        client = await running.websocket()
        await client.open()
        for _ in range(3):
            assert await client.frame() == (PING, b"")
            await client.send(frame(PONG))
        await client.send(text("still here"))
        while (message := await client.frame())[0] == PING:
            await client.send(frame(PONG))
        assert message == (TEXT, b"still here")
        await client.send(close(1000))

    @pytest.mark.row("2.4 Keepalive", "2.2 timeout_checker")
    async def test_no_pong(self, serve: Serve, logs: Logs) -> None:
        """A client that does not answer is cut off, and the application hears of 1006."""
        events = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            events.append(await receive())

        running = await serve(app, ping_interval=0.05, ping_timeout=0.1)
        client = await running.websocket()
        await client.open()
        assert await client.frame() == (PING, b"")
        await client.is_cut()
        await until(lambda: events)
        assert events == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
        assert statuses(running.records)[-1] == ("disconnected", 1006)
        assert logs.take() == [
            (
                f"WARNING The limit ping_timeout (0.1) refused {client.address}: "
                "the connection is cut (1006)"
            )
        ]

    @pytest.mark.row("2.4 Lifetime")
    async def test_websocket_timeout(self, serve: Serve, logs: Logs) -> None:
        """A WebSocket that is old enough is closed with 1000, and told when to come back."""
        running = await serve(echo, websocket_timeout=0.05)
        client = await running.websocket()
        await client.open()
        code, reason = await client.goodbye()
        assert code == 1000
        assert re.fullmatch(
            r"The WebSocket was open for as long as it may be\. retry=[0-5]\.\d", reason
        )
        await client.send(close(1000))
        assert await client.rest() == b""
        await until(lambda: statuses(running.records)[-1] == ("disconnected", 1000))
        assert logs.take() == [
            f"WARNING The limit websocket_timeout (0.05) refused {client.address}: close 1000"
        ]

    async def test_send_after_websocket_timeout(self, serve: Serve, logs: Logs) -> None:
        """An application that sends meanwhile gets an ``OSError``: it cannot know."""
        outcome: list[BaseException] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while True:
                try:
                    await send({"type": "websocket.send", "text": "x"})
                except OSError as error:
                    outcome.append(error)
                    raise
                await asyncio.sleep(0.01)

        running = await serve(app, websocket_timeout=0.05)
        client = await running.websocket()
        await client.open()
        while (await client.frame())[0] == TEXT:
            pass
        await until(lambda: outcome)
        assert str(outcome[0]) == (
            "Cannot send 'websocket.send': the WebSocket is being closed by the server."
        )
        assert len(logs.take()) == 1, "only the limit is logged"
