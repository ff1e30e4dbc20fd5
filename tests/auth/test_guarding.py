"""Applications whose connections can be ended."""

import asyncio
import gc
import weakref

import pytest

from fairway._types import Event, Receive, Scope, Send
from fairway.auth import Revalidation, connections
from fairway.auth.connections import CONNECTION, Connection
from fairway.auth.guarding import Guard, Intercept, control_message
from fairway.delivery import Mailbox, Outbox
from fairway.exceptions import ClientDisconnected
from tests.auth.test_endings import CLOSE, DISCONNECT, Client
from tests.auth.watching import Identity
from tests.server.running import until

NONE = Revalidation(interval=None, at_once=False)
PER_MESSAGE = Revalidation(interval=None, at_once=False, per_message=True)


class Application:
    """An application that waits for the end, and keeps what it got.

    Attributes:
        scope: Its scope.
        ends: What it was passed.
        events: What it received.
    """

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.ends: tuple[Receive, Send] | None = None
        self.events: list[Event] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.ends = scope, (receive, send)
        while not self.events or not self.events[-1]["type"].endswith(".disconnect"):
            self.events.append(await receive())


async def identify(connection: Connection) -> None:
    """It is user 7."""
    connection.identify("7", "abc")


def outbox(client: Client) -> Outbox:
    """What our server passes as ``send`` of a WebSocket."""
    return Outbox(lambda data: None, client.send, lambda *words: None)


class TestWhatIsPassed:
    """The short way between channel layer and socket stays open."""

    async def test_our_websocket(self) -> None:
        """Our server's mailbox and outbox are passed on as they are."""
        mailbox, application = Mailbox(asyncio.get_running_loop()), Application()
        mailbox.put_disconnect(DISCONNECT)
        send = outbox(Client())
        await Guard({"type": "websocket"}, mailbox, send, Identity(), NONE).run(
            application, identify
        )
        assert application.ends == (mailbox, send)

    async def test_our_websocket_per_message(self) -> None:
        """Checks of messages wrap what is received, and nothing else."""
        mailbox, application = Mailbox(asyncio.get_running_loop()), Application()
        mailbox.put_disconnect(DISCONNECT)
        send = outbox(Client())
        guard = Guard({"type": "websocket"}, mailbox, send, Identity(), PER_MESSAGE)
        await guard.run(application, identify)
        assert application.ends is not None
        assert application.ends[0] is not mailbox
        assert application.ends[1] is send

    async def test_our_http(self) -> None:
        """The mailbox of a request, too."""
        mailbox, application = Mailbox(asyncio.get_running_loop()), Application()
        mailbox.put_disconnect({"type": "http.disconnect"})
        await Guard({"type": "http"}, mailbox, Client().send, Identity(), NONE).run(
            application, identify
        )
        assert application.ends is not None
        assert application.ends[0] is mailbox


class TestWebSocket:
    """Under a server of somebody else's."""

    async def test_ended(self) -> None:
        """It is closed, its application is told, and nobody hears of it as an error."""
        client, application = Client(), Application()

        async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
            await application(scope, receive, send)
            await send({"type": "websocket.send", "text": "still here"})

        guard = Guard({"type": "websocket"}, client.receive, client.send, Identity(), NONE)
        running = asyncio.ensure_future(guard.run(stubborn, identify))
        client.events.put_nowait({"type": "websocket.connect"})
        await until(lambda: application.events)
        assert application.scope[CONNECTION] is guard.connection
        guard.connection.end("Gone.")
        await running
        assert application.events == [{"type": "websocket.connect"}, DISCONNECT]
        assert client.sent == [CLOSE]
        assert connections._watches == {}

    async def test_client_gone(self) -> None:
        """What an application raises because its client went passes through."""

        async def late(scope: Scope, receive: Receive, send: Send) -> None:
            raise ClientDisconnected("gone")

        client = Client()
        guard = Guard({"type": "websocket"}, client.receive, client.send, Identity(), NONE)
        with pytest.raises(ClientDisconnected):
            await guard.run(late, identify)
        assert connections._watches == {}

    @pytest.mark.parametrize("ours", [True, False])
    async def test_per_message(self, *, ours: bool) -> None:
        """Each message is checked before it is handed on; other events are not."""
        client, application, identity = Client(), Application(), Identity()
        messages: list[Event] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "a"},
            {"type": "websocket.receive", "bytes": b"b"},
            {"type": "websocket.receive", "text": "c"},
        ]
        mailbox = Mailbox(asyncio.get_running_loop())
        for event in messages:
            client.events.put_nowait(event)
            mailbox.put_event(event)
        guard = Guard(
            {"type": "websocket"},
            mailbox if ours else client.receive,
            outbox(client) if ours else client.send,
            identity,
            PER_MESSAGE,
        )

        async def check() -> str | None:
            identity.checks += 1
            return "Gone." if identity.checks == 3 else None

        identity.check = check  # type: ignore[method-assign]  # a check that changes its mind
        await guard.run(application, identify)
        assert application.events == [*messages[:3], DISCONNECT]
        assert identity.checks == 3

    async def test_intercept(self) -> None:
        """Messages for us go no further."""
        client, application = Client(), Application()
        seen: list[str] = []

        async def intercept(text: str) -> bool:
            seen.append(text)
            return text == "ours"

        wanted: Intercept = intercept
        events: list[Event] = [
            {"type": "websocket.receive", "text": "ours"},
            {"type": "websocket.receive", "text": "yours"},
            {"type": "websocket.receive", "bytes": b"ours"},
            {"type": "websocket.disconnect", "code": 1000},
        ]
        for event in events:
            client.events.put_nowait(event)
        scope = {"type": "websocket"}
        await Guard(scope, client.receive, client.send, Identity(), None, intercept=wanted).run(
            application, identify
        )
        assert application.events == events[1:]
        assert seen == ["ours", "yours"]


class TestHTTP:
    """Only streams are watched."""

    async def test_ordinary_response(self) -> None:
        """A response in one piece is never found by anybody."""
        client, identity = Client(), Identity()
        watched: list[bool] = []

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x"})
            watched.append(scope[CONNECTION].watched)

        guard = Guard({"type": "http"}, client.receive, client.send, identity, NONE)
        await guard.run(answer, identify)
        assert watched == [False]
        assert len(client.sent) == 2
        assert connections._watches == {}

    async def test_stream(self) -> None:
        """A stream is, from its first part on, and is checked since that may be late."""
        client, identity = Client(), Identity()
        policy = Revalidation(interval=None)
        events: list[Event] = []

        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            events.append(await receive())

        identity.reason = "Gone."
        guard = Guard({"type": "http"}, client.receive, client.send, identity, policy)
        await guard.run(stream, identify)
        assert events == [{"type": "http.disconnect"}]
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("scope_type", ["websocket", "http"])
@pytest.mark.parametrize("policy", [NONE, PER_MESSAGE])
async def test_nothing_is_left(scope_type: str, policy: Revalidation) -> None:
    """What belongs to a connection goes with it, and does not wait for the garbage collector."""

    async def run() -> "weakref.ref[Identity]":
        client, identity = Client(), Identity()
        client.events.put_nowait({"type": f"{scope_type}.disconnect"})
        scope = {"type": scope_type, "identity": identity}
        guard = Guard(scope, client.receive, client.send, identity, policy)
        await guard.run(Application(), identify)
        return weakref.ref(identity)

    gc.collect()
    gc.disable()
    try:
        assert (await run())() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"type": "auth.renew", "token": "x"}', {"type": "auth.renew", "token": "x"}),
        ('{"token":"x","type":"auth.renew"}', {"token": "x", "type": "auth.renew"}),
        ('{"type": "chat", "text": "auth.renew"}', None),
        ('{"type": "chat", "text": "\\"auth.renew\\""}', None),
        ('["auth.renew"]', None),
        ('"auth.renew"', None),
        ('{"type": "auth.renew"', None),
        ("hello", None),
        ("", None),
        ('{"type": "auth.renew", "token": "' + 100 * "x" + '"}', None),
    ],
)
def test_control_message(text: str, found: dict[str, object] | None) -> None:
    """Only a JSON object of the wanted type, and of reasonable size, is for us."""
    assert control_message(text, "auth.renew", 100) == found
