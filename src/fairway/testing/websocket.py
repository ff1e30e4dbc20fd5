"""Open a WebSocket to an ASGI application inside a test."""

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from fairway._types import ASGIApplication, Event, Headers
from fairway.testing.application import DEFAULT_TIMEOUT, ApplicationCommunicator
from fairway.testing.http import body_part, expect
from fairway.testing.scope import connection_scope
from fairway.wire.frames import CloseCode


class WebsocketRejected(AssertionError):
    """The application did not accept the WebSocket.

    Attributes:
        status: The HTTP status that a browser would get: that of the denial response, or 403, which
            servers send for an application that just closes.
        headers: Header fields of the denial response; empty without one.
        body: Its body.
        code: The close code with which the application closed; None if it sent a response.
        reason: The reason beside it.
    """

    def __init__(
        self,
        path: str,
        *,
        status: int = 403,
        headers: Headers | None = None,
        body: bytes = b"",
        code: int | None = None,
        reason: str = "",
    ) -> None:
        self.status, self.headers, self.body = status, headers or [], body
        self.code, self.reason = code, reason
        if code is None:
            how = f"with HTTP {status}: {body!r}"
        else:
            how = f"by closing with {code}" + (f" ({reason})" if reason else "")
        super().__init__(f"The WebSocket for {path!r} was rejected {how}")


class WebsocketCommunicator(ApplicationCommunicator):
    """Plays the client of one WebSocket.

    As an asynchronous context manager it connects, and in the end disconnects::

        async with WebsocketCommunicator(ChatConsumer.as_asgi(), "/") as communicator:
            await communicator.send_json_to({"word": "Ahoy"})
            assert await communicator.receive_json_from() == {"word": "Ahoy"}

    Args:
        application: The ASGI application, such as ``ChatConsumer.as_asgi()`` or a router.
        path: The path with its query string, percent-encoded or not.
        headers: Header fields of the handshake, with names in lower case; ``host`` is added.
        subprotocols: What the client offers, in its order of preference.
        spec_version: Put into the scope under this name if given, and into ``asgi``.
        served: Let the scope say that a server called: it has ``asgi``, and the extension for
            denial responses. A ``URLRouter`` then denies a path that it does not know by 404, which
            otherwise raises in the test.
        state: The state of the application's lifespan (``LifespanCommunicator.state``).

    Attributes:
        subprotocol: What the application chose when it accepted; None otherwise.
        response_headers: Headers that the application added when it accepted or denied the
            handshake; None before.
        denial_response: ``status``, ``headers`` and ``body`` of a handshake that was denied by an
            HTTP response; None otherwise. An application sends one only to a server that offers
            this; to offer it, pass ``served=True``, or set
            ``communicator.scope["extensions"] = {"websocket.http.response": {}}``.
        close_code: The code with which the application closed, once that was received; 1000 where
            it named none.
        close_reason: The reason beside it; may be empty.
    """

    def __init__(
        self,
        application: ASGIApplication,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | None = None,
        *,
        served: bool = False,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"Expected str, got {type(path)}")
        scope = connection_scope("websocket", path, headers, served=served, state=state)
        scope["scheme"] = "ws"
        scope["subprotocols"] = list(subprotocols or [])
        if served:
            scope["extensions"] = {"websocket.http.response": {}}
        if spec_version:
            scope["spec_version"] = spec_version
            if served:
                scope["asgi"]["spec_version"] = spec_version
        super().__init__(application, scope)
        self.subprotocol: str | None = None
        self.response_headers: Headers | None = None
        self.denial_response: Event | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._rejected = False

    async def connect(self, timeout: float | None = DEFAULT_TIMEOUT) -> tuple[bool, Any]:  # noqa: ASYNC109
        """Ask the application to accept the WebSocket.

        After a rejection it may be called again. It then tries anew, as a client does that
        reconnects: the application, if it still runs, is told of the disconnect, and started once
        more with the same scope.

        Args:
            timeout: Seconds to wait for each event of the answer; ``None`` waits for ever.

        Returns:
            ``(True, subprotocol)`` if it accepts, with None for no subprotocol; ``(False, code)``
            if it closes instead, with 1000 where it names no code; ``(False, status)`` if it denies
            by an HTTP response, which is then in ``denial_response``.

        Raises:
            AssertionError: It did none of these.
            TimeoutError: As for ``receive_output``.
        """
        if self._rejected:
            await self.disconnect(CloseCode.ABNORMAL_CLOSURE, timeout)
            self._begin_anew()
            self.response_headers = self.denial_response = None
            self.close_code = self.close_reason = None
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        self._rejected = answer["type"] != "websocket.accept"
        if answer["type"] == "websocket.close":
            return False, self._closed(answer)[0]
        if answer["type"] == "websocket.http.response.start":
            return False, await self._denied(answer, timeout)
        expect("websocket.accept", answer)
        self.response_headers = answer.get("headers", [])
        self.subprotocol = answer.get("subprotocol")
        return True, self.subprotocol

    async def __aenter__(self) -> Self:
        accepted, _ = await self.connect()
        if not accepted:
            error = self._rejection()
            await self.disconnect(CloseCode.ABNORMAL_CLOSURE)
            raise error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.future.cancelled():
            return
        if error is None:
            await self.disconnect()
            return
        try:
            await self.disconnect()
        except Exception as failure:  # noqa: BLE001  the test's own failure counts, and names this
            if failure is not error:
                error.add_note(f"The application failed as well: {failure!r}")

    def _closed(self, event: Event) -> tuple[int, str]:
        self.close_code = event.get("code") or CloseCode.NORMAL_CLOSURE.value
        self.close_reason = event.get("reason") or ""
        return self.close_code, self.close_reason

    async def _denied(self, start: Event, seconds: float | None) -> int:
        """Collect the body of a denial response, and return its status."""
        response = {key: value for key, value in start.items() if key != "type"}
        response["headers"] = list(start.get("headers", []))
        response["body"], more_body = b"", True
        while more_body:
            event = await self.receive_output(seconds)
            part, more_body = body_part("websocket.http.response.body", event)
            response["body"] += part
        self.denial_response = response
        self.response_headers = response["headers"]
        status: int = response["status"]
        return status

    def _rejection(self) -> WebsocketRejected:
        path: str = self.scope["path"]
        if self.denial_response is None:
            return WebsocketRejected(path, code=self.close_code, reason=self.close_reason or "")
        return WebsocketRejected(
            path,
            status=self.denial_response["status"],
            headers=self.denial_response["headers"],
            body=self.denial_response["body"],
        )

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send one message to the application: text or bytes, empty ones too.

        Raises:
            AssertionError: Both or neither are given, or the one given is of the wrong type.
        """
        # Nothing beside something is not a second message, as ever; nothing alone is an empty one.
        if text_data and not bytes_data:
            bytes_data = None
        elif bytes_data and not text_data:
            text_data = None
        if (text_data is None) == (bytes_data is None):
            raise AssertionError("You must supply exactly one of text_data or bytes_data")
        if text_data is not None:
            if not isinstance(text_data, str):
                raise AssertionError("The text_data argument must be a str")
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            if not isinstance(bytes_data, bytes):
                raise AssertionError("The bytes_data argument must be bytes")
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    async def send_json_to(self, data: Any) -> None:
        """Send ``data`` to the application as JSON in a text message."""
        await self.send_to(text_data=json.dumps(data))

    async def receive_from(self, timeout: float | None = DEFAULT_TIMEOUT) -> str | bytes:  # noqa: ASYNC109
        """Return the next message that the application sends.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            AssertionError: It sent something else, such as ``websocket.close``.
            TimeoutError: As for ``receive_output``.
        """
        event = await self.receive_output(timeout)
        if event["type"] == "websocket.close":
            self._closed(event)
        expect("websocket.send", event)
        text, data = event.get("text"), event.get("bytes")
        if (text is None) == (data is None):
            raise AssertionError("The response needs exactly one of 'text' or 'bytes'")
        if text is not None:
            if not isinstance(text, str):
                raise AssertionError(f"Text frame payload is not str, it is {type(text)}")
            return text
        if not isinstance(data, bytes):
            raise AssertionError(f"Binary frame payload is not bytes, it is {type(data)}")
        return data

    async def receive_json_from(self, timeout: float | None = DEFAULT_TIMEOUT) -> Any:  # noqa: ASYNC109
        """Return the next message that the application sends, decoded from JSON text.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            AssertionError: It sent something else, such as bytes or ``websocket.close``.
            TimeoutError: As for ``receive_output``.
            ValueError: It sent text that is no JSON, which a note shows.
        """
        payload = await self.receive_from(timeout)
        if not isinstance(payload, str):
            raise AssertionError(f"JSON data is not a text frame, it is {type(payload)}")
        try:
            return json.loads(payload)
        except ValueError as error:
            error.add_note(f"The application sent: {payload!r:.1000}")
            raise

    async def receive_close(self, timeout: float | None = DEFAULT_TIMEOUT) -> tuple[int, str]:  # noqa: ASYNC109
        """Wait until the application closes the WebSocket; return the code and the reason.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Returns:
            The close code, 1000 where it named none, and the reason, which may be empty; both are
            attributes of the communicator from then on.

        Raises:
            AssertionError: It sent something else, such as a message.
            TimeoutError: As for ``receive_output``.
        """
        event = await self.receive_output(timeout)
        expect("websocket.close", event)
        return self._closed(event)

    async def disconnect(
        self,
        code: int = 1000,
        timeout: float | None = DEFAULT_TIMEOUT,  # noqa: ASYNC109
        *,
        reason: str = "",
    ) -> None:
        """Go away, and wait for the application to end as ``wait`` does.

        Args:
            code: The close code that the application is told.
            timeout: Seconds to wait before the application is cancelled.
            reason: The reason beside the code.
        """
        event: Event = {"type": "websocket.disconnect", "code": int(code)}
        if reason:
            event["reason"] = reason
        await self.send_input(event)
        await self.wait(timeout)
