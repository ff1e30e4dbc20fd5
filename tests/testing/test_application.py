"""What ``ApplicationCommunicator`` promises, with plain ASGI applications."""

import asyncio
import gc
import inspect
import logging
from contextvars import ContextVar

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.testing import ApplicationCommunicator

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back every event, and end on one of type ``end``."""
    while (event := await receive())["type"] != "end":
        await send(event)


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    """Send one event back, then fail."""
    await send(await receive())
    raise LookupError("nothing there")


async def innermost(receive: Receive) -> Event:
    """Wait for an event one call further down."""
    return await receive()


async def nested(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait in another function."""
    await send(await innermost(receive))


WAITING_IN_NESTED = [
    f'  File "{__file__}", line {nested.__code__.co_firstlineno + 2}, in nested',
    "    await send(await innermost(receive))",
    f'  File "{__file__}", line {innermost.__code__.co_firstlineno + 2}, in innermost',
    "    return await receive()",
]


def communicate(application: object = echo) -> ApplicationCommunicator:
    return ApplicationCommunicator(application, {"type": "test"})  # type: ignore[arg-type] # wrong ones are tested too


@pytest.mark.row("1.9 ApplicationCommunicator", "1.9 send_input")
class TestExchange:
    async def test_events_pass_both_ways_in_order(self) -> None:
        """What the test sends arrives, and what the application sends comes out, in order."""
        communicator = communicate()
        for number in range(3):
            await communicator.send_input({"type": "test", "number": number})
        assert [await communicator.receive_output() for _ in range(3)] == [
            {"type": "test", "number": number} for number in range(3)
        ]
        communicator.stop()

    async def test_the_application_gets_the_scope_itself(self) -> None:
        """A change to ``communicator.scope`` before the first call reaches the application."""

        async def tell_user(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "test", "user": scope["user"]})

        communicator = communicate(tell_user)
        communicator.scope["user"] = "ada"
        assert await communicator.receive_output() == {"type": "test", "user": "ada"}

    async def test_nothing_starts_before_the_first_call(self) -> None:
        """Making a communicator starts no task; its first use does, once."""
        communicator = communicate()
        before = asyncio.all_tasks()
        future = communicator.future
        assert asyncio.all_tasks() - before == {future}
        assert communicator.future is future
        communicator.stop()

    async def test_context_variables_of_the_test_do_not_leak_in(self) -> None:
        """The application starts with an empty context, as under a server."""

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "test", "value": variable.get()})

        variable.set("set by the test")
        assert await communicate(tell).receive_output() == {"type": "test", "value": "unset"}

    async def test_queues_are_open_to_inspection(self) -> None:
        """``input_queue`` and ``output_queue`` show what is under way."""
        communicator = communicate()
        await communicator.send_input({"type": "test"})
        assert communicator.input_queue.qsize() == 1
        assert await communicator.receive_nothing() is False
        assert communicator.input_queue.empty()
        assert communicator.output_queue.get_nowait() == {"type": "test"}
        communicator.stop()

    async def test_applications_of_asgi_2_are_accepted(self) -> None:
        """An application that is called twice, ``app(scope)(receive, send)``, works as it did."""

        class Legacy:
            def __init__(self, scope: Scope) -> None:
                self.scope = scope

            async def __call__(self, receive: Receive, send: Send) -> None:
                await send({"type": self.scope["type"]})

        assert await communicate(Legacy).receive_output() == {"type": "test"}

    def test_a_consumer_class_is_refused_with_advice(self) -> None:
        """A class instead of ``as_asgi()`` is named at once, not when it is called."""

        class ChatConsumer:
            @classmethod
            def as_asgi(cls) -> None:
                """Stand for the class method of consumers."""

        with pytest.raises(TypeError) as caught:
            communicate(ChatConsumer)
        assert str(caught.value).endswith(
            "ChatConsumer is a consumer class, not an ASGI application: "
            f"pass {ChatConsumer.__qualname__}.as_asgi()."
        )


@pytest.mark.row("1.9 send_input")
@pytest.mark.pain(13)
class TestTimeout:
    async def test_the_application_survives_it(self) -> None:
        """After a timeout the application still runs and can be asked again."""
        communicator = communicate()
        with pytest.raises(TimeoutError):
            await communicator.receive_output(timeout=0.001)
        assert not communicator.future.done()
        await communicator.send_input({"type": "test"})
        assert await communicator.receive_output() == {"type": "test"}
        communicator.stop()

    async def test_it_says_where_the_application_waits(self) -> None:
        """The message names file, line and function of each await, down to the innermost."""
        communicator = communicate(nested)
        with pytest.raises(TimeoutError) as caught:
            await communicator.receive_output(timeout=0.001)
        first, *stack = str(caught.value).splitlines()
        assert first == "The application sent nothing for 0.001 s. It is waiting here:"
        place = stack.index(WAITING_IN_NESTED[0])
        assert stack[place : place + 4] == WAITING_IN_NESTED
        communicator.stop()

    async def test_it_lists_what_nobody_has_taken(self) -> None:
        """The message of ``wait`` shows the events that lie in the two queues."""

        async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "test", "number": 1})
            await send({"type": "test", "text": "x" * 300})
            await asyncio.get_running_loop().create_future()

        communicator = communicate(deaf)
        await communicator.send_input({"type": "ignored"})
        assert await communicator.receive_nothing(timeout=0, interval=0) is False
        message = communicator._describe()
        long = repr({"type": "test", "text": "x" * 300})[:200]
        assert message.splitlines()[-5:] == [
            "It was given, and has not taken:",
            "  {'type': 'ignored'}",
            "It sent, and the test has not taken:",
            "  {'type': 'test', 'number': 1}",
            f"  {long}…",
        ]
        communicator.stop()

    async def test_how_long_is_said_in_one_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``default_timeout`` holds for every call that gives no timeout of its own."""
        assert (
            inspect.signature(ApplicationCommunicator.receive_output).parameters["timeout"].default
            == inspect.signature(ApplicationCommunicator.wait).parameters["timeout"].default
        )
        assert ApplicationCommunicator.default_timeout == 1
        monkeypatch.setattr(ApplicationCommunicator, "default_timeout", 0.001)
        communicator = communicate()
        with pytest.raises(TimeoutError, match=r"^The application sent nothing for 0\.001 s\."):
            await communicator.receive_output()
        with pytest.raises(TimeoutError, match=r"^The application sent nothing for 0\.002 s\."):
            await communicator.receive_output(timeout=0.002)
        await communicator.wait()
        assert communicator.future.cancelled()

    async def test_an_application_that_ended_is_not_waited_for(self) -> None:
        """Nothing can come from an application that returned, so the answer is immediate."""
        communicator = communicate()
        await communicator.send_input({"type": "end"})
        with pytest.raises(TimeoutError) as caught:
            await communicator.receive_output(timeout=None)
        assert str(caught.value) == "The application has ended and sends nothing any more."

    async def test_what_came_before_the_end_is_received(self) -> None:
        """Events that an application sent before it returned are not lost."""
        communicator = communicate()
        for kind in ("one", "two", "end"):
            await communicator.send_input({"type": kind})
        assert await communicator.receive_output() == {"type": "one"}
        assert await communicator.receive_output() == {"type": "two"}
        await communicator.wait()

    async def test_nothing_is_lost_when_the_test_gives_up_waiting(self) -> None:
        """An event that arrives after a cancelled ``receive_output`` goes to the next one."""
        communicator = communicate()
        waiting = asyncio.create_task(communicator.receive_output(timeout=None))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await communicator.send_input({"type": "test"})
        assert await communicator.receive_output() == {"type": "test"}
        communicator.stop()


@pytest.mark.row("1.9 send_input")
class TestFailure:
    async def test_every_call_after_it_raises_it(self) -> None:
        """The application's own exception comes out of the next call, and of each after that."""
        communicator = communicate(failing)
        await communicator.send_input({"type": "test"})
        assert await communicator.receive_output() == {"type": "test"}
        with pytest.raises(LookupError, match="nothing there"):
            await communicator.receive_output()
        with pytest.raises(LookupError, match="nothing there"):
            await communicator.send_input({"type": "test"})
        with pytest.raises(LookupError, match="nothing there"):
            await communicator.receive_nothing()
        with pytest.raises(LookupError, match="nothing there"):
            await communicator.wait()
        with pytest.raises(LookupError, match="nothing there"):
            communicator.stop()
        communicator.stop(exceptions=False)

    async def test_it_is_raised_without_waiting_for_the_timeout(self) -> None:
        """A failure ends a wait at once."""

        async def fail(scope: Scope, receive: Receive, send: Send) -> None:
            raise LookupError("at once")

        with pytest.raises(LookupError, match="at once"):
            await communicate(fail).receive_output(timeout=None)


@pytest.mark.row("1.9 send_input")
class TestReceiveNothing:
    async def test_silence_is_true(self) -> None:
        """An application that sends nothing gives True."""
        communicator = communicate()
        assert await communicator.receive_nothing(timeout=0.002, interval=0.001) is True
        communicator.stop()

    async def test_an_event_is_false_and_stays(self) -> None:
        """An event gives False at once and can still be received."""
        communicator = communicate()
        await communicator.send_input({"type": "test"})
        assert await communicator.receive_nothing(timeout=10, interval=0.001) is False
        assert await communicator.receive_output() == {"type": "test"}
        communicator.stop()

    async def test_the_interval_comes_before_the_timeout(self) -> None:
        """At least one whole interval passes, however short the timeout is."""
        communicator = communicate()
        await communicator.send_input({"type": "test"})
        assert await communicator.receive_nothing(timeout=0, interval=0.001) is False
        communicator.stop()


@pytest.mark.row("1.9 send_input")
class TestEnd:
    async def test_wait_returns_when_the_application_does(self) -> None:
        """``wait`` ends with the application."""
        communicator = communicate()
        await communicator.send_input({"type": "end"})
        await communicator.wait()
        assert communicator.future.done()

    async def test_wait_cancels_after_its_timeout(self, caplog: pytest.LogCaptureFixture) -> None:
        """An application that does not end is cancelled quietly, and the log says where it was."""
        communicator = communicate(nested)
        with caplog.at_level(logging.WARNING, logger="fairway.testing"):
            await communicator.wait(timeout=0.001)
        assert communicator.future.cancelled()
        (message,) = caplog.messages
        first, *stack = message.splitlines()
        assert first == (
            "The application had not ended after 0.001 s; it is cancelled. It is waiting here:"
        )
        place = stack.index(WAITING_IN_NESTED[0])
        assert stack[place : place + 4] == WAITING_IN_NESTED
        with pytest.raises(asyncio.CancelledError):
            await communicator.send_input({"type": "test"})

    async def test_wait_raises_what_cancelling_causes(self) -> None:
        """An exception out of the application's clean-up is not swallowed."""

        async def messy(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await receive()
            finally:
                raise LookupError("while cleaning up")

        communicator = communicate(messy)
        with pytest.raises(LookupError, match="while cleaning up"):
            await communicator.wait(timeout=0.001)

    async def test_stop_before_the_start_does_nothing(self) -> None:
        """``stop`` starts nothing, and what was never started needs no stop."""
        before = asyncio.all_tasks()
        communicate().stop()
        assert asyncio.all_tasks() == before

    async def test_stop_cancels(self) -> None:
        """``stop`` ends a running application without waiting for it."""
        communicator = communicate()
        await communicator.receive_nothing(timeout=0.001, interval=0.001)
        communicator.stop()
        await asyncio.wait({communicator.future})
        assert communicator.future.cancelled()

    async def test_a_forgotten_communicator_takes_its_application_along(self) -> None:
        """When the last reference goes, the application is cancelled."""
        communicator = communicate()
        await communicator.receive_nothing(timeout=0.001, interval=0.001)
        future = communicator.future
        del communicator
        gc.collect()
        await asyncio.wait({future})
        assert future.cancelled()
