"""Revocation with a real server and real clients."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.models import User
from django.http import HttpRequest
from websockets.asyncio.client import ClientConnection, connect

from fairway._types import Receive, Scope, Send
from fairway.auth import (
    AuthMiddlewareStack,
    Revalidation,
    TokenAuthMiddleware,
    TokenVerifier,
    login,
    logout,
    revoke,
)
from fairway.auth.listening import GROUP
from fairway.generic.sse import AsyncEventStreamConsumer
from fairway.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from fairway.layers import InMemoryChannelLayer, get_channel_layer
from tests.auth.conftest import browser, change, create
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Running, until
from tests.server.running import listening as listening_socket
from tests.wire import client as frames

database = pytest.mark.django_db(transaction=True)

ended: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _nobody_ended() -> None:
    ended.clear()


class Talk(AsyncWebsocketConsumer):
    """Says who talks to it."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        user = self.scope["user"]
        await self.send(f"{user.get_username()} {user.is_staff}")

    async def disconnect(self, code: int) -> None:
        ended.append((self.scope["user"].get_username(), code))


class SyncTalk(WebsocketConsumer):
    """The same, with functions."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(self.scope["user"].get_username())

    def disconnect(self, code: int) -> None:
        ended.append((self.scope["user"].get_username(), code))


def socket(running: Running, session_key: str = "") -> connect:
    """A WebSocket with a session's cookie."""
    headers = {"Cookie": f"sessionid={session_key}"} if session_key else {}
    return connect(running.url.replace("http", "ws"), additional_headers=headers)


async def says(client: ClientConnection, text: str = "?") -> str:
    """What the consumer answers."""
    await client.send(text)
    async with asyncio.timeout(DEADLINE):
        return str(await client.recv())


async def goodbye(client: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes."""
    async with asyncio.timeout(DEADLINE):
        await client.wait_closed()
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


async def listening() -> None:
    """Wait until news are heard."""
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    await until(lambda: GROUP in layer.groups)


@pytest.mark.pain(15)
@database
@pytest.mark.parametrize("consumer", [Talk, SyncTalk])
async def test_logout_on_the_site(serve: Serve, consumer: Any) -> None:
    """A logout in a view closes the sockets of that session, and of no other."""
    running = await serve(AuthMiddlewareStack(consumer.as_asgi(), revalidate=True))
    user = await create()
    here, key = await browser(user)
    _, other_key = await browser(user)
    async with socket(running, key) as mine, socket(running, other_key) as other:
        assert (await says(mine)).startswith("ada")
        await listening()
        await change(here.logout)
        assert await goodbye(mine) == (4401, "Access was revoked.")
        await until(lambda: ended == [("ada", 4401)])
        assert (await says(other)).startswith("ada")


def change_password(user: User) -> None:
    """Give a user another password, in the admin."""
    user.set_password("other")
    user.save()


def deactivate(user: User) -> None:
    """Let a user not log in any more."""
    user.is_active = False
    user.save()


def forget(user: User) -> None:
    """Delete a user; in vain, where a test goes on with the object."""
    User.objects.get(pk=user.pk).delete()


def revoke_all(user: User) -> None:
    """Throw a user out after a change that sends no signal."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    revoke(user=user)


@pytest.mark.pain(15)
@database
@pytest.mark.parametrize("action", [change_password, deactivate, forget, revoke_all])
async def test_user_whose_access_ends(serve: Serve, action: Callable[[User], None]) -> None:
    """All sockets of a user are closed, on whatever device, and nobody else's."""
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=Revalidation()))
    user, eve = await create(), await create("eve")
    _, key = await browser(user)
    _, other_key = await browser(user)
    _, eves_key = await browser(eve)
    async with (
        socket(running, key) as mine,
        socket(running, other_key) as other,
        socket(running, eves_key) as eves,
        socket(running) as nobody,
    ):
        assert await says(mine) == await says(other) == "ada False"
        await listening()
        await change(lambda: action(user))
        assert await goodbye(mine) == await goodbye(other) == (4401, "Access was revoked.")
        assert await says(eves) == "eve False"
        assert await says(nobody) == " False"
        await until(lambda: ended == [("ada", 4401), ("ada", 4401)])


@pytest.mark.pain(15)
@database
async def test_deleted_session(serve: Serve) -> None:
    """A session that is flushed takes its socket with it."""
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=True))
    client, key = await browser(await create())
    async with socket(running, key) as mine:
        assert await says(mine) == "ada False"
        await listening()
        await change(client.session.flush)
        assert await goodbye(mine) == (4401, "Access was revoked.")


@database
async def test_changed_rights(serve: Serve) -> None:
    """A user who may do more than before, or less, is so in the open socket."""
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=True))
    user = await create()
    _, key = await browser(user)
    async with socket(running, key) as mine:
        assert await says(mine) == "ada False"
        await listening()
        user.is_staff = True
        await change(user.save)
        while await says(mine) != "ada True":
            pass


@database
async def test_own_password(serve: Serve) -> None:
    """Who changes their password stays logged in on the site, and can come back at once."""
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=True))
    user = await create()
    client, key = await browser(user)

    def change_own_password() -> str:
        request = HttpRequest()
        request.session, request.user = client.session, user
        change_password(user)
        update_session_auth_hash(request, user)
        request.session.save()
        return request.session.session_key or ""

    async with socket(running, key) as mine:
        assert await says(mine) == "ada False"
        await listening()
        new_key: list[str] = []
        await change(lambda: new_key.append(change_own_password()))
        assert await goodbye(mine) == (4401, "Access was revoked.")
    async with socket(running, new_key[0]) as again:
        assert await says(again) == "ada False"


@pytest.mark.pain(15)
@database
async def test_client_that_does_not_go(serve: Serve) -> None:
    """What a client sends after its end is not handled, though it leaves the Close unanswered."""
    heard: list[str | None] = []

    class Listens(Talk):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            heard.append(text_data)

    running = await serve(AuthMiddlewareStack(Listens.as_asgi(), revalidate=True))
    client, key = await browser(await create())
    raw = await running.websocket()
    assert b" 101 " in await raw.open("/", f"Cookie: sessionid={key}")
    await raw.send(frames.text("before"))
    await until(lambda: heard == ["before"])
    await listening()
    await change(client.logout)
    assert await raw.goodbye() == (4401, "Access was revoked.")
    await raw.send(frames.text("after"))
    await until(lambda: ended == [("ada", 4401)])
    raw.close()
    await until(lambda: not running.websockets)
    assert heard == ["before"]
    assert [record.status for record in running.records if record.action == "disconnected"] == [
        1006
    ]


@database
async def test_one_subscription(serve: Serve) -> None:
    """However many sockets there are, the process listens once, and leaves when they are gone."""
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=True))
    keys = [(await browser(await create(name)))[1] for name in ("ada", "eve", "joe")]
    sockets = [await socket(running, key) for key in keys]
    await listening()
    assert len(layer.groups[GROUP]) == 1
    for client in sockets:
        await client.close()
    await until(lambda: GROUP not in layer.groups)


@database
async def test_short_way_stays_open(serve: Serve) -> None:
    """Group messages are still written to sockets past their consumers."""
    inside: list[Talk] = []

    class Member(Talk):
        groups = ["news"]

        async def connect(self) -> None:
            inside.append(self)
            await self.accept()

    running = await serve(AuthMiddlewareStack(Member.as_asgi(), revalidate=True))
    _, key = await browser(await create())
    async with socket(running, key) as mine:
        mailbox = inside[0]._fw_mailbox
        assert mailbox is not None
        assert mailbox.direct is not None
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send("news", {"type": "websocket.send", "text": "hello"})
        assert await mine.recv() == "hello"


@pytest.mark.pain(15)
@database
async def test_per_message(serve: Serve) -> None:
    """A message of somebody who has no access any more is not handled."""
    policy = Revalidation(interval=None, per_message=True, at_once=False)
    running = await serve(AuthMiddlewareStack(Talk.as_asgi(), revalidate=policy))
    user = await create()
    _, key = await browser(user)
    async with socket(running, key) as mine:
        assert await says(mine) == "ada False"
        await change(lambda: User.objects.update(is_staff=True))
        assert await says(mine) == "ada True"
        await change(lambda: User.objects.update(is_active=False))
        await mine.send("?")
        assert await goodbye(mine) == (4401, "Access was revoked.")
    await until(lambda: ended == [("ada", 4401)])


@database
async def test_login_and_logout_in_the_socket(serve: Serve) -> None:
    """A login turns its session's key over, and a logout ends the session: the socket goes on."""

    class Doors(Talk):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None
        ) -> None:
            if text_data == "in":
                await login(self.scope, await User.objects.aget())
            elif text_data == "out":
                await logout(self.scope)
            await super().receive(text_data)

    running = await serve(AuthMiddlewareStack(Doors.as_asgi(), revalidate=True))
    user = await create()
    async with socket(running) as mine:
        await listening()
        assert await says(mine, "in") == "ada False"
        # It is found by the user who is now there, and a check does not miss the unsaved session.
        user.is_staff = True
        await change(user.save)
        while await says(mine) != "ada True":
            pass
        assert await says(mine, "out") == " False"
        await change(user.delete)
        assert await says(mine) == " False"
        assert await says(mine, "") == " False"


@pytest.mark.pain(15)
@database
async def test_stream(serve: Serve) -> None:
    """A response that does not end is ended, and its application is told."""
    over: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        while (event := await receive())["type"] != "http.disconnect":
            pass
        over.append(event["type"])

    running = await serve(AuthMiddlewareStack(stream, revalidate=True))
    client, key = await browser(await create())
    async with (
        httpx.AsyncClient(timeout=DEADLINE) as http,
        http.stream("GET", running.url, headers={"Cookie": f"sessionid={key}"}) as response,
    ):
        assert response.status_code == 200
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"data: 1\n\n"
        await listening()
        await change(client.logout)
        assert [piece async for piece in pieces] == []
    await until(lambda: over == ["http.disconnect"])


SECRET = "a secret that only the issuer and we know"


def token(user: User, expires_at: float) -> str:
    """A token of a user that is good until some moment."""
    return jwt.encode({"sub": str(user.pk), "exp": expires_at}, SECRET)


@pytest.mark.pain(15)
@database
@pytest.mark.parametrize("consumer", [Talk, SyncTalk])
async def test_token_that_expires(serve: Serve, consumer: Any) -> None:
    """A socket ends when its token does."""
    now = [1000.0]
    verifier = TokenVerifier(SECRET, algorithms=["HS256"], clock=lambda: now[0])
    running = await serve(TokenAuthMiddleware(consumer.as_asgi(), verifier))
    user = await create()
    headers = {"Authorization": f"Bearer {token(user, 1000.01)}"}
    async with connect(running.url.replace("http", "ws"), additional_headers=headers) as mine:
        assert (await says(mine)).startswith("ada")
        now[0] = 1000.02
        assert await goodbye(mine) == (4401, "The token has expired.")
    await until(lambda: ended == [("ada", 4401)])


@pytest.mark.pain(15)
@database
async def test_token_of_a_browser(serve: Serve) -> None:
    """A token among the subprotocols opens the socket, and a new one comes over it."""
    verifier = TokenVerifier(SECRET, algorithms=["HS256"])
    application = TokenAuthMiddleware(Talk.as_asgi(), verifier, renewal=True, revalidate=True)
    running = await serve(application)
    user = await create()
    url = running.url.replace("http", "ws")
    expires_at = time.time() + 3600
    offered: Any = ["bearer", token(user, expires_at)]
    async with connect(url, subprotocols=offered) as mine:
        assert mine.subprotocol == "bearer"
        assert await says(mine) == "ada False"
        renewal = {"type": "auth.renew", "token": token(user, expires_at + 3600)}
        answer = json.loads(await says(mine, json.dumps(renewal)))
        assert answer == {"type": "auth.renewed", "expires_at": expires_at + 3600}
        await listening()
        await change(lambda: deactivate(user))
        assert await goodbye(mine) == (4401, "Access was revoked.")


@database
async def test_bad_token(serve: Serve) -> None:
    """The handshake is answered with 401, and the log does not say the token."""
    verifier = TokenVerifier(SECRET, algorithms=["HS256"])
    running = await serve(TokenAuthMiddleware(Talk.as_asgi(), verifier))
    challenge = (
        'Bearer realm="fairway", error="invalid_token", error_description="The token is not valid."'
    )
    socket, plain = await running.websocket(), await running.connect()
    head = (await socket.open("/?token=x.y.z")).decode()
    assert head.startswith("HTTP/1.1 401 Unauthorized\r\n")
    assert f"www-authenticate: {challenge}\r\n" in head
    response = await plain.fetch("/?token=x.y.z")
    assert (response.status, response["WWW-Authenticate"]) == (401, challenge)
    assert response.body == b"The token is not valid."
    assert {record.path for record in running.records} == {"/?token=***"}


@pytest.mark.pain(15)
@database
async def test_another_server() -> None:
    """Under uvicorn the socket is closed and the consumer told in the same way."""
    application = AuthMiddlewareStack(Talk.as_asgi(), revalidate=True)
    client, key = await browser(await create())
    listener = listening_socket()
    config = uvicorn.Config(application, lifespan="off", log_config=None, ws="websockets-sansio")
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve([listener]))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    await until(lambda: server.started)
    async with connect(url, additional_headers={"Cookie": f"sessionid={key}"}) as mine:
        assert await says(mine) == "ada False"
        await listening()
        await change(client.logout)
        assert await goodbye(mine) == (4401, "Access was revoked.")
    await until(lambda: ended == [("ada", 4401)])
    server.should_exit = True
    await running


@pytest.mark.pain(15)
@database
async def test_event_stream(serve: Serve) -> None:
    """An event stream ends, and its consumer is told."""
    told: list[str] = []

    class Stream(AsyncEventStreamConsumer):
        async def connect(self, last_event_id: str | None) -> None:
            await self.send_event("hello")

        async def disconnect(self) -> None:
            told.append(self.scope["user"].get_username())

    running = await serve(AuthMiddlewareStack(Stream.as_asgi(), revalidate=True))
    client, key = await browser(await create())
    async with (
        httpx.AsyncClient(timeout=DEADLINE) as http,
        http.stream("GET", running.url, headers={"Cookie": f"sessionid={key}"}) as response,
    ):
        lines = response.aiter_lines()
        while await anext(lines) != "data: hello":
            pass
        await listening()
        await change(client.logout)
        assert [line async for line in lines if line] == []
    await until(lambda: told == ["ada"])
