"""Origin checks: no same-origin policy covers WebSockets, so servers ask (RFC 6455 §10.2)."""

import contextlib
import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload
from urllib.parse import ParseResult, urlparse

from django.conf import settings

from fairway._types import ASGIApplication, Finished, Headers, Receive, Scope, Send
from fairway.middleware import begin

logger = logging.getLogger("fairway.security")

#: Characters up to which what an origin, or a pattern, means is remembered.
_USUAL_LENGTH = 128

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class OriginValidator:
    """Lets a WebSocket in only from the pages of given origins.

    Browsers name the page's origin in the ``Origin`` field and scripts cannot change it (RFC 6454
    §7). Other clients may send anything: this protects users, whose cookies a foreign page would
    otherwise use, and is no substitute for authentication.

    Args:
        application: The application behind it.
        allowed_origins: Patterns, looked at for each connection. ``"*"`` lets everyone in, even
            without an ``Origin``. ``"example.com"`` is one host, ``".example.com"`` also its
            subdomains, each with any scheme and port; ``"example.com:8000"`` is bound to a port,
            and ``"https://example.com"`` to scheme and port (by default the scheme's own).
    """

    def __init__(self, application: ASGIApplication, allowed_origins: Sequence[str]) -> None:
        self.application = application
        self.allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Run the application, or refuse the WebSocket with HTTP 403.

        Raises:
            ValueError: The scope is not a WebSocket's.
        """
        if scope["type"] != "websocket":
            raise ValueError("You cannot use OriginValidator on a non-WebSocket connection")
        origin = _origin_field(scope.get("headers", ()))
        if self.valid_origin(_parse(origin)):
            return await begin(self.application, scope, receive, send)
        _refusals.log(origin, scope.get("path", ""), self.allowed_origins)
        return await WebsocketDenier()(scope, receive, send)

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Tell whether an origin may come in; None stands for a missing or malformed one."""
        if parsed_origin is None:
            return "*" in self.allowed_origins
        return self.validate_origin(parsed_origin)

    def validate_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Tell whether any pattern lets an origin in."""
        return any(
            pattern == "*" or self.match_allowed_origin(parsed_origin, pattern)
            for pattern in self.allowed_origins
        )

    def match_allowed_origin(self, parsed_origin: ParseResult | None, pattern: str) -> bool:
        """Tell whether one pattern other than ``"*"`` lets an origin in."""
        # "example.com:8000" would be read as the scheme "example.com".
        wanted = _parse(pattern if "://" in pattern else f"//{pattern}")
        if parsed_origin is None or wanted is None:
            return False
        try:
            port, wanted_port = self.get_origin_port(parsed_origin), self.get_origin_port(wanted)
        except ValueError:
            return False
        if not (parsed_origin.hostname and wanted.hostname):
            return False
        if not _is_same_domain(parsed_origin.hostname, wanted.hostname):
            return False
        if wanted.scheme:
            return (parsed_origin.scheme, port) == (wanted.scheme, wanted_port)
        return wanted_port is None or wanted_port == port

    def get_origin_port(self, origin: ParseResult) -> int | None:
        """Return the port, or the default one of the scheme, or None if that has none.

        Raises:
            ValueError: The port is no number from 0 to 65535.
        """
        return origin.port if origin.port is not None else _DEFAULT_PORTS.get(origin.scheme)


def AllowedHostsOriginValidator(  # noqa: N802  # Channels' name
    application: ASGIApplication,
) -> OriginValidator:
    """Return an ``OriginValidator`` for the hosts that Django itself serves: ``ALLOWED_HOSTS``.

    The setting is read for each connection. With ``DEBUG`` and an empty list, names of this machine
    are let in, as Django does.
    """
    return OriginValidator(application, _AllowedHosts())


class _AllowedHosts(Sequence[str]):
    """The present value of ``ALLOWED_HOSTS``."""

    @staticmethod
    def _hosts() -> Sequence[str]:
        if settings.DEBUG and not settings.ALLOWED_HOSTS:
            return [".localhost", "127.0.0.1", "[::1]"]
        hosts: Sequence[str] = settings.ALLOWED_HOSTS
        return hosts

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._hosts()[index]

    def __len__(self) -> int:
        return len(self._hosts())


class WebsocketDenier:
    """An ASGI application that refuses every WebSocket, which servers answer with HTTP 403."""

    @classmethod
    def as_asgi(cls) -> ASGIApplication:
        """Return the application, as consumers do."""
        return cls()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Finished:
        """Wait for the connection and close it before it is accepted."""
        event = await receive()
        if event["type"] == "websocket.connect":
            # A client that did not wait for the answer needs none.
            with contextlib.suppress(OSError):
                await send({"type": "websocket.close"})


def _origin_field(headers: Headers) -> str | None:
    """Return the ``Origin`` field; None if there is none, or several, which no browser sends."""
    values = [value for name, value in headers if name == b"origin"]
    return values[0].decode("latin1") if len(values) == 1 else None


def _is_same_domain(host: str, pattern: str) -> bool:
    """Tell whether a host is the pattern's, or below it if that starts with a period."""
    return host == pattern or (pattern.startswith(".") and f".{host}".endswith(pattern))


def _parse(origin: str | None) -> ParseResult | None:
    """Parse an origin or a pattern; None if it cannot be one."""
    if origin is None:
        return None
    # Nearly all clients come from one page, and the patterns are a few: 3 µs for each of them.
    return _parse_anew(origin) if len(origin) > _USUAL_LENGTH else _parse_usual(origin)


def _parse_anew(origin: str) -> ParseResult | None:
    try:
        parsed = urlparse(origin.lower())
        parsed.port  # noqa: B018  # parsed, and checked, when it is first looked at
    except ValueError:
        return None
    return parsed


_parse_usual = functools.lru_cache(maxsize=256)(_parse_anew)


@dataclass(slots=True)
class _Burst:
    """What happened to one origin since its last line in the log."""

    logged_at: float
    unlogged: int = 0


class RefusalLog:
    """Writes refusals to the log: an origin's first at once, later ones as a count per interval.

    Args:
        clock: Returns a time in seconds that never goes back.
        interval: Seconds for which an origin that has been logged is only counted.
        capacity: How many origins are remembered, as clients can invent as many as they like.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        interval: float = 60.0,
        capacity: int = 128,
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._capacity = capacity
        self._bursts: OrderedDict[str | None, _Burst] = OrderedDict()

    def log(self, origin: str | None, path: str, allowed_origins: Sequence[str]) -> None:
        """Note a refusal of ``origin`` (None if missing or repeated), and log it if it is time."""
        now = self._clock()
        burst = self._bursts.get(origin)
        if burst is not None and now - burst.logged_at < self._interval:
            burst.unlogged += 1
            return
        repeated = (
            f" ({burst.unlogged} more since the last such line)" if burst and burst.unlogged else ""
        )
        self._bursts[origin] = _Burst(logged_at=now)
        self._bursts.move_to_end(origin)
        if len(self._bursts) > self._capacity:
            self._bursts.popitem(last=False)
        place = "ALLOWED_HOSTS" if isinstance(allowed_origins, _AllowedHosts) else "allowed_origins"
        logger.warning(
            "Refused a WebSocket for %r from %s.%s %s",
            path,
            "nowhere: it has no single Origin field" if origin is None else f"origin {origin!r}",
            repeated,
            _advice(origin, place),
        )


def _advice(origin: str | None, place: str) -> str:
    """Say what lets an origin in, if anything should."""
    parsed = _parse(origin)
    if parsed is None or not parsed.hostname:
        return f"Browsers name a page's origin; only '*' in {place} lets in clients that do not."
    host = parsed.hostname if place == "ALLOWED_HOSTS" else f"{parsed.scheme}://{parsed.netloc}"
    return f"If its pages are yours, add {host!r} to {place}."


_refusals = RefusalLog()
