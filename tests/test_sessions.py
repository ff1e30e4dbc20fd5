"""Cookies and Django sessions in the scope."""

import asyncio
import datetime
import gc
import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import NoReturn

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import SuspiciousOperation
from pytest_django import Settings

from fairway._types import ASGIApplication, Event, Headers, Receive, Scope, Send
from fairway.db import database_sync_to_async
from fairway.sessions import (
    ACCEPT_HOOKS,
    AcceptHook,
    CookieMiddleware,
    InstanceSessionWrapper,
    SessionMiddleware,
    SessionMiddlewareStack,
)

#: The time of these tests: Thu, 01 Jan 1970 00:00:00 GMT and 1000 seconds.
NOW = 1000.0

AT_ONCE = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock that cookies are written by."""
    monkeypatch.setattr("fairway.sessions.time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every hop to a thread; queries are refused anyway without the django_db mark."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a thread was used")

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", refuse)


async def receive() -> Event:
    """Receive nothing."""
    raise AssertionError("received")


class Sent(list[Event]):
    """A ``send`` that keeps what was sent."""

    async def __call__(self, event: Event) -> None:
        self.append(event)


async def run(
    make: Callable[[ASGIApplication], ASGIApplication],
    body: Callable[[Scope, Send], object],
    scope_type: str = "http",
    headers: Headers = (),  # type: ignore[assignment]  # nothing appends to it
    extra: Mapping[str, object] = MappingProxyType({}),
) -> Sent:
    """Run ``body`` as the application inside what ``make`` makes; return what was sent."""
    sent = Sent()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        result = body(scope, send)
        if asyncio.iscoroutine(result):
            await result

    await make(inner)({"type": scope_type, "headers": headers, **extra}, receive, sent)
    return sent


def name(value: str) -> Callable[[SessionBase], None]:
    """Return a change to a session."""

    def change(session: SessionBase) -> None:
        session["name"] = value

    return change


def cookie(session_key: str | None) -> Headers:
    """The header with which a browser returns a session."""
    return [(b"cookie", f"sessionid={session_key}".encode())]


@database_sync_to_async
def stored(**data: object) -> str:
    """Store a session and return its key."""
    session = SessionStore()
    session.update(data)
    session.create()
    session.save()
    assert session.session_key is not None
    return session.session_key


@database_sync_to_async
def load(session_key: str) -> dict[str, object] | None:
    """What is stored under a key."""
    session = SessionStore(session_key)
    return dict(session.items()) if session.exists(session_key) else None


@database_sync_to_async
def keys() -> list[str]:
    """The keys of all stored sessions."""
    return list(Session.objects.values_list("session_key", flat=True))


@pytest.mark.row("1.6 CookieMiddleware")
class TestCookieMiddleware:
    """``CookieMiddleware``."""

    @pytest.mark.parametrize(
        ("headers", "cookies"),
        [
            ([], {}),
            ([(b"host", b"x")], {}),
            ([(b"cookie", b"")], {}),
            ([(b"cookie", b"a=1; b=two")], {"a": "1", "b": "two"}),
            ([(b"cookie", b'a="x y"; b=%C3%A9')], {"a": "x y", "b": "%C3%A9"}),
            ([(b"cookie", b"a=\xe9")], {"a": "\xe9"}),
            ([(b"cookie", b"a=1"), (b"host", b"x"), (b"cookie", b"b=2")], {"a": "1", "b": "2"}),
        ],
    )
    async def test_parses(self, headers: Headers, cookies: dict[str, str]) -> None:
        """All cookie fields become one dict of texts, which is there also if there are none."""
        seen: list[Scope] = []
        await run(CookieMiddleware, lambda scope, _: seen.append(scope), headers=headers)
        assert seen == [{"type": "http", "headers": headers, "cookies": cookies}]

    async def test_no_headers(self) -> None:
        """A scope without headers is refused with a hint."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await CookieMiddleware(SessionMiddleware(receive))({"type": "x"}, receive, Sent())  # type: ignore[arg-type]  # never called
        assert str(caught.value) == (
            "CookieMiddleware was passed a scope that did not have a headers key (make sure it is "
            "only passed HTTP or WebSocket connections)"
        )

    async def test_keeps_receive_and_send(self) -> None:
        """Neither ``receive`` nor ``send`` is wrapped, and the outer scope is left alone."""
        calls: list[tuple[Receive, Send]] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((receive, send))

        scope: Scope = {"type": "websocket", "headers": []}
        sent = Sent()
        await CookieMiddleware(inner)(scope, receive, sent)
        assert calls == [(receive, sent)]
        assert calls[0][1] is sent
        assert "cookies" not in scope


@pytest.mark.usefixtures("_clock")
@pytest.mark.row("1.6 set_cookie")
class TestSetCookie:
    """``CookieMiddleware.set_cookie`` and ``delete_cookie``."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, b"key=value; Path=/; SameSite=lax"),
            ({"path": None, "samesite": None}, b"key=value"),
            ({"path": "/x", "domain": "a.b"}, b"key=value; Domain=a.b; Path=/x; SameSite=lax"),
            (
                {"secure": True, "httponly": True, "samesite": "Strict"},
                b"key=value; HttpOnly; Path=/; SameSite=Strict; Secure",
            ),
            (
                {"max_age": 60},
                (
                    b"key=value; expires=Thu, 01 Jan 1970 00:17:40 GMT; Max-Age=60; Path=/; "
                    b"SameSite=lax"
                ),
            ),
            (
                {"expires": "Fri, 02 Jan 1970 00:00:00 GMT"},
                b"key=value; expires=Fri, 02 Jan 1970 00:00:00 GMT; Path=/; SameSite=lax",
            ),
            (
                {"expires": "Fri, 02 Jan 1970 00:00:00 GMT", "max_age": 60},
                (
                    b"key=value; expires=Fri, 02 Jan 1970 00:00:00 GMT; Max-Age=60; Path=/; "
                    b"SameSite=lax"
                ),
            ),
        ],
    )
    def test_attributes(self, options: dict[str, str], expected: bytes) -> None:
        """Attributes are written as RFC 6265 §4.1 has them."""
        message: Event = {}
        CookieMiddleware.set_cookie(message, "key", "value", **options)  # type: ignore[arg-type]  # of several types
        assert message == {"headers": [(b"Set-Cookie", expected)]}

    @pytest.mark.parametrize(
        "moment",
        [
            datetime.datetime(1970, 1, 1, 0, 17, 40),  # noqa: DTZ001
            datetime.datetime(1970, 1, 1, 0, 17, 39, 1, tzinfo=datetime.UTC),
            datetime.datetime(
                1970, 1, 1, 2, 17, 40, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
            ),
        ],
    )
    def test_expires_at_a_datetime(self, moment: datetime.datetime) -> None:
        """A datetime, naive in UTC or aware, gives the seconds until then, rounded up."""
        message: Event = {}
        CookieMiddleware.set_cookie(message, "key", "value", expires=moment)
        assert message["headers"] == [
            (
                b"Set-Cookie",
                (
                    b"key=value; expires=Thu, 01 Jan 1970 00:17:40 GMT; Max-Age=60; Path=/; "
                    b"SameSite=lax"
                ),
            )
        ]

    def test_expired_datetime(self) -> None:
        """A datetime in the past lets the cookie expire at once."""
        message: Event = {}
        past = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        CookieMiddleware.set_cookie(message, "key", "value", expires=past)
        assert message["headers"] == [
            (
                b"Set-Cookie",
                (
                    b"key=value; expires=Thu, 01 Jan 1970 00:16:40 GMT; Max-Age=0; Path=/; "
                    b"SameSite=lax"
                ),
            )
        ]

    def test_unknown_samesite(self) -> None:
        """Only three values are defined."""
        message: Event = {}
        with pytest.raises(
            AssertionError, match=r"^samesite must be either 'strict', 'lax' or 'none'$"
        ):
            CookieMiddleware.set_cookie(message, "key", samesite="no")
        assert message == {}

    def test_appends(self) -> None:
        """Headers that are there stay, whatever they are kept in."""
        message: Event = {"headers": ((b"a", b"b"),)}
        CookieMiddleware.set_cookie(message, "one", "é;")
        CookieMiddleware.delete_cookie(message, "two", path="/x", domain="a.b")
        assert message["headers"] == [
            (b"a", b"b"),
            (b"Set-Cookie", b'one="\\351\\073"; Path=/; SameSite=lax'),
            (
                b"Set-Cookie",
                (
                    b'two=""; Domain=a.b; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=0; '
                    b"Path=/x; SameSite=lax"
                ),
            ),
        ]


@pytest.mark.row("1.6 delete_cookie")
class TestDeleteCookie:
    """``CookieMiddleware.delete_cookie``."""

    def test_default(self) -> None:
        """A cookie of the whole site, as ``set_cookie`` sets it."""
        assert self.field("key") == (
            b'key=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=lax'
        )

    @pytest.mark.parametrize("name", ["__Secure-key", "__Host-key"])
    def test_secure_name(self, name: str) -> None:
        """A browser takes a cookie with such a name only with ``Secure``."""
        assert self.field(name) == (
            b'%b=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=lax; '
            b"Secure" % name.encode()
        )

    def test_samesite_none(self) -> None:
        """So it is with ``SameSite=None``."""
        assert self.field("key", samesite="None").endswith(b"; SameSite=None; Secure")

    def test_attributes(self) -> None:
        """The attributes are those that the cookie was set with."""
        assert self.field("key", secure=True, httponly=True, samesite=None) == (
            b'key=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=/; Secure'
        )

    @staticmethod
    def field(
        key: str, *, secure: bool = False, httponly: bool = False, samesite: str | None = "lax"
    ) -> bytes:
        """The field that deletes a cookie."""
        message: Event = {}
        CookieMiddleware.delete_cookie(
            message, key, secure=secure, httponly=httponly, samesite=samesite
        )
        ((name, value),) = message["headers"]
        assert name == b"Set-Cookie"
        return bytes(value)


@pytest.mark.row("1.6 SessionMiddleware")
class TestSessionMiddleware:
    """``SessionMiddleware``, whatever the protocol."""

    async def test_needs_cookies(self) -> None:
        """It goes inside ``CookieMiddleware``."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await run(SessionMiddleware, lambda scope, send: None)
        assert str(caught.value) == (
            "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
        )

    @pytest.mark.usefixtures("_no_threads")
    @pytest.mark.parametrize("scope_type", ["http", "websocket"])
    async def test_is_lazy(self, scope_type: str) -> None:
        """A session costs neither a query nor a thread until somebody looks into it."""
        seen: list[SessionBase] = []
        await run(
            SessionMiddlewareStack,
            lambda scope, _: seen.append(scope["session"]),
            scope_type,
            cookie("x" * 32),
        )
        (session,) = seen
        assert type(session).__name__ == "LazyObject"
        assert session.__class__ is SessionStore
        assert session.session_key == "x" * 32
        assert session.modified is False

    @pytest.mark.usefixtures("_no_threads")
    async def test_without_a_cookie(self) -> None:
        """A session without a key is empty, and looking into it costs nothing, either."""
        seen: list[SessionBase] = []
        await run(SessionMiddlewareStack, lambda scope, _: seen.append(scope["session"]))
        assert seen[0].session_key is None
        assert dict(seen[0].items()) == {}

    @pytest.mark.django_db(transaction=True)
    async def test_loads(self) -> None:
        """The session that the cookie names is loaded when it is read."""
        key = await stored(name="ada")
        seen: list[object] = []

        async def body(scope: Scope, _: Send) -> None:
            session: SessionBase = scope["session"]
            seen.append(await database_sync_to_async(lambda: session.get("name"))())

        await run(SessionMiddlewareStack, body, "websocket", cookie(key))
        assert seen == ["ada"]

    async def test_cookie_name(self, settings: Settings) -> None:
        """The cookie's name is a setting."""
        settings.SESSION_COOKIE_NAME = "other"
        seen: list[SessionBase] = []
        await run(
            SessionMiddlewareStack,
            lambda scope, _: seen.append(scope["session"]),
            headers=[(b"cookie", b"sessionid=" + b"x" * 32 + b"; other=" + b"y" * 32)],
        )
        assert seen[0].session_key == "y" * 32

    @pytest.mark.parametrize("scope_type", ["http", "websocket"])
    async def test_session_of_another_middleware(self, scope_type: str) -> None:
        """A session that is in the scope already stays, is not saved here, and needs no cookies."""
        session = SessionStore()
        session["modified"] = True
        seen: list[Scope] = []

        async def body(scope: Scope, send: Send) -> None:
            seen.append(scope)
            await send({**AT_ONCE})

        sent = await run(SessionMiddleware, body, scope_type, extra={"session": session})
        assert seen[0]["session"] is session
        assert ACCEPT_HOOKS not in seen[0]
        assert sent == [AT_ONCE]

    def test_unresolved(self) -> None:
        """The session is there, but cannot be used, before it was resolved."""
        wrapper = InstanceSessionWrapper({"type": "http", "cookies": {}}, Sent())
        with pytest.raises(NotImplementedError):
            _ = wrapper.scope["session"].modified


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_clock")
@pytest.mark.row("1.6 InstanceSessionWrapper")
class TestHttpSession:
    """The session of an HTTP request is saved when the response starts."""

    @staticmethod
    async def respond(
        change: Callable[[SessionBase], object], headers: Headers, start: Event = AT_ONCE
    ) -> tuple[Sent, SessionBase]:
        """Change the session in a thread, as a view does, and send a response."""
        sessions: list[SessionBase] = []

        async def body(scope: Scope, send: Send) -> None:
            sessions.append(scope["session"])
            await database_sync_to_async(change)(scope["session"])
            await send({**start})
            await send({"type": "http.response.body", "body": b"x"})

        return await run(SessionMiddlewareStack, body, headers=headers), sessions[0]

    async def test_modified(self) -> None:
        """A new session is stored, and the browser gets its key."""
        sent, session = await self.respond(name("ada"), [])
        assert session.session_key is not None
        assert await load(session.session_key) == {"name": "ada"}
        assert sent == [
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (
                        b"Set-Cookie",
                        b"sessionid=%s; expires=Thu, 15 Jan 1970 00:16:40 GMT; HttpOnly; "
                        b"Max-Age=1209600; Path=/; SameSite=Lax" % session.session_key.encode(),
                    )
                ],
            },
            {"type": "http.response.body", "body": b"x"},
        ]

    async def test_settings_of_the_cookie(self, settings: Settings) -> None:
        """The cookie is as the settings have it."""
        settings.SESSION_COOKIE_DOMAIN = "a.b"
        settings.SESSION_COOKIE_PATH = "/x"
        settings.SESSION_COOKIE_SECURE = True
        settings.SESSION_COOKIE_HTTPONLY = False
        settings.SESSION_COOKIE_SAMESITE = False
        settings.SESSION_EXPIRE_AT_BROWSER_CLOSE = True
        sent, session = await self.respond(name("ada"), [])
        assert session.session_key is not None
        assert sent[0]["headers"] == [
            (
                b"Set-Cookie",
                b"sessionid=%s; Domain=a.b; Path=/x; Secure" % session.session_key.encode(),
            )
        ]

    async def test_unmodified(self) -> None:
        """A session that was only read is not saved."""
        key = await stored(name="ada")
        sent, _ = await self.respond(lambda session: session.get("name"), cookie(key))
        assert sent[0] == AT_ONCE

    async def test_save_every_request(self, settings: Settings) -> None:
        """With this setting, also an unread session is saved and its cookie lives longer."""
        settings.SESSION_SAVE_EVERY_REQUEST = True
        key = await stored(name="ada")
        sent, _ = await self.respond(lambda session: None, cookie(key))
        assert [name for name, _ in sent[0]["headers"]] == [b"Set-Cookie"]
        assert await load(key) == {"name": "ada"}

    async def test_server_error(self) -> None:
        """A failed request does not change its session."""
        key = await stored(name="ada")
        start = {"type": "http.response.start", "status": 500}
        sent, _ = await self.respond(name("eve"), cookie(key), start)
        assert sent[0] == start
        assert await load(key) == {"name": "ada"}

    async def test_flushed(self) -> None:
        """A session that was emptied is gone, and so is its cookie; no empty one is stored."""
        key = await stored(name="ada")
        sent, _ = await self.respond(lambda session: session.flush(), cookie(key))
        assert sent[0]["headers"] == [
            (
                b"Set-Cookie",
                (
                    b'sessionid=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; HttpOnly; Max-Age=0; '
                    b"Path=/; SameSite=Lax"
                ),
            )
        ]
        assert await keys() == []

    async def test_flushed_with_settings_of_the_cookie(self, settings: Settings) -> None:
        """A cookie is deleted as it was set: a browser would keep a secure one otherwise."""
        settings.SESSION_COOKIE_DOMAIN = "example.com"
        settings.SESSION_COOKIE_PATH = "/x"
        settings.SESSION_COOKIE_SECURE = True
        settings.SESSION_COOKIE_HTTPONLY = False
        settings.SESSION_COOKIE_SAMESITE = "Strict"
        key = await stored(name="ada")
        sent, _ = await self.respond(lambda session: session.flush(), cookie(key))
        assert sent[0]["headers"] == [
            (
                b"Set-Cookie",
                (
                    b'sessionid=""; Domain=example.com; expires=Thu, 01-Jan-1970 00:00:00 GMT; '
                    b"Max-Age=0; Path=/x; SameSite=Strict; Secure"
                ),
            )
        ]

    async def test_flushed_without_a_cookie(self) -> None:
        """Where there was no cookie, none is deleted."""
        sent, _ = await self.respond(lambda session: session.flush(), [])
        assert sent[0] == AT_ONCE
        assert await keys() == []

    async def test_deleted_meanwhile(self) -> None:
        """A session that a logout elsewhere has deleted is not brought back."""
        key = await stored(name="ada")

        def change(session: SessionBase) -> None:
            name("eve")(session)
            Session.objects.all().delete()

        with pytest.raises(SuspiciousOperation) as caught:
            await self.respond(change, cookie(key))
        assert str(caught.value) == (
            "The request's session was deleted before the request completed. The user may have "
            "logged out in a concurrent request, for example."
        )
        assert await keys() == []

    async def test_overridden_backend(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session backend that overrides the sync methods only is obeyed."""
        saved: list[str | None] = []

        def save(self: SessionStore, must_create: bool = False) -> None:
            saved.append(self.session_key)

        monkeypatch.setattr(SessionStore, "save", save)
        await self.respond(name("ada"), cookie("x" * 32))
        assert saved == [None]

    async def test_message_types(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Which events save, and which of them can carry a cookie, can be set on the class."""
        monkeypatch.setattr(InstanceSessionWrapper, "save_message_types", ["http.response.body"])
        sent, session = await self.respond(name("ada"), [])
        assert session.session_key is not None
        assert await load(session.session_key) == {"name": "ada"}
        assert sent == [AT_ONCE, {"type": "http.response.body", "body": b"x"}]


@pytest.mark.row("1.6 InstanceSessionWrapper")
class TestWebSocketSession:
    """The session of a WebSocket is saved when a consumer accepts it."""

    @pytest.mark.parametrize("scope_type", ["http", "websocket"])
    async def test_without_collector(self, scope_type: str) -> None:
        """Nothing of the session waits for the garbage collector when its connection is over."""
        sessions: list[weakref.ref[object]] = []
        gc.collect()
        gc.disable()
        try:
            await run(
                SessionMiddlewareStack,
                lambda scope, _: sessions.append(weakref.ref(scope["session"])),
                scope_type,
            )
            (session,) = sessions
            assert session() is None
        finally:
            gc.enable()

    @staticmethod
    async def connect(
        change: Callable[[SessionBase], object], headers: Headers
    ) -> tuple[Event, SessionBase]:
        """Change the session before accepting, as ``connect()`` does; return what is sent."""
        accept: Event = {"type": "websocket.accept", "headers": [(b"a", b"b")]}
        sessions: list[SessionBase] = []

        async def body(scope: Scope, _: Send) -> None:
            sessions.append(scope["session"])
            await database_sync_to_async(change)(scope["session"])
            hooks: list[AcceptHook] = scope[ACCEPT_HOOKS]
            for hook in hooks:
                await hook(accept)

        await run(SessionMiddlewareStack, body, "websocket", headers)
        return accept, sessions[0]

    async def test_keeps_receive_and_send(self) -> None:
        """Neither ``receive`` nor ``send`` is wrapped, as that would cost the short ways."""
        calls: list[tuple[Receive, Send]] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((receive, send))

        sent = Sent()
        scope: Scope = {"type": "websocket", "headers": []}
        await SessionMiddlewareStack(inner)(scope, receive, sent)
        assert calls[0][0] is receive
        assert calls[0][1] is sent

    @pytest.mark.usefixtures("_no_threads")
    async def test_unmodified(self, settings: Settings) -> None:
        """A session that was not modified is not saved, whatever the settings say."""
        settings.SESSION_SAVE_EVERY_REQUEST = True
        accept: Event = {"type": "websocket.accept"}

        async def body(scope: Scope, _: Send) -> None:
            for hook in scope[ACCEPT_HOOKS]:
                await hook(accept)

        await run(SessionMiddlewareStack, body, "websocket", cookie("x" * 32))
        assert accept == {"type": "websocket.accept"}

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("_clock")
    async def test_modified(self) -> None:
        """A modified session is stored, and its cookie goes out with the handshake."""
        accept, session = await self.connect(name("ada"), [])
        assert session.session_key is not None
        assert await load(session.session_key) == {"name": "ada"}
        assert accept == {
            "type": "websocket.accept",
            "headers": [
                (b"a", b"b"),
                (
                    b"Set-Cookie",
                    b"sessionid=%s; expires=Thu, 15 Jan 1970 00:16:40 GMT; HttpOnly; "
                    b"Max-Age=1209600; Path=/; SameSite=Lax" % session.session_key.encode(),
                ),
            ],
        }

    @pytest.mark.django_db(transaction=True)
    async def test_flushed(self) -> None:
        """The cookie of a session that was emptied is deleted with the handshake."""
        key = await stored(name="ada")
        accept, _ = await self.connect(lambda session: session.flush(), cookie(key))
        assert accept["headers"] == [
            (b"a", b"b"),
            (
                b"Set-Cookie",
                (
                    b'sessionid=""; expires=Thu, 01-Jan-1970 00:00:00 GMT; HttpOnly; Max-Age=0; '
                    b"Path=/; SameSite=Lax"
                ),
            ),
        ]
        assert await keys() == []

    async def test_hooks_of_others(self) -> None:
        """Other hooks stay, run first, and their list is not changed."""
        seen: list[list[AcceptHook]] = []

        async def other(event: Event) -> None: ...

        hooks: list[AcceptHook] = [other]
        await run(
            SessionMiddlewareStack,
            lambda scope, _: seen.append(scope[ACCEPT_HOOKS]),
            "websocket",
            extra={ACCEPT_HOOKS: hooks},
        )
        assert seen[0][0] is other
        assert len(seen[0]) == 2
        assert hooks == [other]
