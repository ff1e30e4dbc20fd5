"""What ``LifespanCommunicator`` promises."""

import pytest

from fairway._types import Receive, Scope, Send
from fairway.consumer import AsyncConsumer
from fairway.server.application.lifespan import LifespanFailed
from fairway.testing import HttpCommunicator, LifespanCommunicator

UNEXPECTED = (
    "Expected type 'lifespan.startup.complete' or 'lifespan.startup.failed', "
    "but was 'http.response.start'"
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Keep a pool while it lives, and answer with what is in it."""
    if scope["type"] == "lifespan":
        assert await receive() == {"type": "lifespan.startup"}
        scope["state"]["pool"] = pool = ["open"]
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        pool[0] = "closed"
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    body = scope["state"]["pool"][0].encode()
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the startup with what the scope says, and the shutdown as it should be."""
    await receive()
    await send(scope["answer"])
    await receive()
    await send({"type": "lifespan.shutdown.failed"})


async def test_the_application_lives_while_the_block_does() -> None:
    """It is started before, ended after, and its state is for the scopes in between."""
    async with LifespanCommunicator(application) as lifespan:
        request = HttpCommunicator(application, "GET", "/", state=lifespan.state)
        assert (await request.get_response())["body"] == b"open"
    assert lifespan.state == {"pool": ["closed"]}
    assert lifespan.future.done()


def test_the_scope_is_a_servers() -> None:
    """See https://asgi.readthedocs.io/en/latest/specs/lifespan.html#scope."""
    assert LifespanCommunicator(application).scope == {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": {},
    }


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            {"type": "lifespan.startup.failed", "message": "no database"},
            LifespanFailed,
            "no database",
        ),
        ({"type": "lifespan.startup.failed"}, LifespanFailed, "it gave no reason."),
        (
            {"type": "http.response.start"},
            AssertionError,
            UNEXPECTED,
        ),
    ],
)
async def test_what_is_no_start_fails(
    answer: dict[str, str], error: type[Exception], message: str
) -> None:
    """An application that cannot start says why, in the words of its own."""
    communicator = LifespanCommunicator(answering)
    communicator.scope["answer"] = answer
    with pytest.raises(error) as caught:
        await communicator.startup()
    assert str(caught.value) == message
    communicator.stop()


async def test_an_end_that_fails() -> None:
    """So does one that cannot end."""
    communicator = LifespanCommunicator(answering)
    communicator.scope["answer"] = {"type": "lifespan.startup.complete"}
    await communicator.startup()
    with pytest.raises(LifespanFailed, match=r"^it gave no reason\.$"):
        await communicator.shutdown()


async def test_an_application_without_lifespan_says_so() -> None:
    """What a server takes for "go on without" is the test's mistake here."""
    with pytest.raises(ValueError, match=r"^No handler for message type lifespan\.startup$"):
        await LifespanCommunicator(AsyncConsumer.as_asgi()).startup()
