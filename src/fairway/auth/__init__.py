"""Who is at the other end: Django's authentication in the scope of HTTP requests and WebSockets."""

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
    user_logged_in,
    user_logged_out,
)
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.utils.crypto import constant_time_compare
from django.utils.functional import LazyObject

from fairway._types import ASGIApplication, Finished, Receive, Scope, Send
from fairway.auth.connections import CONNECTION, REVOKED, Connection, session_digest
from fairway.auth.guarding import GUARDED, Guard
from fairway.auth.policy import Revalidation
from fairway.auth.revocation import arevoke, connect_session_signal, publish, revoke
from fairway.auth.token_middleware import TokenAuthMiddleware, renew
from fairway.auth.tokens import TokenRefused, TokenVerifier
from fairway.auth.users import Nobody, user_key
from fairway.db import database_sync_to_async
from fairway.middleware import BaseMiddleware
from fairway.sessions import CookieMiddleware, SessionMiddleware

# Models cannot be imported before Django is set up, and routing is often imported before.
if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

__all__ = [
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "Revalidation",
    "TokenAuthMiddleware",
    "TokenRefused",
    "TokenVerifier",
    "User",
    "UserLazyObject",
    "arevoke",
    "get_user",
    "login",
    "logout",
    "renew",
    "revoke",
]

User: TypeAlias = "AbstractBaseUser | AnonymousUser"

#: The scope key with which a revalidation asks for a look at the user that changes no session.
_READ_ONLY = "fairway.auth.read_only"


def _require_session(scope: Scope, cannot: str = "Cannot") -> None:
    if "session" not in scope:
        raise ValueError(
            f"{cannot} find session in scope. You should wrap your consumer in SessionMiddleware."
        )


async def get_user(scope: Scope) -> User:
    """Return the user that the scope's session belongs to, or an ``AnonymousUser``.

    A connection without a session key costs neither a query nor a thread. As in
    ``django.contrib.auth.get_user``, a session whose hash does not fit the user's password any more
    is flushed, and one that was signed with one of ``SECRET_KEY_FALLBACKS`` is kept and signed
    anew.

    Raises:
        ValueError: There is no ``session`` in the scope.
    """
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415  # needs django.setup()

    _require_session(scope)
    session: SessionBase = scope["session"]
    # A store without a key has nothing to load, so looking into it is safe on the event loop.
    if getattr(session, "session_key", "") is None and SESSION_KEY not in session:
        return AnonymousUser()
    read_only = bool(scope.get(_READ_ONLY))
    return await database_sync_to_async(_load_user)(session, read_only) or AnonymousUser()


def _load_user(session: SessionBase, read_only: bool) -> "AbstractBaseUser | None":
    """Load the session and its user; None if it has none or does not prove to be the user's."""
    try:
        user_id = _get_user_session_key(session)
        backend_path = session[BACKEND_SESSION_KEY]
    except KeyError:
        return None
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None
    user: AbstractBaseUser | None = load_backend(backend_path).get_user(user_id)
    # A custom user model may do without session hashes.
    if user is not None and hasattr(user, "get_session_auth_hash"):
        return user if _verify(session, user, read_only) else None
    return user


def _verify(session: SessionBase, user: "AbstractBaseUser", read_only: bool) -> bool:
    """Tell whether the session was made with the user's password; flush it if it was not.

    Args:
        session: Their session.
        user: The user of that session.
        read_only: Leave the session as it is, whatever is found.
    """
    found = session.get(HASH_SESSION_KEY) or ""
    current = user.get_session_auth_hash()
    if constant_time_compare(found, current):
        return True
    fallbacks = user.get_session_auth_fallback_hash()
    if any(constant_time_compare(found, fallback) for fallback in fallbacks):
        if not read_only:
            _sign_anew(session, current)
        return True
    if not read_only:
        session.flush()
    return False


def _sign_anew(session: SessionBase, session_hash: str) -> None:
    """Store the hash by the present ``SECRET_KEY``, under the session key that the browser has."""
    # Django also changes the session's key here. That would delete the old session before it is
    # certain that the cookie with the new key can go out.
    modified = session.modified
    session[HASH_SESSION_KEY] = session_hash
    session.modified = modified
    # A view may be doing the same, and may have replaced the session by now: its hash is new, too.
    with contextlib.suppress(UpdateError):
        session.save()


async def login(scope: Scope, user: "User | None", backend: str | None = None) -> None:
    """Log a user in: store them in the scope's session, and in the scope.

    Mirrors ``django.contrib.auth.login``: data of an anonymous session is kept, another user's
    session is emptied first, ``user_logged_in`` is sent, with ``request=None``.

    The session gets a new key, and the browser learns it only from a cookie. It goes out by itself
    if this runs before a WebSocket is accepted (in ``connect()``) or an HTTP response starts. Later
    the application has to save the session, and the login lasts as long as the connection.

    Args:
        scope: The consumer's scope.
        user: Who logs in; None for ``scope["user"]``.
        backend: Dotted path of the authentication backend; may be left out if the user has a
            ``backend`` attribute or there is only one in ``AUTHENTICATION_BACKENDS``.

    Raises:
        ValueError: There is no session in the scope, no user, or a choice of backends.
    """
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415  # needs django.setup()

    _require_session(scope)
    if user is None:
        user = scope.get("user")
    if user is None or isinstance(user, AnonymousUser):
        raise ValueError("User must be passed as an argument or must be present in the scope.")
    connection: Connection | None = scope.get(CONNECTION)
    if connection is None:
        await database_sync_to_async(_login)(scope, user, backend)
        return
    with connection.changing():
        await database_sync_to_async(_login)(scope, user, backend)
        if isinstance(connection.identity, _SessionIdentity):
            connection.identity.logged_in(scope)
            session_key = scope["session"].session_key
            await connection.change(user_key(user), session_digest(session_key))


def _login(scope: Scope, user: "AbstractBaseUser", backend: str | None) -> None:
    session: SessionBase = scope["session"]
    session_hash = user.get_session_auth_hash() if hasattr(user, "get_session_auth_hash") else ""
    if SESSION_KEY not in session:
        session.cycle_key()
    elif _get_user_session_key(session) != user.pk or (
        session_hash and not constant_time_compare(session.get(HASH_SESSION_KEY, ""), session_hash)
    ):
        session.flush()
    session[BACKEND_SESSION_KEY] = _choose_backend(user, backend)
    session[SESSION_KEY] = user._meta.pk.value_to_string(user)  # noqa: SLF001  # documented
    session[HASH_SESSION_KEY] = session_hash
    scope["user"] = user
    user_logged_in.send(sender=user.__class__, request=None, user=user)


def _choose_backend(user: "AbstractBaseUser", backend: str | None) -> str:
    """Return the backend that was asked for, the user's own, or the only one there is."""
    chosen: str | None = backend or getattr(user, "backend", None)
    if chosen is not None:
        return chosen
    configured: list[str] = settings.AUTHENTICATION_BACKENDS
    if len(configured) != 1:
        raise ValueError(
            "You have multiple authentication backends configured and therefore must provide the "
            "`backend` argument or set the `backend` attribute on the user."
        )
    return configured[0]


async def logout(scope: Scope) -> None:
    """Log the user out: empty the scope's session and make ``scope["user"]`` anonymous.

    Mirrors ``django.contrib.auth.logout``; ``user_logged_out`` is sent, with ``request=None``, if
    somebody was logged in.

    Raises:
        ValueError: There is no ``session`` in the scope.
    """
    _require_session(scope, "Login cannot")
    connection: Connection | None = scope.get(CONNECTION)
    if connection is None:
        await database_sync_to_async(_logout)(scope)
        return
    with connection.changing():
        await database_sync_to_async(_logout)(scope)
        await connection.change(None)


def _logout(scope: Scope) -> None:
    from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415  # needs django.setup()

    user = scope.get("user")
    # Receivers are told before the session is gone, so that they can find out who it was.
    if user is not None and getattr(user, "is_authenticated", True):
        user_logged_out.send(sender=user.__class__, request=None, user=user)
    session_key = getattr(scope["session"], "session_key", None)
    scope["session"].flush()
    if user is not None and session_key:
        publish(session_key=session_key, certain=True)  # the signal could not say which session
    if "user" in scope:
        scope["user"] = AnonymousUser()


# The type of a primary key depends on the project's user model.
def _get_user_session_key(session: SessionBase) -> object:
    """Return the primary key of the session's user; sessions hold it as text.

    Raises:
        KeyError: Nobody is logged in.
    """
    return get_user_model()._meta.pk.to_python(session[SESSION_KEY])  # noqa: SLF001  # documented


class UserLazyObject(LazyObject):  # type: ignore[type-arg]  # no generic at run time
    """``scope["user"]`` before the user has been loaded."""

    def _setup(self) -> None:
        raise ValueError("Accessing scope user before it is ready.")


class _SessionIdentity:
    """Who a connection is by its session.

    Args:
        scope: The scope, with ``session`` and ``user``.
        resolve: What loads the user into a scope: the middleware's ``resolve_scope``.
    """

    def __init__(self, scope: Scope, resolve: Callable[[Scope], Awaitable[None]]) -> None:
        self._scope = scope
        self._resolve = resolve
        self._unsaved = False

    def logged_in(self, scope: Scope) -> None:
        """There was a login in the consumer, whose scope this is; nobody has saved it yet."""
        self._scope = scope
        self._unsaved = True

    async def check(self) -> str | None:
        """Look the user up again, and refresh ``scope["user"]``; say why not if they are gone."""
        current = self._scope["user"]
        session = await self._reload()
        fresh: Scope = {
            **self._scope,
            "session": session,
            "user": UserLazyObject(),
            _READ_ONLY: True,
        }
        await self._resolve(fresh)
        user = fresh["user"]
        if user_key(user) is None or user_key(user) != user_key(current):
            return REVOKED
        if current is not self._scope["user"]:
            return None  # a login or logout came between
        if type(current) is UserLazyObject:
            current._wrapped = user._wrapped if type(user) is UserLazyObject else user  # noqa: SLF001  LazyObject's own way
        else:
            self._scope["user"] = user
        return None

    async def _reload(self) -> SessionBase:
        """Return the session as it is stored, or the one in memory while that is ahead."""
        session = self._scope["session"]
        if not isinstance(session, SessionBase):
            return session  # type: ignore[no-any-return]  # a test's own, such as a dict
        stored: SessionBase = session.__class__(session.session_key)
        if self._unsaved:
            if not await database_sync_to_async(stored.has_key)(SESSION_KEY):
                return session
            self._unsaved = False
        return stored


class AuthMiddleware(BaseMiddleware):
    """Puts the session's user into ``scope["user"]``; goes inside ``SessionMiddleware``.

    The user is loaded when the connection comes in, and then as ``revalidate`` has it: a WebSocket
    whose user is gone is closed with 4401 and its application told so (``disconnect(4401)``), a
    streaming HTTP response is ended. Anonymous connections stay. A check refreshes
    ``scope["user"]``, so that permissions are those of the last check. A user that something above
    has already put into the scope stays, and is that one's to look after.

    Args:
        inner: The application around which it goes.
        revalidate: A :class:`Revalidation`; True for the default one; a number for one with that
            interval, in seconds; None to load the user only once.
    """

    #: The policy, if there is one; here for subclasses whose ``__init__`` does not call this one.
    revalidation: Revalidation | None = None

    def __init__(
        self, inner: ASGIApplication, revalidate: Revalidation | float | bool | None = None
    ) -> None:
        super().__init__(inner)
        self.revalidation = Revalidation.of(revalidate)

    def populate_scope(self, scope: Scope) -> None:
        """Put a lazy user into the scope, so that middleware between here and there can pass it on.

        Raises:
            ValueError: There is no ``session`` in the scope.
        """
        if "session" not in scope:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it."
            )
        # type() sees the wrapper, isinstance() would look through it.
        if "user" not in scope or type(scope["user"]) is Nobody:
            scope["user"] = UserLazyObject()

    async def resolve_scope(self, scope: Scope) -> None:
        """Load the user into the lazy object."""
        if type(scope["user"]) is UserLazyObject:
            scope["user"]._wrapped = await get_user(scope)  # noqa: SLF001  # LazyObject's own way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Load the user and run the inner application."""
        scope = dict(scope)
        self.populate_scope(scope)
        guarded = self.revalidation is not None and scope.get("type") in GUARDED
        if not guarded or type(scope["user"]) is not UserLazyObject:
            await self.resolve_scope(scope)
            served = self._fw_pass_on(scope, receive, send)
            del scope  # an open socket keeps the innermost one: 460 bytes less
            return await served
        connect_session_signal()
        identity = _SessionIdentity(scope, self.resolve_scope)
        guard = Guard(scope, receive, send, identity, self.revalidation)
        return await guard.run(self._fw_pass_on, functools.partial(self._identify, scope))

    async def _identify(self, scope: Scope, connection: Connection) -> None:
        """Load the user; meanwhile news about the session are heard already."""
        session = session_digest(getattr(scope["session"], "session_key", None))
        connection.expect(session)
        await self.resolve_scope(scope)
        key = user_key(scope["user"])
        connection.identify(key, session if key is not None else None)


def AuthMiddlewareStack(  # noqa: N802  # Channels' name
    inner: ASGIApplication, revalidate: Revalidation | float | bool | None = None
) -> CookieMiddleware:
    """Return the application inside authentication, inside sessions, inside cookies.

    Args:
        inner: The application.
        revalidate: As for :class:`AuthMiddleware`.
    """
    return CookieMiddleware(SessionMiddleware(AuthMiddleware(inner, revalidate)))
