"""Who is at the other end."""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import pytest
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    user_logged_in,
    user_logged_out,
)
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fairway import auth
from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.auth import (
    AuthMiddleware,
    AuthMiddlewareStack,
    Revalidation,
    UserLazyObject,
    get_user,
    login,
    logout,
)
from fairway.auth.connections import CONNECTION, session_digest
from fairway.db import database_sync_to_async
from fairway.sessions import ACCEPT_HOOKS, SessionMiddleware
from tests.server.running import Logs

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"

database = pytest.mark.django_db(transaction=True)


class Backend:
    """Another authentication backend, which knows nobody."""

    def get_user(self, user_id: int) -> None:
        """Find nobody."""


OTHER_BACKEND = f"{__name__}.Backend"


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every hop to a thread; queries are refused anyway without the django_db mark."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a thread was used")

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", refuse)


@database_sync_to_async
def create(name: str = "ada") -> User:
    """Create a user."""
    return User.objects.create_user(name, password="secret")


@database_sync_to_async
def logged_in(user: User, client: Client | None = None) -> str:
    """Log a user in as a browser does, and return the session's key."""
    client = client or Client()
    client.force_login(user, MODEL_BACKEND)
    session_key = client.session.session_key
    assert session_key is not None
    return session_key


@database_sync_to_async
def load(session_key: str | None) -> dict[str, object] | None:
    """What is stored under a key."""
    session = SessionStore(session_key)
    return dict(session.items()) if session_key and session.exists(session_key) else None


@database_sync_to_async
def view_user(session_key: str) -> object:
    """Whom Django itself takes the session's owner for, in a view."""
    from django.contrib.auth import get_user
    from django.http import HttpRequest

    request = HttpRequest()
    request.session = SessionStore(session_key)
    return get_user(request)


@database_sync_to_async
def change(action: Callable[[], object]) -> None:
    """Do something to the database."""
    action()


class LoggedUsers:
    """Keeps who was logged in and out, as the signals tell."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object, object, type]] = []

    def login(self, sender: type, request: object, user: object, **_: object) -> None:
        """Keep a login."""
        self.seen.append(("in", request, user, sender))

    def logout(self, sender: type, request: object, user: object, **_: object) -> None:
        """Keep a logout."""
        self.seen.append(("out", request, user, sender))


@pytest.fixture
def signals() -> "LoggedUsers":
    """Who was logged in and out."""
    return LoggedUsers()


@pytest.fixture(autouse=True)
def _connected(signals: LoggedUsers) -> object:
    """Listen to the signals, after ``last_login`` was written."""
    user_logged_in.connect(signals.login)
    user_logged_out.connect(signals.logout)
    yield
    user_logged_in.disconnect(signals.login)
    user_logged_out.disconnect(signals.logout)


@pytest.mark.row("1.6 get_user")
class TestGetUser:
    """``get_user``."""

    async def test_no_session(self) -> None:
        """A scope without session is refused with a hint."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await get_user({})
        assert str(caught.value) == (
            "Cannot find session in scope. You should wrap your consumer in SessionMiddleware."
        )

    @pytest.mark.usefixtures("_no_threads")
    @pytest.mark.parametrize("session_key", [None, "", "short"])
    async def test_no_session_key(self, session_key: str | None) -> None:
        """Who sent no session that could be one is anonymous, without query or thread."""
        assert await get_user({"session": SessionStore(session_key)}) == AnonymousUser()

    @database
    async def test_unknown_session(self) -> None:
        """A session that is not stored is anonymous."""
        assert await get_user({"session": SessionStore("x" * 32)}) == AnonymousUser()

    @database
    async def test_anonymous_session(self) -> None:
        """A session of somebody who did not log in is anonymous, and is kept."""
        session = SessionStore()
        session["name"] = "ada"
        await change(session.save)
        assert await get_user({"session": SessionStore(session.session_key)}) == AnonymousUser()
        assert await load(session.session_key) == {"name": "ada"}

    @database
    async def test_user(self) -> None:
        """The user who logged in on the site is the user here."""
        user = await create()
        session = SessionStore(await logged_in(user))
        found = await get_user({"session": session})
        assert found == user
        assert isinstance(found, User)
        assert session.modified is False

    @database
    async def test_login_that_is_not_saved(self) -> None:
        """A login of which no session has been saved counts."""
        user = await create()
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = MODEL_BACKEND
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        assert await get_user({"session": session}) == user

    @database
    async def test_any_mapping_is_a_session(self) -> None:
        """Tests may pass a dict for a session."""
        user = await create()
        session = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: MODEL_BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        assert await get_user({"session": session}) == user
        assert await get_user({"session": {}}) == AnonymousUser()

    @database
    async def test_deactivated_user(self) -> None:
        """Who may not log in any more is anonymous, and keeps the session."""
        user = await create()
        key = await logged_in(user)
        await change(lambda: User.objects.update(is_active=False))
        assert await get_user({"session": SessionStore(key)}) == AnonymousUser()
        assert await load(key) is not None

    @database
    async def test_deleted_user(self) -> None:
        """A deleted user is anonymous."""
        key = await logged_in(await create())
        await change(lambda: User.objects.all().delete())
        assert await get_user({"session": SessionStore(key)}) == AnonymousUser()

    @database
    async def test_backend_that_is_not_configured(self, settings: Settings) -> None:
        """A login by a backend that was removed does not count."""
        key = await logged_in(await create())
        settings.AUTHENTICATION_BACKENDS = [OTHER_BACKEND]
        assert await get_user({"session": SessionStore(key)}) == AnonymousUser()

    @database
    async def test_changed_password(self) -> None:
        """A session from before a password was changed is flushed, as on the site."""
        user = await create()
        key = await logged_in(user)

        def change_password() -> None:
            user.set_password("other")
            user.save()

        await change(change_password)
        session = SessionStore(key)
        assert await get_user({"session": session}) == AnonymousUser()
        assert session.is_empty()
        assert await load(key) is None

    @database
    async def test_session_without_hash(self) -> None:
        """A session that does not prove to be the user's is flushed."""
        user = await create()
        session = SessionStore()
        session.update({SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: MODEL_BACKEND})
        await change(session.save)
        assert await get_user({"session": session}) == AnonymousUser()
        assert session.is_empty()

    @pytest.mark.row("7 20")
    @pytest.mark.pain(15)
    @database
    @pytest.mark.parametrize("modified", [False, True])
    async def test_secret_key_fallbacks(self, settings: Settings, *, modified: bool) -> None:
        """A session signed with a former key is kept, and signed with the present one."""
        user = await create()
        key = await logged_in(user)
        former = settings.SECRET_KEY
        settings.SECRET_KEY = "another"
        settings.SECRET_KEY_FALLBACKS = ["even older", former]
        session = SessionStore(key)
        session.modified = modified
        assert await get_user({"session": session}) == user
        assert session.session_key == key
        assert session.modified is modified
        settings.SECRET_KEY_FALLBACKS = []
        assert await get_user({"session": SessionStore(key)}) == user
        assert await view_user(key) == user

    @database
    async def test_secret_key_fallbacks_in_a_view_meanwhile(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is no error that a view has replaced the session in the same moment."""
        user = await create()
        key = await logged_in(user)
        former = settings.SECRET_KEY
        settings.SECRET_KEY = "another"
        settings.SECRET_KEY_FALLBACKS = [former]
        save = SessionStore.save

        def save_too_late(self: SessionStore, must_create: bool = False) -> None:
            Session.objects.all().delete()
            save(self, must_create)

        monkeypatch.setattr(SessionStore, "save", save_too_late)
        assert await get_user({"session": SessionStore(key)}) == user

    @database
    async def test_signed_cookies(self, settings: Settings) -> None:
        """A session that is kept in the cookie itself gets a cookie signed with the new key."""
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        user = await create()
        key = await logged_in(user)
        former = settings.SECRET_KEY
        settings.SECRET_KEY = "another"
        settings.SECRET_KEY_FALLBACKS = [former]
        session = SignedCookies(key)
        assert await get_user({"session": session}) == user
        assert session.modified is True
        settings.SECRET_KEY_FALLBACKS = []
        assert await get_user({"session": SignedCookies(session.session_key)}) == user

    @database
    async def test_unknown_secret_key(self, settings: Settings, logs: Logs) -> None:
        """A session signed with a key that is no fallback is nobody's, as on the site."""
        key = await logged_in(await create())
        settings.SECRET_KEY = "another"
        settings.SECRET_KEY_FALLBACKS = ["a third"]
        assert await get_user({"session": SessionStore(key)}) == AnonymousUser()
        assert await view_user(key) == AnonymousUser()

        assert logs.take() == ["WARNING Session data corrupted"] * 2


@pytest.mark.row("1.6 login")
class TestLogin:
    """``login``."""

    async def test_no_session(self) -> None:
        """A scope without session is refused with a hint."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await login({}, User())
        assert str(caught.value) == (
            "Cannot find session in scope. You should wrap your consumer in SessionMiddleware."
        )

    @pytest.mark.parametrize("scope", [{}, {"user": None}, {"user": AnonymousUser()}])
    async def test_no_user(self, scope: Scope) -> None:
        """Nobody cannot log in, and the session is left alone."""
        session = SessionStore()
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await login({"session": session, **scope}, None)
        assert str(caught.value) == (
            "User must be passed as an argument or must be present in the scope."
        )
        assert session.is_empty()

    @database
    async def test_logs_in(self, signals: LoggedUsers) -> None:
        """The user is in scope and session, the signal is sent, and the site knows the session."""
        user = await create()
        session = SessionStore()
        scope: Scope = {"session": session}
        await login(scope, user)
        assert scope["user"] is user
        assert dict(session.items()) == {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: MODEL_BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        assert signals.seen == [("in", None, user, User)]
        await change(session.save)
        assert session.session_key is not None
        assert await view_user(session.session_key) == user
        assert await get_user({"session": SessionStore(session.session_key)}) == user

    @database
    async def test_user_of_the_scope(self) -> None:
        """Without argument it is the scope's user who logs in."""
        user = await create()
        scope: Scope = {"session": SessionStore(), "user": user}
        await login(scope, None)
        assert scope["session"][SESSION_KEY] == str(user.pk)

    @database
    async def test_keeps_anonymous_data(self) -> None:
        """What an anonymous visitor did stays, under a new session key."""
        session = SessionStore()
        session["cart"] = [1]
        await change(session.save)
        key = session.session_key
        await login({"session": session}, await create())
        assert session["cart"] == [1]
        assert session.session_key != key
        assert await load(key) is None

    @database
    async def test_same_user_again(self) -> None:
        """Who is logged in already keeps the session."""
        user = await create()
        session = SessionStore(await logged_in(user))
        key = session.session_key

        def fill() -> None:
            session["cart"] = [1]

        await change(fill)
        await login({"session": session}, user)
        assert session["cart"] == [1]
        assert session.session_key == key

    @database
    @pytest.mark.parametrize("case", ["other user", "other password"])
    async def test_session_of_somebody_else(self, case: str) -> None:
        """The data of another user, or of a login with another password, is not taken over."""
        user = await create()
        session = SessionStore(await logged_in(user))

        def fill() -> None:
            session["cart"] = [1]
            if case == "other password":
                user.set_password("other")

        await change(fill)
        await login({"session": session}, await create("eve") if case == "other user" else user)
        assert "cart" not in session

    @database
    async def test_several_backends(self, settings: Settings) -> None:
        """With several backends, one has to be chosen, by argument or on the user."""
        settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, OTHER_BACKEND]
        user = await create()
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await login({"session": SessionStore()}, user)
        assert str(caught.value) == (
            "You have multiple authentication backends configured and therefore must provide the "
            "`backend` argument or set the `backend` attribute on the user."
        )
        session = SessionStore()
        await login({"session": session}, user, backend=MODEL_BACKEND)
        assert session[BACKEND_SESSION_KEY] == MODEL_BACKEND
        vars(user)["backend"] = OTHER_BACKEND
        await login({"session": session}, user)
        assert session[BACKEND_SESSION_KEY] == OTHER_BACKEND


@pytest.mark.row("1.6 logout")
class TestLogout:
    """``logout``."""

    async def test_no_session(self) -> None:
        """A scope without session is refused with a hint."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await logout({})
        assert str(caught.value) == (
            "Login cannot find session in scope. You should wrap your consumer in "
            "SessionMiddleware."
        )

    @database
    async def test_logs_out(self, signals: LoggedUsers) -> None:
        """The session is gone, the user anonymous, and the signal names who it was."""
        user = await create()
        key = await logged_in(user)
        signals.seen.clear()
        scope: Scope = {"session": SessionStore(key), "user": user}
        await logout(scope)
        assert scope["user"] == AnonymousUser()
        assert scope["session"].is_empty()
        assert await load(key) is None
        assert signals.seen == [("out", None, user, User)]

    @database
    @pytest.mark.parametrize("scope", [{}, {"user": None}, {"user": AnonymousUser()}])
    async def test_nobody(self, signals: LoggedUsers, scope: Scope) -> None:
        """Where nobody was logged in, no signal is sent."""
        scope = {"session": SessionStore(), **scope}
        await logout(scope)
        assert signals.seen == []
        assert "user" not in scope or scope["user"] == AnonymousUser()


def test_get_user_session_key() -> None:
    """The primary key in a session is text, and becomes a key again."""
    assert auth._get_user_session_key(SessionStoreOf({SESSION_KEY: "7"})) == 7
    with pytest.raises(KeyError):
        auth._get_user_session_key(SessionStoreOf({}))


class SessionStoreOf(SessionBase):
    """A session with given data, stored nowhere."""

    def __init__(self, data: dict[str, object]) -> None:
        super().__init__()
        self._session_cache = data


async def receive() -> Event:
    """Receive nothing."""
    raise AssertionError("received")


async def send(event: Event) -> None:
    """Send nowhere."""
    raise AssertionError(f"sent {event}")


class Keeps:
    """An application that keeps its scopes."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)


@pytest.mark.row("1.6 AuthMiddleware", "1.6 AuthMiddlewareStack")
class TestAuthMiddleware:
    """``AuthMiddleware`` and ``AuthMiddlewareStack``."""

    async def test_no_session(self) -> None:
        """It goes inside ``SessionMiddleware``."""
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            await AuthMiddleware(Keeps())({"type": "websocket"}, receive, send)
        assert str(caught.value) == (
            "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it."
        )

    @database
    @pytest.mark.parametrize("scope_type", ["http", "websocket"])
    async def test_user(self, scope_type: str) -> None:
        """The user of the cookie's session is in the scope."""
        user = await create()
        headers = [(b"cookie", f"sessionid={await logged_in(user)}".encode())]
        application = Keeps()
        scope = {"type": scope_type, "headers": headers}
        await AuthMiddlewareStack(application)(scope, receive, send)
        found = application.scopes[0]["user"]
        assert found == user
        assert found.is_authenticated
        assert found.__class__ is User
        assert "user" not in scope

    @pytest.mark.usefixtures("_no_threads")
    async def test_anonymous(self) -> None:
        """Without a session's cookie nobody is asked, and nothing is left to save."""
        calls: list[tuple[Scope, Receive, Send]] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((scope, receive, send))
            accept: Event = {"type": "websocket.accept"}
            for hook in scope[ACCEPT_HOOKS]:
                await hook(accept)
            assert accept == {"type": "websocket.accept"}

        scope = {"type": "websocket", "headers": [(b"cookie", b"csrftoken=x")]}
        await AuthMiddlewareStack(application)(scope, receive, send)
        assert calls[0][0]["user"] == AnonymousUser()
        assert calls[0][1] is receive
        assert calls[0][2] is send

    async def test_patched_get_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ``get_user`` that a test puts into the module is used."""
        user = User(username="patched")

        async def patched(scope: Scope) -> User:
            return user

        monkeypatch.setattr(auth, "get_user", patched)
        application = Keeps()
        await AuthMiddlewareStack(application)({"type": "websocket", "headers": []}, receive, send)
        assert application.scopes[0]["user"] == user

    @pytest.mark.usefixtures("_no_threads")
    async def test_user_of_the_scope(self) -> None:
        """A user that is in the scope already, from a test or another middleware, stays."""
        user = User(username="ada")
        application = Keeps()
        headers = [(b"cookie", b"sessionid=" + b"x" * 32)]
        scope = {"type": "websocket", "headers": headers, "user": user}
        await AuthMiddlewareStack(application)(scope, receive, send)
        assert application.scopes[0]["user"] is user
        assert "_wrapped" not in vars(user)

    @database
    async def test_subclass(self) -> None:
        """A subclass finds the user by other means, in the lazy object of the scope."""
        user = await create()

        class TokenMiddleware(AuthMiddleware):
            async def resolve_scope(self, scope: Scope) -> None:
                scope["user"]._wrapped = user

        application = Keeps()
        stack: ASGIApplication = SessionMiddleware(TokenMiddleware(application))
        await stack({"type": "websocket", "cookies": {}}, receive, send)
        assert application.scopes[0]["user"] == user

    @pytest.mark.row("1.6 UserLazyObject")
    def test_unresolved(self) -> None:
        """The user cannot be used before it was loaded."""
        scope: Scope = {"session": SessionStore()}
        AuthMiddleware(Keeps()).populate_scope(scope)
        assert type(scope["user"]) is UserLazyObject
        with pytest.raises(ValueError, match=r"^Accessing scope user before it is ready\.$"):
            _ = scope["user"].is_authenticated

    @database
    async def test_flushed_session(self) -> None:
        """A session that is not the user's any more takes its cookie with it, at accept."""
        user = await create()
        key = await logged_in(user)
        await change(lambda: User.objects.update(password="other"))
        accept: Event = {"type": "websocket.accept"}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["user"] == AnonymousUser()
            for hook in scope[ACCEPT_HOOKS]:
                await hook(accept)

        headers = [(b"cookie", f"sessionid={key}".encode())]
        await AuthMiddlewareStack(application)(
            {"type": "websocket", "headers": headers}, receive, send
        )
        assert [field.split(b";")[0] for _, field in accept["headers"]] == [b'sessionid=""']
        assert await database_sync_to_async(Session.objects.count)() == 0

    @pytest.mark.pain(15)
    @database
    async def test_login_in_connect(self) -> None:
        """A login before the socket is accepted reaches the browser and the site."""
        user = await create()
        accept: Event = {"type": "websocket.accept"}

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await login(scope, user)
            for hook in scope[ACCEPT_HOOKS]:
                await hook(accept)

        await AuthMiddlewareStack(application)({"type": "websocket", "headers": []}, receive, send)
        (field,) = [field for _, field in accept["headers"]]
        key = field.split(b";")[0].removeprefix(b"sessionid=").decode()
        assert await view_user(key) == user


class TestRevalidation:
    """``AuthMiddleware(revalidate=…)``, by hand: clock, news and sockets are elsewhere."""

    pytestmark = [pytest.mark.pain(15), pytest.mark.django_db(transaction=True)]

    async def test_unchanged(self, settings: Settings) -> None:
        """Who is still who they were stays, and nothing is written."""
        user = await create()
        key = await logged_in(user)
        async with connected(key) as scope:
            stored = await load(key)
            assert await scope[CONNECTION].check()
            assert await load(key) == stored

    @pytest.mark.row("7 20")
    async def test_secret_key_fallbacks(self, settings: Settings) -> None:
        """A session that was signed with a former key is good, and is left as it is."""
        key = await logged_in(await create())
        former = settings.SECRET_KEY
        async with connected(key) as scope:
            stored = await load(key)
            settings.SECRET_KEY = "another"
            settings.SECRET_KEY_FALLBACKS = [former]
            assert await scope[CONNECTION].check()
            settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [], former
            assert await load(key) == stored

    async def test_changed_password(self) -> None:
        """Another password ends the connection; the session is the site's to flush."""
        user = await create()
        key = await logged_in(user)
        async with connected(key) as scope:
            stored = await load(key)
            await change(lambda: User.objects.update(password="other"))
            assert not await scope[CONNECTION].check()
            assert scope[CONNECTION].ended == "Access was revoked."
            assert await load(key) == stored

    async def test_expired_session(self) -> None:
        """A session that has expired is over."""
        key = await logged_in(await create())
        async with connected(key) as scope:
            yesterday = timezone.now() - datetime.timedelta(days=1)
            await change(lambda: Session.objects.update(expire_date=yesterday))
            assert not await scope[CONNECTION].check()

    async def test_session_of_somebody_else(self) -> None:
        """So is one in which another user has logged in."""
        key = await logged_in(await create())
        eve = await create("eve")

        def log_eve_in() -> None:
            session = SessionStore(key)
            session[SESSION_KEY] = str(eve.pk)
            session[HASH_SESSION_KEY] = eve.get_session_auth_hash()
            session.save()

        async with connected(key) as scope:
            await change(log_eve_in)
            assert not await scope[CONNECTION].check()

    async def test_rights(self) -> None:
        """A check shows the consumer what its user may do by now."""
        key = await logged_in(await create())
        async with connected(key) as scope:
            seen = [scope["user"].is_staff]
            await change(lambda: User.objects.update(is_staff=True))
            assert await scope[CONNECTION].check()
            assert [*seen, scope["user"].is_staff] == [False, True]

    async def test_anonymous(self) -> None:
        """Nobody can be gone."""
        async with connected(None) as scope:
            assert await scope[CONNECTION].check()
            assert scope[CONNECTION].user_key is None

    async def test_patched_get_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ``get_user`` that a test puts into the module is asked again."""
        users: list[User | AnonymousUser] = [User(pk=7), User(pk=7, is_staff=True), AnonymousUser()]

        async def patched(scope: Scope) -> User | AnonymousUser:
            return users.pop(0)

        monkeypatch.setattr(auth, "get_user", patched)
        async with connected(None) as scope:
            assert await scope[CONNECTION].check()
            assert scope["user"].is_staff
            assert not await scope[CONNECTION].check()

    async def test_login_that_is_not_saved(self) -> None:
        """A login in the socket lasts as long as the connection, until it is saved."""
        user = await create()
        async with connected(None) as scope:
            await login(scope, user)
            connection = scope[CONNECTION]
            assert connection.user_key == str(user.pk)
            assert connection.session == session_digest(scope["session"].session_key)
            await change(lambda: User.objects.update(is_staff=True))
            assert await connection.check()
            assert scope["user"].is_staff
            # Once saved, it is what is stored that counts.
            await change(scope["session"].save)
            assert await connection.check()
            await change(lambda: Session.objects.all().delete())
            assert not await connection.check()

    async def test_logout(self) -> None:
        """After a logout the connection is nobody's."""
        key = await logged_in(await create())
        async with connected(key) as scope:
            await logout(scope)
            assert scope[CONNECTION].user_key is None
            assert await scope[CONNECTION].check()

    async def test_user_of_the_scope(self) -> None:
        """A user whom something above has found is that one's to look after."""
        application = Keeps()
        stack = AuthMiddlewareStack(application, revalidate=True)
        await stack({"type": "websocket", "headers": [], "user": User(pk=7)}, receive, send)
        assert CONNECTION not in application.scopes[0]

    async def test_session_of_a_test(self) -> None:
        """A dict is a session that is what it is."""
        application = Keeps()
        middleware = AuthMiddleware(application, revalidate=True)
        await middleware({"type": "websocket", "session": {}}, receive, send)
        assert application.scopes[0][CONNECTION].session is None

    @pytest.mark.parametrize("revalidate", [None, False])
    async def test_off(self, revalidate: bool | None) -> None:
        """Unless it is wanted, nothing is wrapped and nobody is watched."""
        calls: list[tuple[Scope, Receive, Send]] = []

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            calls.append((scope, receive, send))

        stack = AuthMiddlewareStack(application, revalidate=revalidate)
        await stack({"type": "websocket", "headers": []}, receive, send)
        assert CONNECTION not in calls[0][0]
        assert calls[0][1:] == (receive, send)


@contextlib.asynccontextmanager
async def connected(session_key: str | None) -> AsyncIterator[Scope]:
    """The scope of an application behind ``AuthMiddlewareStack``, while it is connected."""
    scopes: asyncio.Queue[Scope] = asyncio.Queue()
    over = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.put_nowait(scope)
        await over.wait()

    async def goodbye(event: Event) -> None:
        assert event["type"] == "websocket.close"

    # No news: what a test does itself would reach the connection at any time.
    policy = Revalidation(interval=None, at_once=False)
    stack = AuthMiddlewareStack(application, revalidate=policy)
    headers = [(b"cookie", f"sessionid={session_key}".encode())] if session_key else []
    running = asyncio.ensure_future(
        stack({"type": "websocket", "headers": headers}, receive, goodbye)
    )
    yield await scopes.get()
    over.set()
    await running
