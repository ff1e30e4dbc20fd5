"""Users with tokens."""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured

from fairway._types import Event, Headers, Receive, Scope, Send
from fairway.auth import (
    AuthMiddlewareStack,
    TokenAuthMiddleware,
    TokenRefused,
    TokenVerifier,
    login,
    renew,
    revoke,
)
from fairway.auth.connections import CONNECTION
from fairway.auth.listening import GROUP
from fairway.auth.token_middleware import Source
from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.layers import InMemoryChannelLayer, get_channel_layer
from fairway.testing import HttpCommunicator, WebsocketCommunicator
from tests.auth.conftest import browser, change, create
from tests.auth.signing import ANOTHER, NOW, SECRET, token
from tests.server.running import until

SOURCES = 'A token is looked for in a list of "header", "subprotocol" and "query"'

database = pytest.mark.django_db(transaction=True)

VERIFIER = TokenVerifier(SECRET, algorithms=["HS256"], clock=lambda: NOW)

INVALID = (
    b"www-authenticate",
    b'Bearer realm="fairway", error="invalid_token", error_description="The token is not valid."',
)
MISSING = (b"www-authenticate", b'Bearer realm="fairway"')


def ada(claims: Mapping[str, Any]) -> Any:
    """The user of every token with sub 7, without a database."""
    return User(pk=7, username="ada") if claims["sub"] == "7" else None


class Consumer(AsyncWebsocketConsumer):
    """Keeps the scopes that it gets, and renews tokens."""

    scopes: list[Scope] = []

    async def connect(self) -> None:
        self.scopes.append(self.scope)
        await self.accept("chat" if self.scope["subprotocols"] == ["chat"] else None)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await self.send(str(await renew(self.scope, text_data or "")))
        except TokenRefused as refusal:
            await self.send(refusal.reason)


@pytest.fixture(autouse=True)
def scopes() -> list[Scope]:
    """The scopes of the consumers of this test."""
    Consumer.scopes = []
    return Consumer.scopes


def application(**options: Any) -> TokenAuthMiddleware:
    """The consumer behind tokens."""
    return TokenAuthMiddleware(Consumer.as_asgi(), VERIFIER, **{"get_user": ada, **options})


def bearer(text: str) -> Headers:
    """The field with a token."""
    return [(b"authorization", f"Bearer {text}".encode())]


def client(
    middleware: Any,
    query: str = "",
    headers: Headers | None = None,
    subprotocols: list[str] | None = None,
    *,
    denial: bool = True,
) -> WebsocketCommunicator:
    """A client with a token somewhere, of a server that can answer 401 or not."""
    made = WebsocketCommunicator(middleware, f"/?{query}", headers or [], subprotocols)
    made.scope["extensions"] = {"websocket.http.response": {}} if denial else {}
    return made


class TestSources:
    """Where a token may be."""

    @pytest.mark.parametrize(
        ("query", "headers", "subprotocols", "answer"),
        [
            (f"token={token()}", [], [], None),
            (f"a=b&token={token()}", [], [], None),
            ("", bearer(token()), [], None),
            ("", [(b"authorization", b"bEARER  " + token().encode() + b" ")], [], None),
            ("", [], ["bearer", token()], "bearer"),
            ("", [], ["bearer", token(), "chat"], "chat"),
            ("", [], ["other", "bearer", token()], "bearer"),
            ("", [], [f"bearer.{token()}", "chat"], "chat"),
            ("", [], ["other", f"bearer.{token()}"], "other"),
            ("", [], [f"bearer.{token()}"], f"bearer.{token()}"),
        ],
    )
    async def test_found(
        self,
        scopes: list[Scope],
        query: str,
        headers: Headers,
        subprotocols: list[str],
        answer: str | None,
    ) -> None:
        """The user is there, and a browser is named one of the subprotocols that it offers."""
        websocket = client(application(), query, headers, subprotocols)
        assert await websocket.connect() == (True, answer)
        (scope,) = scopes
        assert scope["user"].username == "ada"
        assert scope["user"].__class__ is User
        assert scope["claims"]["sub"] == "7"
        assert not any("bearer" in entry or "." in entry for entry in scope["subprotocols"])
        await websocket.disconnect()

    @pytest.mark.parametrize(
        ("query", "headers", "subprotocols"),
        [
            ("", [], []),
            ("token", [], []),
            (f"other_token={token()}", [], []),
            ("", [(b"authorization", b"Basic YTpi")], []),
            ("", [(b"authorization", b"Bearer")], []),
            ("", [], ["bearer"]),
            ("", [], [token(), "chat"]),
        ],
    )
    async def test_none(self, query: str, headers: Headers, subprotocols: list[str]) -> None:
        """Who brings no token is told that one is wanted."""
        websocket = client(application(), query, headers, subprotocols)
        assert await websocket.connect() == (False, 401)
        assert websocket.denial_response is not None
        assert MISSING in websocket.denial_response["headers"]
        assert websocket.denial_response["body"] == b"A token is required."

    @pytest.mark.parametrize(
        ("sources", "good"),
        [(["header", "query"], True), (["query", "header"], False), (["query"], False)],
    )
    async def test_order(self, sources: list[Source], *, good: bool) -> None:
        """The first token counts, also if it is bad."""
        websocket = client(application(sources=sources), "token=bad", bearer(token()))
        assert (await websocket.connect())[0] is good
        if good:
            await websocket.disconnect()

    async def test_source_that_is_not_wanted(self) -> None:
        """Where none is looked for, none is found."""
        websocket = client(application(sources=["header"]), f"token={token()}")
        assert await websocket.connect() == (False, 401)

    async def test_name_of_the_parameter(self) -> None:
        """The parameter may have another name."""
        websocket = client(application(query_parameter="jwt_token"), f"jwt_token={token()}")
        assert await websocket.connect() == (True, None)
        await websocket.disconnect()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"query_parameter": "jwt"},
                (
                    "The query parameter 'jwt' must end in \"token\": what such parameters say is "
                    "left out of the server's log."
                ),
            ),
            ({"sources": ["cookie"]}, f"{SOURCES}, not ['cookie']."),
            ({"sources": "header"}, f"{SOURCES}, not 'header'."),
        ],
    )
    def test_mistakes(self, options: dict[str, Any], message: str) -> None:
        """What cannot work is refused at the start."""
        with pytest.raises(ImproperlyConfigured) as caught:
            application(**options)
        assert str(caught.value) == message


class TestRefusal:
    """Who has to stay outside."""

    @pytest.mark.parametrize("text", ["bad", token(ANOTHER), token(sub="8")])
    async def test_websocket(self, scopes: list[Scope], text: str) -> None:
        """A handshake with a bad token is answered 401 where the server can."""
        websocket = client(application(), headers=bearer(text))
        assert await websocket.connect() == (False, 401)
        assert websocket.denial_response is not None
        assert INVALID in websocket.denial_response["headers"]
        assert websocket.denial_response["body"] == b"The token is not valid."
        assert scopes == []

    async def test_websocket_of_another_server(self) -> None:
        """Where it cannot, it is closed with 4401."""
        websocket = client(application(), headers=bearer("bad"), denial=False)
        await websocket.send_input({"type": "websocket.connect"})
        assert await websocket.receive_output() == {
            "type": "websocket.close",
            "code": 4401,
            "reason": "The token is not valid.",
        }
        await websocket.wait()

    async def test_client_that_has_gone(self) -> None:
        """Who did not wait gets no answer."""
        websocket = client(application(), headers=bearer("bad"))
        await websocket.send_input({"type": "websocket.disconnect", "code": 1006})
        await websocket.wait()
        assert await websocket.receive_nothing()

    async def test_http(self) -> None:
        """A request is answered 401."""
        request = HttpCommunicator(application(), "GET", "/", headers=bearer(token(exp=NOW)))
        response = await request.get_response()
        assert response["status"] == 401
        assert response["body"] == b"The token has expired."

    @database
    async def test_inactive_user(self) -> None:
        """Who may not log in needs no token."""
        user = await create()
        middleware = application(get_user="pk")
        websocket = client(middleware, headers=bearer(token(sub=str(user.pk))))
        assert (await websocket.connect())[0] is True
        await websocket.disconnect()
        await change(lambda: User.objects.update(is_active=False))
        websocket = client(middleware, headers=bearer(token(sub=str(user.pk))))
        assert await websocket.connect() == (False, 401)


class TestGetUser:
    """Whom a token names."""

    @database
    @pytest.mark.parametrize("sub", ["ada", "", "9999999", "1.5"])
    async def test_no_such_key(self, sub: str) -> None:
        """The subject is a primary key, and nothing else that a user could choose."""
        await create()
        websocket = client(application(get_user="pk"), headers=bearer(token(sub=sub)))
        assert await websocket.connect() == (False, 401)

    @database
    async def test_field(self, scopes: list[Scope]) -> None:
        """The subject may be another field."""
        user = await create()
        websocket = client(application(get_user="username"), headers=bearer(token(sub="ada")))
        assert (await websocket.connect())[0] is True
        assert scopes[0]["user"] == user
        await websocket.disconnect()

    async def test_async(self, scopes: list[Scope]) -> None:
        """It may be found by async code."""

        async def find(claims: Mapping[str, Any]) -> Any:
            return SimpleNamespace(pk=claims["role"])

        websocket = client(application(get_user=find), headers=bearer(token(role="captain")))
        assert (await websocket.connect())[0] is True
        assert scopes[0]["user"].pk == "captain"
        await websocket.disconnect()


class TestWithSessions:
    """A token or a session will do."""

    @database
    async def test_inside(self, scopes: list[Scope]) -> None:
        """Without a token the session's user is good enough; a token comes before it."""
        _, key = await browser(await create("eve"))
        cookie = (b"cookie", f"sessionid={key}".encode())
        stack = AuthMiddlewareStack(application(), revalidate=True)
        for headers in ([cookie], [cookie, *bearer(token())]):
            websocket = client(stack, headers=headers)
            assert (await websocket.connect())[0] is True
            await websocket.disconnect()
        assert [scope["user"].username for scope in scopes] == ["eve", "ada"]
        websocket = client(stack, headers=[cookie, *bearer("bad")])
        assert await websocket.connect() == (False, 401)
        assert await client(stack).connect() == (False, 401)

    @database
    async def test_session_that_does_not_count(self) -> None:
        """Where the token counts, the end of the session is not the end of the connection."""
        site, key = await browser(await create("eve"))
        headers = [(b"cookie", f"sessionid={key}".encode()), *bearer(token())]
        websocket = client(AuthMiddlewareStack(application(), revalidate=True), headers=headers)
        assert (await websocket.connect())[0] is True
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        await until(lambda: GROUP in layer.groups)
        await change(site.logout)
        await websocket.send_to("bad")
        assert await websocket.receive_from() == "The token is not valid."
        await websocket.disconnect()

    @database
    async def test_outside(self, scopes: list[Scope]) -> None:
        """It may also stand around: a token's user stays, and nobody is replaced."""
        _, key = await browser(await create("eve"))
        cookie = (b"cookie", f"sessionid={key}".encode())
        stack = TokenAuthMiddleware(
            AuthMiddlewareStack(Consumer.as_asgi()), VERIFIER, get_user=ada, required=False
        )
        for headers in ([cookie], [cookie, *bearer(token())]):
            websocket = client(stack, headers=headers)
            assert (await websocket.connect())[0] is True
            await websocket.disconnect()
        assert [scope["user"].username for scope in scopes] == ["eve", "ada"]

    async def test_not_required(self, scopes: list[Scope]) -> None:
        """Without sessions, who brings no token is anonymous if that will do."""
        websocket = client(application(required=False))
        assert (await websocket.connect())[0] is True
        assert scopes[0]["user"] == AnonymousUser()
        assert not scopes[0]["user"].is_authenticated
        await websocket.disconnect()

    async def test_other_scopes(self) -> None:
        """What is no connection of anybody passes through."""
        seen: list[str] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])

        async def unused() -> Event:
            raise AssertionError

        async def send(event: Event) -> None:
            raise AssertionError

        await TokenAuthMiddleware(inner, VERIFIER)({"type": "lifespan"}, unused, send)
        assert seen == ["lifespan"]


class TestRenewal:
    """A new token over the open socket."""

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            (token(exp=NOW + 7200), str(NOW + 7200)),
            (token(exp=NOW), "The token has expired."),
            (token(sub="8"), "The token is not valid."),
            (token(iss="other"), "The token is for somebody else."),
            ("bad", "The token is not valid."),
        ],
    )
    async def test_renew(self, scopes: list[Scope], text: str, answer: str) -> None:
        """The connection goes on with a token of the same user; with another one as before."""
        websocket = client(application(), headers=bearer(token()))
        await websocket.connect()
        await websocket.send_to(text)
        assert await websocket.receive_from() == answer
        renewed = answer == str(NOW + 7200)
        expires_at = NOW + 7200 if renewed else NOW + 3600
        assert scopes[0]["claims"]["exp"] == expires_at
        assert scopes[0][CONNECTION].expires_at == expires_at
        await websocket.disconnect()

    async def test_somebody_else(self) -> None:
        """Another subject that is the same user by chance is somebody else."""
        websocket = client(application(get_user=lambda claims: User(pk=7)), headers=bearer(token()))
        await websocket.connect()
        await websocket.send_to(token(sub="8"))
        assert await websocket.receive_from() == "The token is for somebody else."
        await websocket.disconnect()

    async def test_no_token(self) -> None:
        """A connection that began without one has none to renew."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await renew({"type": "websocket"}, token())
        assert str(caught.value) == (
            "This connection has no token to renew. TokenAuthMiddleware must be above it, and the "
            "client must have brought a token."
        )

    async def test_control_message(self) -> None:
        """The middleware can do it for the consumer, which does not see the message."""
        websocket = client(application(renewal=True), headers=bearer(token()))
        await websocket.connect()
        for renewal, answer in [
            (token(exp=NOW + 9), {"type": "auth.renewed", "expires_at": NOW + 9}),
            ("bad", {"type": "auth.refused", "reason": "The token is not valid."}),
            (7, {"type": "auth.refused", "reason": "There is no token in the message."}),
        ]:
            await websocket.send_json_to({"type": "auth.renew", "token": renewal})
            assert await websocket.receive_json_from() == answer
        await websocket.send_to(json.dumps({"type": "other"}))
        assert await websocket.receive_from() == "The token is not valid."
        await websocket.disconnect()


@pytest.mark.pain(15)
@database
@pytest.mark.parametrize(
    "action",
    [
        lambda user: User.objects.update(is_active=False) and user.save(update_fields=["email"]),
        lambda user: user.delete(),
        lambda user: user.set_password("other") or user.save(),
        lambda user: revoke(user=user),
    ],
)
async def test_revalidate(action: Callable[[User], object]) -> None:
    """A token's user who is gone, or has another password, is closed at once."""
    user = await create()
    websocket = client(
        application(get_user="pk", revalidate=True), headers=bearer(token(sub=str(user.pk)))
    )
    assert (await websocket.connect())[0] is True
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    await until(lambda: GROUP in layer.groups)
    await change(lambda: action(user))
    assert await websocket.receive_output(10) == {
        "type": "websocket.close",
        "code": 4401,
        "reason": "Access was revoked.",
    }
    await websocket.wait()


@database
async def test_refreshes_the_user(scopes: list[Scope]) -> None:
    """A check shows the consumer what its user may do by now."""
    user = await create()
    websocket = client(
        application(get_user="pk", revalidate=True), headers=bearer(token(sub=str(user.pk)))
    )
    await websocket.connect()
    seen = [scopes[0]["user"].is_staff]
    await change(lambda: User.objects.update(is_staff=True))
    assert await scopes[0][CONNECTION].check()
    assert [*seen, scopes[0]["user"].is_staff] == [False, True]
    await websocket.disconnect()


async def test_login_beside_a_token(scopes: list[Scope]) -> None:
    """A session's login does not change whose connection it is."""
    websocket = client(application(), headers=bearer(token()))
    await websocket.connect()
    with pytest.raises(ValueError, match=r"^Cannot find session in scope\."):
        await login(scopes[0], User(pk=8))
    assert scopes[0][CONNECTION].user_key == "7"
    await websocket.disconnect()
