"""Users who prove themselves with a token instead of a session."""

import contextlib
import functools
import inspect
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist

from fairway._types import ASGIApplication, Event, Finished, Receive, Scope, Send
from fairway.auth.connections import CONNECTION, REVOKED, Connection
from fairway.auth.endings import respond_unauthorized
from fairway.auth.guarding import GUARDED, Guard, control_message
from fairway.auth.policy import Revalidation
from fairway.auth.tokens import MAX_TOKEN_SIZE, NOT_VALID, TokenRefused, TokenVerifier
from fairway.auth.users import Nobody, TokenUser, user_key
from fairway.db import database_sync_to_async
from fairway.middleware import BaseMiddleware
from fairway.sessions import ACCEPT_HOOKS
from fairway.wire.frames import CloseCode

logger = logging.getLogger("fairway.auth")

#: Where a token may be.
Source: TypeAlias = Literal["header", "subprotocol", "query"]
#: Finds the user that the claims of a token name, or None.
FindUser: TypeAlias = Callable[[Mapping[str, Any]], Any]

#: What stands before a token in the list of subprotocols, as an entry of its own or with a period.
BEARER: Final = "bearer"

RENEW: Final = "auth.renew"

_AUTHORIZATION = re.compile(rb"bearer +(\S+) *", re.IGNORECASE)


class TokenAuthMiddleware(BaseMiddleware):
    """Lets in who brings a good JSON Web Token, and puts its user into ``scope["user"]``.

    ``scope["claims"]`` holds what the token says. A connection ends with 4401 when its token
    expires, unless the client brings a new one in time: see :func:`renew` and ``renewal``. Who
    brings a bad token, or none, is refused with 401 (RFC 6750 §3), where the server cannot say that
    to a WebSocket with close code 4401.

    It works without sessions. Inside ``AuthMiddlewareStack`` a token comes before the session, and
    without a token the session's user is good enough.

    A browser can send a token only in the address, which ends up in logs (ours leave out what
    parameters that end in "token" say), or as a subprotocol:
    ``new WebSocket(url, ["bearer", token])``. The consumer does not see these two in
    ``scope["subprotocols"]``; when it accepts without a subprotocol, "bearer" is named for it,
    since a browser wants one of those that it offered.

    Args:
        inner: The application around which it goes.
        verifier: What tells good tokens from bad ones.
        sources: Where to look for a token, in this order.
        query_parameter: The parameter's name for the source "query"; must end in "token".
        get_user: Gets the claims, and returns the user or None; may be ``async``, and if it is not
            it runs in a thread. A field of the user model as text, such as "username", stands for
            the user whose field is the token's ``sub``. Users who are not active are refused.
        required: Refuse who brings no token, unless something above has found their user. If not,
            their user is anonymous.
        renewal: Answer the client's messages ``{"type": "auth.renew", "token": "…"}`` here, with
            ``{"type": "auth.renewed", "expires_at": …}`` or ``{"type": "auth.refused", "reason":
            …}``; the consumer does not see them.
        revalidate: As for ``AuthMiddleware``: look the user up again while it is connected.

    Raises:
        ImproperlyConfigured: The parameter has another name, or a source does not exist.
    """

    def __init__(
        self,
        inner: ASGIApplication,
        verifier: TokenVerifier,
        *,
        sources: Sequence[Source] = ("header", "subprotocol", "query"),
        query_parameter: str = "token",
        get_user: FindUser | str = "pk",
        required: bool = True,
        renewal: bool = False,
        revalidate: Revalidation | float | bool | None = None,
    ) -> None:
        super().__init__(inner)
        unknown = set(sources) - {"header", "subprotocol", "query"}
        if unknown or isinstance(sources, str):
            raise ImproperlyConfigured(
                'A token is looked for in a list of "header", "subprotocol" and "query", not '
                f"{sources!r}."
            )
        if not query_parameter.endswith("token"):
            raise ImproperlyConfigured(
                f'The query parameter {query_parameter!r} must end in "token": what such '
                "parameters say is left out of the server's log."
            )
        self.verifier = verifier
        self.sources = tuple(sources)
        self.query_parameter = query_parameter
        self.get_user: FindUser = _by_field(get_user) if isinstance(get_user, str) else get_user
        self.required = required
        self.renewal = renewal
        self.revalidation = Revalidation.of(revalidate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Find the user and run the inner application, or refuse the connection."""
        if scope["type"] not in GUARDED:
            return await self.inner(scope, receive, send)
        scope = dict(scope)
        token = self._find_token(scope)
        identity = None
        try:
            if token is None:
                self._require_user(scope)
            else:
                identity = await _TokenIdentity.of(token, self.verifier, self.get_user)
        except TokenRefused as refusal:
            logger.info("Refused %s %r: %s", scope["type"], scope.get("path", ""), refusal.detail)
            return await _refuse(scope, receive, send, refusal, missing=token is None)
        if identity is None:
            return await self._fw_pass_on(scope, receive, send)
        outer: Connection | None = scope.get(CONNECTION)
        if outer is not None:
            outer.release()  # the token's user counts, and not the session's
        scope["user"], scope["claims"] = identity.user, identity.claims
        intercept = _Renewal(scope, send) if self.renewal else None
        guard = Guard(
            scope, receive, send, identity, self.revalidation, self.verifier.clock, intercept
        )
        return await guard.run(self._fw_pass_on, identity.introduce)

    def _require_user(self, scope: Scope) -> None:
        """Without a token, somebody else must know the user, or nobody has to."""
        if "user" in scope and (not self.required or user_key(scope["user"]) is not None):
            return
        if self.required:
            raise TokenRefused("A token is required.")
        scope["user"] = Nobody()

    def _find_token(self, scope: Scope) -> str | None:
        """Return the first token; the one among the subprotocols is taken out in any case."""
        offered = _take_subprotocol(scope) if "subprotocol" in self.sources else None
        for source in self.sources:
            if source == "header":
                found = _in_header(scope)
            elif source == "query":
                query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
                found = query.get(self.query_parameter, [None])[0]
            else:
                found = offered
            if found is not None:
                return found
        return None


def _in_header(scope: Scope) -> str | None:
    """Return the token of the ``Authorization`` field (RFC 6750 §2.1)."""
    for name, value in scope.get("headers", ()):
        if name == b"authorization" and (match := _AUTHORIZATION.fullmatch(value)):
            return match[1].decode("latin-1")
    return None


def _take_subprotocol(scope: Scope) -> str | None:
    """Take the token out of the list of subprotocols, and see to it that one of them is named."""
    offered: list[str] = list(scope.get("subprotocols") or ())
    for index, entry in enumerate(offered):
        if entry == BEARER and index + 1 < len(offered):
            token, used, answer = offered[index + 1], 2, entry
        elif entry.startswith(f"{BEARER}."):
            # The token itself is echoed only to who offers nothing else.
            others = [other for other in offered if other != entry]
            token, used, answer = entry.removeprefix(f"{BEARER}."), 1, (*others, entry)[0]
        else:
            continue
        scope["subprotocols"] = offered[:index] + offered[index + used :]
        hook = functools.partial(_name_subprotocol, answer)
        scope[ACCEPT_HOOKS] = [*scope.get(ACCEPT_HOOKS, ()), hook]
        return token
    return None


async def _name_subprotocol(name: str, event: Event) -> None:
    """Name a subprotocol in ``websocket.accept``: browsers give up where none of theirs is named.

    RFC 6455 §4.1 lets a server name none, but the page's script would never see an open socket
    (https://websockets.spec.whatwg.org/#concept-websocket-establish).
    """
    if event.get("subprotocol") is None:
        event["subprotocol"] = name


def _by_field(field: str) -> FindUser:
    """Return what finds the user with ``sub`` in a field of the user model."""

    def find(claims: Mapping[str, Any]) -> Any:
        from django.contrib.auth import get_user_model  # noqa: PLC0415  needs django.setup()

        try:
            return get_user_model()._default_manager.get(**{field: claims.get("sub")})  # noqa: SLF001  documented
        except (ObjectDoesNotExist, ValueError, TypeError):
            return None

    return find


async def _find_user(find: FindUser, claims: Mapping[str, Any]) -> Any:
    """Return the active user of some claims.

    Raises:
        TokenRefused: There is none.
    """
    if inspect.iscoroutinefunction(find):
        user = await find(claims)
    else:
        user = await database_sync_to_async(find)(claims)
    if user is None or user_key(user) is None:
        raise TokenRefused(NOT_VALID, f"There is no user for sub {claims.get('sub')!r}.")
    if not getattr(user, "is_active", True):
        raise TokenRefused(NOT_VALID, f"User {user.pk!r} is not active.")
    return user


def _password_of(user: Any) -> str | None:
    """Return what changes with the user's password."""
    return user.get_session_auth_hash() if hasattr(user, "get_session_auth_hash") else None


class _TokenIdentity:
    """Who a connection is by its token.

    Args:
        claims: What the token says.
        user: Whom it names.
        verifier: What found the token good.
        find: What found the user.
    """

    def __init__(
        self, claims: dict[str, Any], user: Any, verifier: TokenVerifier, find: FindUser
    ) -> None:
        self.claims = claims
        self.user = TokenUser(user)
        self._password = _password_of(user)
        self._verifier = verifier
        self._find = find

    @classmethod
    async def of(cls, token: str, verifier: TokenVerifier, find: FindUser) -> "_TokenIdentity":
        """Return the identity that a token proves.

        Raises:
            TokenRefused: It proves none.
        """
        claims = await verifier.verify(token)
        return cls(claims, await _find_user(find, claims), verifier, find)

    async def introduce(self, connection: Connection) -> None:
        """Tell the connection whose it is, and until when."""
        ends_at = self._verifier.ends_at(self.claims)
        await connection.change(user_key(self.user), expires_at=ends_at)

    async def check(self) -> str | None:
        """Look the user up again, and refresh ``scope["user"]``; say why not if they are gone."""
        try:
            user = await _find_user(self._find, self.claims)
        except TokenRefused:
            return REVOKED
        if user_key(user) != user_key(self.user) or _password_of(user) != self._password:
            return REVOKED
        self.user._wrapped = user  # noqa: SLF001  LazyObject's own way
        return None

    async def renew(self, token: str) -> None:
        """Take the claims of another token of the same user.

        Raises:
            TokenRefused: It is not good, or somebody else's.
        """
        other = await self.of(token, self._verifier, self._find)
        same = all(other.claims.get(name) == self.claims.get(name) for name in ("sub", "iss"))
        if not same or user_key(other.user) != user_key(self.user):
            raise TokenRefused("The token is for somebody else.")
        self._password = other._password  # noqa: SLF001  the same class
        self.user._wrapped = other.user._wrapped  # noqa: SLF001  as above
        # In place: every copy of the scope refers to this very dictionary.
        self.claims.clear()
        self.claims.update(other.claims)


async def renew(scope: Scope, token: str) -> float | None:
    """Go on with another token, so that the connection does not end with the first one.

    It must be good, and of the same issuer and subject. ``scope["claims"]`` says then what it says.

    Args:
        scope: The scope of a consumer inside ``TokenAuthMiddleware``.
        token: From the client.

    Returns:
        When the connection ends now, in seconds since the epoch; None if the token never expires.

    Raises:
        TokenRefused: It is not good; the connection goes on until the old one expires.
        ValueError: The connection did not begin with a token.
    """
    connection: Connection | None = scope.get(CONNECTION)
    if connection is None or not isinstance(connection.identity, _TokenIdentity):
        raise ValueError(
            "This connection has no token to renew. TokenAuthMiddleware must be above it, and the "
            "client must have brought a token."
        )
    await connection.identity.renew(token)
    if connection.ended is not None:
        raise TokenRefused(connection.ended)
    await connection.identity.introduce(connection)
    return connection.expires_at


class _Renewal:
    """Answers the client's messages that bring a new token.

    Args:
        scope: Of the connection.
        send: Of the server.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send

    async def __call__(self, text: str) -> bool:
        """Handle a message if it is one of these; says whether it was."""
        message = control_message(text, RENEW, 2 * MAX_TOKEN_SIZE)
        if message is None:
            return False
        answer: dict[str, object]
        try:
            token = message.get("token")
            if not isinstance(token, str):
                raise TokenRefused("There is no token in the message.")
            answer = {"type": "auth.renewed", "expires_at": await renew(self._scope, token)}
        except TokenRefused as refusal:
            logger.info("Refused to renew a token: %s", refusal.detail)
            answer = {"type": "auth.refused", "reason": refusal.reason}
        with contextlib.suppress(OSError):  # the client is gone, as the consumer will hear
            await self._send({"type": "websocket.send", "text": json.dumps(answer)})
        return True


async def _refuse(
    scope: Scope, receive: Receive, send: Send, refusal: TokenRefused, *, missing: bool
) -> None:
    """Answer 401 with what the client should do (RFC 6750 §3), or close with 4401."""
    error = b"" if missing else b', error="invalid_token", error_description="%b"'
    challenge = b'Bearer realm="fairway"' + (error % refusal.reason.encode() if error else b"")
    headers = [(b"www-authenticate", challenge)]
    # A client that did not wait for the answer needs none.
    with contextlib.suppress(OSError):
        if scope["type"] == "http":
            await respond_unauthorized(send, "http.response", refusal.reason, headers)
            return
        if (await receive())["type"] != "websocket.connect":
            return
        if "websocket.http.response" in (scope.get("extensions") or {}):
            await respond_unauthorized(send, "websocket.http.response", refusal.reason, headers)
            return
        code = int(CloseCode.UNAUTHORIZED)
        await send({"type": "websocket.close", "code": code, "reason": refusal.reason})
