"""Open a WebSocket to an ASGI application inside a test."""

import json
from collections.abc import Iterable
from typing import Any

from fairway._types import ASGIApplication, Event, Headers
from fairway.testing.application import ApplicationCommunicator
from fairway.testing.http import _collect_response, _connection_scope, _expect


class WebsocketCommunicator(ApplicationCommunicator):
    """Plays the client of one WebSocket.

    Args:
        application: The ASGI application, such as ``ChatConsumer.as_asgi()`` or a router.
        path: The path with its query string, percent-encoded or not.
        headers: Header fields of the handshake, with names in lower case.
        subprotocols: What the client offers, in its order of preference.
        spec_version: Put into the scope under this name if given.

    Attributes:
        response_headers: Headers that the application added when it accepted or denied the
            handshake; None before.
        denial_response: ``status``, ``headers`` and ``body`` of a handshake that was denied by an
            HTTP response; None otherwise. An application sends one only to a server that offers
            this; to offer it, set
            ``communicator.scope["extensions"] = {"websocket.http.response": {}}``.
    """

    def __init__(
        self,
        application: ASGIApplication,
        path: str,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"Expected str, got {type(path)}")
        scope = _connection_scope("websocket", path, headers)
        scope["scheme"] = "ws"
        scope["subprotocols"] = list(subprotocols or [])
        if spec_version:
            scope["spec_version"] = spec_version
        super().__init__(application, scope)
        self.response_headers: Headers | None = None
        self.denial_response: Event | None = None

    async def connect(self, timeout: float | None = 1) -> tuple[bool, Any]:  # noqa: ASYNC109
        """Ask the application to accept the WebSocket.

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
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        if answer["type"] == "websocket.close":
            return False, answer.get("code", 1000)
        if answer["type"] == "websocket.http.response.start":
            self.denial_response = await _collect_response(
                self, answer, "websocket.http.response", timeout
            )
            self.response_headers = self.denial_response["headers"]
            return False, self.denial_response["status"]
        _expect("websocket.accept", answer)
        self.response_headers = answer.get("headers", [])
        return True, answer.get("subprotocol")

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

    async def receive_from(self, timeout: float | None = 1) -> str | bytes:  # noqa: ASYNC109
        """Return the next message that the application sends.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            AssertionError: It sent something else, such as ``websocket.close``.
            TimeoutError: As for ``receive_output``.
        """
        event = await self.receive_output(timeout)
        _expect("websocket.send", event)
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

    async def receive_json_from(self, timeout: float | None = 1) -> Any:  # noqa: ASYNC109
        """Return the next message that the application sends, decoded from JSON text.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            AssertionError: It sent something else, such as bytes or ``websocket.close``.
            TimeoutError: As for ``receive_output``.
        """
        payload = await self.receive_from(timeout)
        if not isinstance(payload, str):
            raise AssertionError(f"JSON data is not a text frame, it is {type(payload)}")
        return json.loads(payload)

    async def disconnect(self, code: int = 1000, timeout: float | None = 1) -> None:  # noqa: ASYNC109
        """Go away, and wait for the application to end as ``wait`` does.

        Args:
            code: The close code that the application is told.
            timeout: Seconds to wait before the application is cancelled.
        """
        await self.send_input({"type": "websocket.disconnect", "code": code})
        await self.wait(timeout)
