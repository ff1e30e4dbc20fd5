"""Helpers that need neither Django nor a channel layer."""

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from unittest import mock

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairway._types import Event
from fairway.exceptions import StopConsumer
from fairway.utils import await_many_dispatch, group_name, name_that_thing

Source = Callable[[], Awaitable[Event]]


class Thing:
    """Something to name."""

    class Inner:
        """Something inside."""

    def method(self) -> None:
        """Do nothing."""

    @classmethod
    def class_method(cls) -> None:
        """Do nothing."""


@pytest.mark.row("1.8 name_that_thing")
class TestNameThatThing:
    """``name_that_thing``."""

    @pytest.mark.parametrize(
        ("thing", "name"),
        [
            (Thing, f"{__name__}.Thing"),
            (Thing.Inner, f"{__name__}.Thing.Inner"),
            (Thing(), f"{__name__}.Thing"),
            (Thing().method, f"{__name__}.Thing.method"),
            (Thing.class_method, f"{__name__}.Thing.class_method"),
            (group_name, "fairway.utils.group_name"),
            (len, "builtins.len"),
            (json, "json"),
            (functools.partial(len), "functools.partial"),
            (mock.Mock(), "unittest.mock.Mock"),
            ("text", "builtins.str"),
        ],
    )
    def test_names(self, thing: object, name: str) -> None:
        """Classes, functions, methods and modules are named themselves, other things by class."""
        assert name_that_thing(thing) == name


@pytest.mark.row("1.8 await_many_dispatch")
class TestAwaitManyDispatch:
    """``await_many_dispatch``."""

    async def test_dispatches_from_every_source(self) -> None:
        """Messages of all sources arrive, those of each in order, one at a time."""
        first, second = asyncio.Queue[Event](), asyncio.Queue[Event]()
        for number in range(3):
            first.put_nowait({"type": "first", "number": number})
            second.put_nowait({"type": "second", "number": number})
        seen: list[Event] = []
        running = 0

        async def dispatch(message: Event) -> None:
            nonlocal running
            running += 1
            assert running == 1
            await asyncio.sleep(0)
            running -= 1
            seen.append(message)
            if len(seen) == 6:
                raise StopConsumer

        with pytest.raises(StopConsumer):
            await await_many_dispatch([first.get, second.get], dispatch)
        for name in ("first", "second"):
            assert [m for m in seen if m["type"] == name] == [
                {"type": name, "number": number} for number in range(3)
            ]

    async def test_takes_one_message_at_a_time(self) -> None:
        """A source is asked for its next message after the last one was dispatched."""
        queue = asyncio.Queue[Event]()
        for number in range(3):
            queue.put_nowait({"number": number})
        left: list[int] = []

        async def dispatch(message: Event) -> None:
            left.append(queue.qsize())
            if message["number"] == 2:
                raise StopConsumer

        with pytest.raises(StopConsumer):
            await await_many_dispatch([queue.get], dispatch)
        assert left == [2, 1, 0]

    async def test_stops_its_sources(self) -> None:
        """No source is left running when dispatching has ended."""
        queue, stopped = asyncio.Queue[Event](), asyncio.Event()
        queue.put_nowait({"type": "stop"})

        async def endless() -> Event:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError

        async def dispatch(_: Event) -> None:
            raise StopConsumer

        with pytest.raises(StopConsumer):
            await await_many_dispatch([queue.get, endless], dispatch)
        assert stopped.is_set()

    async def test_refuses_no_sources(self) -> None:
        """Without sources there would be nothing to wait for."""

        async def dispatch(_: Event) -> None: ...

        with pytest.raises(ValueError, match="empty"):
            await await_many_dispatch([], dispatch)

    async def test_failing_source_does_not_lose_the_others_messages(self) -> None:
        """What another source has handed over is dispatched before the failure is raised."""
        seen: list[Event] = []

        async def fails() -> Event:
            raise ConnectionError("layer is gone")

        async def has_one() -> Event:
            if seen:
                await asyncio.Event().wait()
            return {"type": "kept"}

        async def dispatch(message: Event) -> None:
            seen.append(message)

        with pytest.raises(ConnectionError, match="layer is gone"):
            await await_many_dispatch([fails, has_one], dispatch)
        assert seen == [{"type": "kept"}]

    async def test_source_that_fails_when_called(self) -> None:
        """A message is dispatched once, also if its source cannot be called again."""
        seen: list[Event] = []

        def source() -> Awaitable[Event]:
            if seen:
                raise RuntimeError("no more")
            future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
            future.set_result({"type": "only"})
            return future

        async def dispatch(message: Event) -> None:
            seen.append(message)

        with pytest.raises(RuntimeError, match="no more"):
            await await_many_dispatch([source], dispatch)
        assert seen == [{"type": "only"}]

    @staticmethod
    def popping(queue: "asyncio.Queue[Event]", waits: asyncio.Event) -> Source:
        """A source that has taken a message from its queue and returns it even when cancelled."""

        async def receive() -> Event:
            message = await queue.get()
            waits.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return message
            raise AssertionError

        return receive

    @pytest.mark.parametrize("error", [None, StopConsumer])
    async def test_cancellation_keeps_what_was_taken(self, error: type[Exception] | None) -> None:
        """What a source returns when cancelled is dispatched, and cannot undo the cancelling."""
        queue, waits, seen = asyncio.Queue[Event](), asyncio.Event(), list[Event]()
        queue.put_nowait({"type": "taken"})

        async def dispatch(message: Event) -> None:
            seen.append(message)
            if error is not None:
                raise error

        task = asyncio.create_task(await_many_dispatch([self.popping(queue, waits)], dispatch))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert seen == [{"type": "taken"}]

    async def test_interrupted_dispatch_takes_no_more(self) -> None:
        """A handler that was cancelled is not followed by another one."""
        first, second = asyncio.Queue[Event](), asyncio.Queue[Event]()
        first.put_nowait({"type": "first"})
        second.put_nowait({"type": "second"})
        started, seen = asyncio.Event(), list[Event]()

        async def dispatch(message: Event) -> None:
            seen.append(message)
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(await_many_dispatch([first.get, second.get], dispatch))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == [{"type": "first"}]


#: Texts that look like pieces of names, and any others.
AWKWARD = st.one_of(
    st.text(),
    st.text(alphabet="._-0x2eaZ", max_size=12),
    st.text(alphabet=st.characters(categories=["Cs"]), max_size=3),
    st.text(alphabet="é聊😀 /\n", max_size=40),
)
PARTS = st.lists(AWKWARD, min_size=1, max_size=5)


def parts_of(name: str) -> list[str]:
    """Read the parts from a name that is not digested: so it is theirs alone."""
    parts, text = [], ""
    for escape, separator, plain in re.findall(r"_([0-9a-f]*)_|(\.)|([A-Za-z0-9-])", name):
        if separator:
            parts.append(text)
            text = ""
        elif plain:
            text += plain
        elif escape != "0":
            text += bytes.fromhex(escape).decode("utf-8", "surrogatepass") or "_"
    return [*parts, text]


#: SHA-256 of "chat." and 95 times "x".
DIGEST = "9153fa7a79ef5142408809ef39c61678861d1a60e87fb9550fa1f2904f9bbfec"


class TestGroupName:
    """``group_name``."""

    @pytest.mark.parametrize(
        ("parts", "name"),
        [
            (("chat", "lobby"), "chat.lobby"),
            (("user", 42), "user.42"),
            (("order_updates", "a-b"), "order__updates.a-b"),
            (("chat", "room 1"), "chat.room_20_1"),
            (("a.b",), "a_2e_b"),
            (("chat", "é"), "chat._c3a9_"),
            (("chat", "聊天"), "chat._e8818ae5a4a9_"),
            (("",), "_0_"),
            (("chat", ""), "chat._0_"),
            (("x" * 99,), "x" * 99),
            (("chat", "x" * 95), f"chat.{'x' * 28}_x{DIGEST}"),
        ],
    )
    def test_names(self, parts: tuple[object, ...], name: str) -> None:
        """Plain texts stay readable; the others have one spelling, which never changes."""
        assert group_name(*parts) == name

    def test_needs_parts(self) -> None:
        """A name for nothing would put everyone into one group."""
        with pytest.raises(
            TypeError,
            match=re.escape(
                "group_name() needs at least one part, such as group_name('chat', room)."
            ),
        ):
            group_name()

    @settings(deadline=None)
    @given(PARTS)
    def test_is_valid(self, parts: list[str]) -> None:
        """Any texts give 1 to 99 characters that every channel layer takes."""
        assert re.fullmatch(r"[a-zA-Z0-9\-_.]{1,99}", group_name(*parts))

    @settings(deadline=None)
    @given(PARTS)
    def test_can_be_read_back(self, parts: list[str]) -> None:
        """A name that is not digested tells its parts, so it is that of no others."""
        name = group_name(*parts)
        assume(not re.search(r"_x[0-9a-f]{64}$", name))
        assert parts_of(name) == parts

    @settings(deadline=None)
    @given(PARTS, PARTS)
    def test_is_injective(self, one: list[str], other: list[str]) -> None:
        """Different parts give different names."""
        assert (group_name(*one) == group_name(*other)) == (one == other)

    @settings(deadline=None)
    @given(st.lists(AWKWARD, max_size=3), st.text(min_size=100))
    def test_no_text_imitates_a_digest(self, parts: list[str], long: str) -> None:
        """A digested name, given as a text, gives another name, however it is cut into parts."""
        digested = group_name(*parts, long)
        assert re.search(r"_x[0-9a-f]{64}$", digested)
        assert group_name(digested) != digested
        assert group_name(*digested.split(".")) != digested

    @settings(deadline=None)
    @given(st.text(alphabet="aé_", min_size=1, max_size=120))
    def test_is_cut_between_escapes(self, text: str) -> None:
        """The readable beginning of a digested name can be read."""
        name = group_name("chat", text)
        if re.search(r"_x[0-9a-f]{64}$", name):
            assert f"chat.{text}".startswith(".".join(parts_of(name[:-66])))
