"""Django's asynchronous test client, which can open WebSockets as well."""

import asyncio
from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

from django.test import AsyncClient as DjangoAsyncClient

from fairway._types import ASGIApplication
from fairway.routing import get_default_application
from fairway.testing.application import DEFAULT_TIMEOUT
from fairway.testing.scope import HOST
from fairway.testing.websocket import WebsocketCommunicator


class _SameOrigin(str):
    """What a browser sends for a page of the site itself."""


#: The origin of the site that the client talks to, ``http://testserver``.
SAME_ORIGIN: Final = _SameOrigin("same-origin")


class ClientWebsocket(WebsocketCommunicator):
    """A WebSocket that a test client opens: what the application sets as cookies is the client's.

    Made by :meth:`AsyncClient.websocket`.
    """

    def __init__(self, application: ASGIApplication, path: str, *, client: "AsyncClient") -> None:
        super().__init__(application, path, served=True)
        self._client = client
        self._has_own_cookies = False

    async def connect(self, timeout: float | None = DEFAULT_TIMEOUT) -> tuple[bool, Any]:  # noqa: ASYNC109
        """Ask the application to accept; see :meth:`WebsocketCommunicator.connect`."""
        # Not before: the test may log in between making the socket and opening it.
        self._set_cookies()
        answer = await super().connect(timeout)
        for name, value in self.response_headers or ():
            if bytes(name).lower() == b"set-cookie":
                self._client.cookies.load(bytes(value).decode("latin1"))
        return answer

    def __await__(self) -> Generator[Any, Any, Self]:
        """Connect, for tests that leave the end to :meth:`AsyncClient.aclose_websockets`."""
        return self.__aenter__().__await__()

    def _set_cookies(self) -> None:
        if self._has_own_cookies:
            return
        fields = [field for field in self.scope["headers"] if field[0] != b"cookie"]
        if self._client.cookies:
            cookies = self._client.cookies.values()
            text = "; ".join(sorted(f"{cookie.key}={cookie.coded_value}" for cookie in cookies))
            fields.append((b"cookie", text.encode("latin1")))
        self.scope["headers"] = fields


class AsyncClient(DjangoAsyncClient):
    """Django's ``AsyncClient``, with ``websocket``.

    ::

        class ChatTests(TestCase):
            async_client_class = AsyncClient

            async def test_chat(self):
                await self.async_client.aforce_login(user)
                async with self.async_client.websocket("/ws/chat/") as socket:
                    await socket.send_json_to({"word": "Ahoy"})
                    assert await socket.receive_json_from() == {"word": "Ahoy"}

    HTTP requests are made as ever. Both kinds share the cookies, and so the session.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._websockets: list[ClientWebsocket] = []

    def websocket(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
        query_params: Mapping[str, Any] | None = None,
        secure: bool = False,
        origin: str | None = SAME_ORIGIN,
        application: ASGIApplication | None = None,
    ) -> ClientWebsocket:
        """A WebSocket to the project's application, as a browser opens it from one of its pages.

        The whole ``ASGI_APPLICATION`` is run, with its middleware, as behind a server: the session
        is that of the client's cookies, the ``Origin`` is the site's own, and a path without a
        route is denied by 404.

        ``async with client.websocket(…) as socket`` opens the socket and closes it in the end;
        ``socket = await client.websocket(…)`` leaves it open. Both raise
        :class:`WebsocketRejected` unless the application accepts. Who prefers an answer awaits
        ``client.websocket(…).connect()``, which returns ``(False, code or status)``. Cookies that
        the application sets with its answer are stored in the client.

        Args:
            path: The path, with or without a query string.
            headers: Header fields by name, in any case. A ``cookie`` among them replaces the
                client's.
            subprotocols: What the client offers, in its order of preference.
            query_params: The query string's parameters, instead of one in the path.
            secure: Use the scheme ``wss``, and an ``https`` origin.
            origin: The ``Origin`` field; None for none, as clients other than browsers do.
            application: The ASGI application instead of ``ASGI_APPLICATION``.

        Raises:
            ImproperlyConfigured: ``ASGI_APPLICATION`` leads to no application.
        """
        path = str(path)  # reverse_lazy() is fine
        if query_params:
            path = f"{path.partition('?')[0]}?{urlencode(query_params, doseq=True)}"
        socket = ClientWebsocket(application or get_default_application(), path, client=self)
        socket.scope["subprotocols"] = list(subprotocols)
        if secure:
            socket.scope.update(scheme="wss", server=(HOST, 443))
        fields = {b"host": HOST}
        if origin is not None:
            site = f"{'https' if secure else 'http'}://{HOST}"
            fields[b"origin"] = site if origin is SAME_ORIGIN else origin
        fields.update(self._default_headers())
        for name, value in (headers or {}).items():
            fields[name.lower().encode("ascii")] = value
        socket.scope["headers"] = [(name, text.encode("latin1")) for name, text in fields.items()]
        socket._has_own_cookies = b"cookie" in fields  # noqa: SLF001  of this module
        self._websockets.append(socket)
        return socket

    async def aclose_websockets(self) -> None:
        """Disconnect the sockets that are still open, and wait for their applications.

        Raises:
            Exception: What one of the applications failed with.
        """
        sockets, self._websockets = self._websockets, []
        for socket in sockets:
            if not socket.started or socket.future.done():
                continue
            if socket.future.get_loop() is asyncio.get_running_loop():
                await socket.disconnect()
            else:
                socket.stop(exceptions=False)

    def _default_headers(self) -> Mapping[bytes, str]:
        """The ``headers`` that the client was made with, which Django keeps under WSGI's names."""
        return {
            name.removeprefix("HTTP_").replace("_", "-").lower().encode("ascii"): str(value)
            for name, value in self.defaults.items()
            if name.startswith("HTTP_")
        }
