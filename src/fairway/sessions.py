"""Cookies and Django sessions in the scope of HTTP requests and WebSockets."""

import datetime
import math
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TypeAlias, TypedDict

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import SuspiciousOperation
from django.http import SimpleCookie, parse_cookie
from django.utils.functional import LazyObject
from django.utils.http import http_date

from fairway._types import ASGIApplication, Event, Finished, Headers, Receive, Scope, Send
from fairway.db import database_sync_to_async
from fairway.middleware import begin

#: A coroutine function that may change a ``websocket.accept`` event before it is sent.
AcceptHook: TypeAlias = Callable[[Event], Awaitable[None]]

#: The scope key with the hooks that a consumer awaits, in order, when it accepts a WebSocket. They
#: stand in for a wrapped ``send``, which would cut the short way from channel layer to socket.
ACCEPT_HOOKS = "fairway.on_accept"

_EPOCH = "Thu, 01-Jan-1970 00:00:00 GMT"


class CookieMiddleware:
    """Puts the request's cookies into ``scope["cookies"]``, a dict like Django's ``COOKIES``.

    Args:
        inner: The application around which it goes; it needs scopes with ``headers``.
    """

    def __init__(self, inner: ASGIApplication) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Parse the cookies and run the inner application.

        Raises:
            ValueError: The scope has no ``headers``.
        """
        if "headers" not in scope:
            raise ValueError(
                "CookieMiddleware was passed a scope that did not have a headers key (make sure "
                "it is only passed HTTP or WebSocket connections)"
            )
        cookies = _parse_cookies(scope["headers"])
        served = begin(self.inner, {**scope, "cookies": cookies}, receive, send)
        del scope, cookies  # an open socket keeps the innermost scope: 460 bytes less
        return await served

    @classmethod
    def set_cookie(
        cls,
        message: Event,
        key: str,
        value: str = "",
        max_age: float | None = None,
        expires: str | datetime.datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = False,
        httponly: bool | None = False,
        samesite: str | None = "lax",
    ) -> None:
        """Append a ``Set-Cookie`` field (RFC 6265 §4.1) to the headers of an ASGI event.

        Args:
            message: ``http.response.start``, ``websocket.accept`` or another event with
                ``headers``.
            key: The cookie's name.
            value: Its value.
            max_age: Seconds to live; ``expires`` is derived from it if not given.
            expires: A date in the header's format, or a datetime (UTC if naive), from which
                ``max_age`` is computed.
            path: The path prefix to which browsers return it.
            domain: The domain to which they return it, subdomains included; the host alone if None.
            secure: Return it over HTTPS only.
            httponly: Keep it from scripts.
            samesite: "lax", "strict", "none", or None for no such attribute.

        Raises:
            AssertionError: ``samesite`` is something else.
        """
        if samesite is not None and samesite.lower() not in {"strict", "lax", "none"}:
            raise AssertionError("samesite must be either 'strict', 'lax' or 'none'")
        if isinstance(expires, datetime.datetime):
            max_age, expires = _seconds_until(expires), None
        if max_age is not None and not expires:
            expires = http_date(time.time() + max_age)
        attributes = {
            "max-age": max_age,
            "expires": expires,
            "path": path,
            "domain": domain,
            "secure": secure,
            "httponly": httponly,
            "samesite": samesite,
        }
        cookie: SimpleCookie = SimpleCookie()
        cookie[key] = value
        for name, given in attributes.items():
            if given is not None:
                cookie[key][name] = given
        field = (b"Set-Cookie", cookie[key].OutputString().encode("utf-8"))
        message["headers"] = [*message.get("headers", ()), field]

    @classmethod
    def delete_cookie(
        cls,
        message: Event,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        *,
        secure: bool | None = False,
        httponly: bool | None = False,
        samesite: str | None = "lax",
    ) -> None:
        """Append a ``Set-Cookie`` field that makes the browser forget a cookie.

        ``path`` and ``domain`` must be those with which the cookie was set (RFC 6265 §5.3, step
        11). The other attributes should be: a browser ignores the field where ``secure`` is missing
        and the cookie was set with it over a connection that is not, or has ``samesite="none"``, or
        a name that begins with ``__Secure-`` or ``__Host-``. (With such a name, or "none", it is
        always there.)
        """
        if key.startswith(("__Secure-", "__Host-")) or (samesite or "").lower() == "none":
            secure = True
        cls.set_cookie(
            message,
            key,
            max_age=0,
            expires=_EPOCH,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
        )


def _parse_cookies(headers: Headers) -> dict[str, str]:
    """Parse all ``cookie`` fields; HTTP/2 may send several (RFC 9113 §8.2.3)."""
    fields = [value.decode("latin1") for name, value in headers if name == b"cookie"]
    return parse_cookie("; ".join(fields)) if fields else {}


def _seconds_until(moment: datetime.datetime) -> int:
    """Return the whole seconds until a moment (UTC if naive), rounded up, and 0 for the past."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0, math.ceil(moment.timestamp() - time.time()))


class InstanceSessionWrapper:
    """One connection's session: its scope, and the ways on which the session is saved.

    A modified session of an HTTP request is saved when the response starts, that of a WebSocket
    when a consumer accepts it (see ``ACCEPT_HOOKS``); both then carry the cookie to the browser.
    After that a WebSocket has no way to send a cookie, and changes to its session are saved only by
    the application's own ``session.save()``.

    Attributes:
        scope: A copy of the scope, with ``session``.
        activated: False if the scope already had a session, which is then left alone.
    """

    #: Events that save a modified session.
    save_message_types = ["http.response.start"]
    #: Events of those that can carry cookies.
    cookie_response_message_types = ["http.response.start"]

    def __init__(self, scope: Scope, send: Send) -> None:
        self.cookie_name = settings.SESSION_COOKIE_NAME
        self.session_store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        self.scope = dict(scope)
        self.real_send = send
        self.activated = "session" not in scope
        if not self.activated:
            return
        if "cookies" not in scope:
            raise ValueError(
                "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
            )
        self.scope["session"] = LazyObject()
        if scope.get("type") == "websocket":
            # A new list: the old one belongs to scopes above, which other branches may share.
            self.scope[ACCEPT_HOOKS] = [*scope.get(ACCEPT_HOOKS, ()), self.on_accept]

    async def resolve_session(self) -> None:
        """Give the lazy session its store. Nothing is read before somebody looks into it."""
        if self.activated:
            session_key = self.scope["cookies"].get(self.cookie_name)
            # How LazyObject is filled from outside, which keeps copies of the scope in step.
            self.scope["session"]._wrapped = self.session_store(session_key)  # noqa: SLF001

    async def send(self, message: Event) -> None:
        """Save the session if this event calls for it, add its cookie, and send the event on."""
        if self.activated and message["type"] in self.save_message_types:
            wanted = self.scope["session"].modified or settings.SESSION_SAVE_EVERY_REQUEST
            # What a failed request did to its session is not kept, as in Django.
            if wanted and message.get("status", 200) != 500:
                await self._save_into(message)
        return await self.real_send(message)

    async def on_accept(self, message: Event) -> None:
        """Save a modified session and add its cookie to a ``websocket.accept`` event.

        A consumer awaits this before it sends the event. An unmodified session is not saved, also
        with ``SESSION_SAVE_EVERY_REQUEST``.
        """
        if self.scope["session"].modified:
            await self._save_into(message, cookies=True)

    async def save_session(self) -> None:
        """Save the session.

        Raises:
            SuspiciousOperation: It was deleted in the meantime, for instance by a logout elsewhere.
        """
        session: SessionBase = self.scope["session"]
        # The sync methods are those that session backends override, and cost one thread hop in all.
        try:
            await database_sync_to_async(session.save)()
        except UpdateError as error:
            raise SuspiciousOperation(
                "The request's session was deleted before the request completed. The user may have "
                "logged out in a concurrent request, for example."
            ) from error

    async def _save_into(self, message: Event, *, cookies: bool = False) -> None:
        """Save the session, and set or delete its cookie if the event can carry one."""
        session: SessionBase = self.scope["session"]
        empty = session.is_empty()
        if not empty:
            await self.save_session()
        if not (cookies or message["type"] in self.cookie_response_message_types):
            return
        if not empty:
            self._set_cookie(message, session)
        elif self.cookie_name in self.scope["cookies"]:
            CookieMiddleware.delete_cookie(message, self.cookie_name, **_cookie_attributes())

    def _set_cookie(self, message: Event, session: SessionBase) -> None:
        """Set the session's cookie as the ``SESSION_COOKIE_…`` settings have it."""
        # The session has just been saved, so reading its expiry costs no query.
        lasting = not session.get_expire_at_browser_close()
        CookieMiddleware.set_cookie(
            message,
            self.cookie_name,
            session.session_key or "",
            max_age=session.get_expiry_age() if lasting else None,
            **_cookie_attributes(),
        )


class _CookieAttributes(TypedDict):
    """What the session's cookie is set with, and has to be deleted with."""

    path: str | None
    domain: str | None
    secure: bool | None
    httponly: bool | None
    samesite: str | None


def _cookie_attributes() -> _CookieAttributes:
    """Return what the ``SESSION_COOKIE_…`` settings say; of flags that are off, None."""
    return {
        "path": settings.SESSION_COOKIE_PATH,
        "domain": settings.SESSION_COOKIE_DOMAIN,
        "secure": settings.SESSION_COOKIE_SECURE or None,
        "httponly": settings.SESSION_COOKIE_HTTPONLY or None,
        "samesite": settings.SESSION_COOKIE_SAMESITE or None,
    }


class SessionMiddleware:
    """Puts Django's session into ``scope["session"]``; goes inside ``CookieMiddleware``.

    Args:
        inner: The application around which it goes.
    """

    def __init__(self, inner: ASGIApplication) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Run the inner application with a session.

        Raises:
            ValueError: The scope has no ``cookies``.
        """
        wrapper = InstanceSessionWrapper(scope, send)
        await wrapper.resolve_session()
        if scope.get("type") != "websocket":
            return await self.inner(wrapper.scope, receive, wrapper.send)
        del scope  # as above
        try:
            return await begin(self.inner, wrapper.scope, receive, send)
        finally:
            # The hook refers to the wrapper, and so to the scope: no circle, which would hold all
            # that belonged to the connection until the collector's longest turn.
            if wrapper.activated:
                wrapper.scope[ACCEPT_HOOKS] = ()


def SessionMiddlewareStack(inner: ASGIApplication) -> CookieMiddleware:  # noqa: N802  # Channels' name
    """Return the application inside ``SessionMiddleware`` inside ``CookieMiddleware``."""
    return CookieMiddleware(SessionMiddleware(inner))
