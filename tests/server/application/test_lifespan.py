"""The application's own start and end: https://asgi.readthedocs.io/en/latest/specs/lifespan.html."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.exceptions import WrongState
from fairway.server.application import lifespan as lifespan_module
from fairway.server.application.lifespan import Lifespan, LifespanFailed
from tests.server.running import DEADLINE, Logs


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that hangs gets hardly any time for its last words."""
    monkeypatch.setattr(lifespan_module, "LAST_WORDS", 0.05)


class Recorder:
    """An application that takes part in the protocol.

    Attributes:
        log: What it went through.
    """

    def __init__(self, *, startup: Event | None = None, shutdown: Event | None = None) -> None:
        self.log: list[object] = []
        self._startup = startup or {"type": "lifespan.startup.complete"}
        self._shutdown = shutdown or {"type": "lifespan.shutdown.complete"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer both events as it was told to."""
        self.log.append(scope)
        self.log.append(await receive())
        scope["state"]["started"] = True
        await send(self._startup)
        self.log.append(await receive())
        await send(self._shutdown)
        self.log.append("returned")


def fails(action: Callable[[Receive, Send], Awaitable[None]]) -> object:
    """An application that does something in its lifespan and then raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await action(receive, send)
        raise ZeroDivisionError("oh")

    return app


async def run(app: object, mode: str = "auto") -> Lifespan:
    """Start an application."""
    lifespan = Lifespan(app, mode)  # type: ignore[arg-type]  # some of them are none
    async with asyncio.timeout(DEADLINE):
        await lifespan.startup()
    return lifespan


async def end(lifespan: Lifespan) -> None:
    """End it."""
    async with asyncio.timeout(DEADLINE):
        await lifespan.shutdown()


class TestComplete:
    """An application that takes part."""

    @pytest.mark.parametrize("mode", ["auto", "on"])
    async def test_start_and_end(self, mode: str) -> None:
        """It is started once, keeps its state, and is ended."""
        app = Recorder()
        lifespan = await run(app, mode)
        assert lifespan.state == {"started": True}
        await end(lifespan)
        assert app.log == [
            {
                "type": "lifespan",
                "asgi": {"version": "3.0", "spec_version": "2.0"},
                "state": {"started": True},
            },
            {"type": "lifespan.startup"},
            {"type": "lifespan.shutdown"},
            "returned",
        ]
        await end(lifespan)
        await lifespan.abandon("is over")

    async def test_off(self) -> None:
        """Switched off, it is not called at all."""
        app = Recorder()
        lifespan = await run(app, "off")
        await end(lifespan)
        assert app.log == []
        assert lifespan.state == {}

    async def test_start_is_waited_for(self) -> None:
        """The start takes as long as the application takes."""
        started, go_on = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            started.set()
            await go_on.wait()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

        starting = asyncio.ensure_future(run(app))
        await started.wait()
        assert not starting.done()
        go_on.set()
        await end(await starting)


class TestStartupFailed:
    """An application that says that it cannot start."""

    async def test_message(self) -> None:
        """Its message is the error's."""
        failed = {"type": "lifespan.startup.failed", "message": "no database"}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(failed)

        with pytest.raises(LifespanFailed, match=r"^no database$"):
            await run(app)

    async def test_without_message(self) -> None:
        """Without one, that is what is said."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed"})

        with pytest.raises(LifespanFailed, match=r"^it gave no reason\.$"):
            await run(app)

    async def test_then_raises(self, logs: Logs) -> None:
        """An exception after its answer is logged with its traceback, once."""

        async def fail(receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        with pytest.raises(LifespanFailed, match="no database"):
            await run(fails(fail))
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: oh", ZeroDivisionError)
        ]

    async def test_then_hangs(self, logs: Logs) -> None:
        """An application that does not end after its answer is cancelled; the log says where."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            await asyncio.Event().wait()

        with pytest.raises(LifespanFailed, match="no database"):
            await run(app)
        (message,) = logs.take()
        assert message.startswith(
            "WARNING The application's lifespan did not end within 0.05 s after its last answer; "
            "it was cancelled. It was waiting here:\n"
        )
        assert "await asyncio.Event().wait()" in message


async def nothing(receive: Receive, send: Send) -> None:
    """Does not look at the event."""


async def looks(receive: Receive, send: Send) -> None:
    """Takes the event."""
    await receive()


async def answers_a_request(receive: Receive, send: Send) -> None:
    """Takes everything for a request."""
    await receive()
    await send({"type": "http.response.start", "status": 200})


class TestOtherApplications:
    """Applications that do not take part, or fail."""

    @pytest.mark.parametrize("action", [nothing, answers_a_request])
    async def test_unknown(self, action: Callable[[Receive, Send], Awaitable[None]]) -> None:
        """One that does not know the protocol is served without it, and nobody is alarmed."""
        lifespan = await run(fails(action))
        await end(lifespan)

    async def test_not_callable_so(self) -> None:
        """Nor if it cannot be called at all."""
        lifespan = await run(lambda scope: None)
        await end(lifespan)

    async def test_returned(self) -> None:
        """Nor if it just returns."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            return

        await end(await run(app))

    async def test_startup_raised(self, logs: Logs) -> None:
        """One that took the event and raised is served all the same, and its exception logged."""
        lifespan = await run(fails(looks))
        await end(lifespan)
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: oh", ZeroDivisionError)
        ]

    @pytest.mark.parametrize("action", [nothing, looks])
    async def test_required(
        self, action: Callable[[Receive, Send], Awaitable[None]], logs: Logs
    ) -> None:
        """Where the protocol is required, the start fails, and the log shows the traceback."""
        with pytest.raises(LifespanFailed, match=r"^ZeroDivisionError: oh$"):
            await run(fails(action), "on")
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: oh", ZeroDivisionError)
        ]

    async def test_required_and_returned(self) -> None:
        """Just to return is a failure then, too."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            return

        with pytest.raises(LifespanFailed, match=r"^it returned$"):
            await run(app, "on")

    async def test_exit(self, logs: Logs) -> None:
        """``sys.exit()`` in it ends the lifespan and not the server."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            raise SystemExit(3)

        await run(app)
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: 3", SystemExit)
        ]

    async def test_raised_between(self, logs: Logs) -> None:
        """An exception between start and end is logged, and there is nothing left to end."""

        async def fail(receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})

        lifespan = await run(fails(fail))
        await asyncio.sleep(0)
        await end(lifespan)
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: oh", ZeroDivisionError)
        ]


class TestShutdown:
    """The end."""

    @pytest.mark.parametrize(
        ("answer", "text"),
        [({"message": "no disk"}, "no disk"), ({}, "it gave no reason.")],
    )
    async def test_failed(self, answer: Event, text: str, logs: Logs) -> None:
        """A failure is logged, and ends the application nevertheless."""
        app = Recorder(shutdown={"type": "lifespan.shutdown.failed", **answer})
        await end(await run(app))
        assert app.log[-1] == "returned"
        assert logs.take() == [f"ERROR The application did not shut down cleanly: {text}"]

    async def test_raised(self, logs: Logs) -> None:
        """An exception is logged with its traceback, once."""

        async def fail(receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()

        await end(await run(fails(fail)))
        assert logs.take_exceptions() == [
            ("ERROR Exception in the application's lifespan: oh", ZeroDivisionError)
        ]

    async def test_returned(self) -> None:
        """To return is an answer."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()

        await end(await run(app))

    async def test_hangs_after_answer(self, logs: Logs) -> None:
        """An application that does not end after its answer is cancelled; the log says where."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await Recorder()(scope, receive, send)
            await asyncio.Event().wait()

        await end(await run(app))
        (message,) = logs.take()
        assert "did not end within 0.05 s after its last answer" in message

    async def test_abandoned(self, logs: Logs) -> None:
        """Given up while it hangs, it is cancelled, and the log says why and where."""
        cancelled = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        lifespan = await run(app)
        ending = asyncio.ensure_future(lifespan.shutdown())
        await asyncio.sleep(0)
        ending.cancel()
        await lifespan.abandon("did not end in time")
        assert cancelled == [True]
        (message,) = logs.take()
        assert message.startswith(
            "WARNING The application's lifespan did not end in time; it was cancelled. "
            "It was waiting here:\n"
        )
        assert "await asyncio.Event().wait()" in message


class TestWrongState:
    """What is sent out of turn is refused by name."""

    @pytest.mark.parametrize(
        "kind",
        [
            "lifespan.shutdown.complete",
            "lifespan.shutdown.failed",
            "lifespan.startup",
            "http.response.start",
        ],
    )
    async def test_at_start(self, kind: str) -> None:
        """The start takes its own two answers."""
        errors: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            try:
                await send({"type": kind})
            except WrongState as error:
                errors.append(str(error))
            await send({"type": "lifespan.startup.complete"})
            await receive()

        await end(await run(app))
        (message,) = errors
        assert message == (
            f"Cannot send {kind!r}: the lifespan was asked for its startup and takes "
            "'lifespan.startup.complete' or 'lifespan.startup.failed'."
        )

    async def test_in_between_and_at_the_end(self) -> None:
        """In between it takes nothing; at the end the other two."""
        errors: list[str] = []
        complete = {"type": "lifespan.startup.complete"}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(complete)
            for _ in range(2):
                try:
                    await send(complete)
                except WrongState as error:
                    errors.append(str(error))
                await receive() if len(errors) == 1 else None

        await end(await run(app))
        assert errors == [
            f"Cannot send 'lifespan.startup.complete': {why}" for why in (IDLE, ENDING)
        ]


IDLE = "the lifespan takes nothing until it is asked."
ENDING = (
    "the lifespan was asked for its shutdown and takes "
    "'lifespan.shutdown.complete' or 'lifespan.shutdown.failed'."
)
