"""Consumers for WebSockets: text and bytes or JSON, sync or async."""

import json
from collections.abc import Iterable
from typing import Any

from asgiref.sync import async_to_sync

from fairway._types import Event
from fairway.consumer import AsyncConsumer, SyncConsumer
from fairway.exceptions import (
    AcceptConnection,
    DenyConnection,
    InvalidChannelLayerError,
    StopConsumer,
)
from fairway.sessions import ACCEPT_HOOKS
from fairway.wire.frames import CloseCode

#: A header as an application may write it: ASGI wants bytes.
Header = tuple[bytes, bytes]


def _accept_event(subprotocol: str | None, headers: Iterable[Header] | None) -> Event:
    event: Event = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        event["headers"] = list(headers)
    return event


def _send_event(text_data: str | None, bytes_data: bytes | None) -> Event:
    if text_data is not None:
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


def _close_event(code: int | bool | None, reason: str | None) -> Event:
    event: Event = {"type": "websocket.close"}
    if code is not None and code is not True:
        event["code"] = code
    if reason:
        event["reason"] = reason
    return event


class _WebSocketState:
    """What the sync and the async consumer share: their state, and checks that await nothing."""

    #: Groups that every connection of this class is in, from its ``connect`` to its ``disconnect``.
    groups: Any = None

    channel_layer: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.groups is None:
            self.groups = []

    def _require_groups(self) -> None:
        if self.groups and not hasattr(self.channel_layer, "group_add"):
            raise InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")


class WebsocketConsumer(_WebSocketState, SyncConsumer):
    """A WebSocket whose handlers are ordinary functions.

    Override :meth:`connect`, :meth:`receive` and :meth:`disconnect`; call :meth:`accept`,
    :meth:`send` and :meth:`close`.
    """

    def websocket_connect(self, message: Event) -> None:
        """A client wants to connect: join :attr:`groups`, then :meth:`connect`."""
        self._require_groups()
        for group in self.groups or ():
            async_to_sync(self.channel_layer.group_add)(group, self.channel_name)
        try:
            self.connect()
        except AcceptConnection:
            self.accept()
        except DenyConnection:
            self.close()

    def connect(self) -> None:
        """Called when a client wants to connect; accepts it unless overridden."""
        self.accept()

    def accept(
        self, subprotocol: str | None = None, headers: Iterable[Header] | None = None
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: One of ``self.scope["subprotocols"]``, or None.
            headers: Further fields of the handshake's response, as pairs of bytes.
        """
        event = _accept_event(subprotocol, headers)
        for hook in self.scope.get(ACCEPT_HOOKS, ()):
            async_to_sync(hook)(event)
        super().send(event)

    def websocket_receive(self, message: Event) -> None:
        """The client sent a message: hand it to :meth:`receive`."""
        if message.get("text") is not None:
            self.receive(text_data=message["text"])
        else:
            self.receive(bytes_data=message["bytes"])

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Called with each message, one of the two being None; does nothing unless overridden."""

    def send(  # type: ignore[override]  # Channels gave it these arguments
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: bool | int = False,
    ) -> None:
        """Send a message to the client; after :meth:`close` it is dropped.

        Args:
            text_data: A text message.
            bytes_data: A binary message, if there is no text.
            close: Close afterwards: True, or the code to close with.

        Raises:
            ValueError: There is neither text nor bytes.
        """
        event = _send_event(text_data, bytes_data)
        if not self._closing:
            super().send(event)
        if close:
            self.close(close)

    def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or refuse it if it was not accepted.

        Args:
            code: 1000, or from 3000 to 4999; None for the server's default.
            reason: A text for people and logs.
        """
        if not self._closing:
            self._closing = True
            super().send(_close_event(code, reason))

    def websocket_send(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that is to reach the client as it is."""
        self.send(text_data=message.get("text"), bytes_data=message.get("bytes"))

    def websocket_close(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that ends the connection."""
        self.close(message.get("code"), message.get("reason"))

    def websocket_disconnect(self, message: Event) -> None:
        """The connection is over: leave :attr:`groups`, then :meth:`disconnect`."""
        self._closing = True
        try:
            self._require_groups()
            for group in self.groups or ():
                async_to_sync(self.channel_layer.group_discard)(group, self.channel_name)
        finally:
            self.disconnect(message.get("code", CloseCode.NO_STATUS_RECEIVED))
        raise StopConsumer

    def disconnect(self, code: int) -> None:
        """Called once when the connection is over; does nothing unless overridden.

        Args:
            code: The close code: the client's, 1005 if it gave none, 1006 if it just went.
        """


class JsonWebsocketConsumer(WebsocketConsumer):
    """A WebSocket of JSON text, with functions: :meth:`receive_json`, :meth:`send_json`."""

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode a message and hand it to :meth:`receive_json`.

        Raises:
            ValueError: It is not text, or not JSON.
        """
        if not text_data:
            raise ValueError("No text section for incoming WebSocket frame!")
        self.receive_json(self.decode_json(text_data), **kwargs)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Called with each decoded message; does nothing unless overridden."""

    def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send a value as JSON.

        Args:
            content: What :meth:`encode_json` can encode.
            close: As in :meth:`WebsocketConsumer.send`.
        """
        super().send(text_data=self.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        """A value from JSON."""
        return json.loads(text_data)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """A value as JSON."""
        return json.dumps(content)


class AsyncWebsocketConsumer(_WebSocketState, AsyncConsumer):
    """A WebSocket whose handlers are coroutines.

    Override :meth:`connect`, :meth:`receive` and :meth:`disconnect`; await :meth:`accept`,
    :meth:`send` and :meth:`close`.
    """

    async def websocket_connect(self, message: Event) -> None:
        """A client wants to connect: join :attr:`groups`, then :meth:`connect`."""
        self._require_groups()
        for group in self.groups or ():
            await self.channel_layer.group_add(group, self.channel_name)
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()

    async def connect(self) -> None:
        """Called when a client wants to connect; accepts it unless overridden."""
        await self.accept()

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[Header] | None = None
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: One of ``self.scope["subprotocols"]``, or None.
            headers: Further fields of the handshake's response, as pairs of bytes.
        """
        event = _accept_event(subprotocol, headers)
        for hook in self.scope.get(ACCEPT_HOOKS, ()):
            await hook(event)
        await super().send(event)

    async def websocket_receive(self, message: Event) -> None:
        """The client sent a message: hand it to :meth:`receive`."""
        if message.get("text") is not None:
            await self.receive(text_data=message["text"])
        else:
            await self.receive(bytes_data=message["bytes"])

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Called with each message, one of the two being None; does nothing unless overridden."""

    async def send(  # type: ignore[override]  # Channels gave it these arguments
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: bool | int = False,
    ) -> None:
        """Send a message to the client; after :meth:`close` it is dropped.

        Args:
            text_data: A text message.
            bytes_data: A binary message, if there is no text.
            close: Close afterwards: True, or the code to close with.

        Raises:
            ValueError: There is neither text nor bytes.
        """
        event = _send_event(text_data, bytes_data)
        if not self._closing:
            try:
                await self._send(event)  # as super().send() does: 0.5 µs less for each message
            except OSError as error:
                self._client_gone(error)
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or refuse it if it was not accepted.

        Args:
            code: 1000, or from 3000 to 4999; None for the server's default.
            reason: A text for people and logs.
        """
        if not self._closing:
            self._closing = True
            await super().send(_close_event(code, reason))

    async def websocket_send(self, message: Event) -> None:
        """A group message that is to reach the client as it is."""
        await self.send(text_data=message.get("text"), bytes_data=message.get("bytes"))

    async def websocket_close(self, message: Event) -> None:
        """A group message that ends the connection."""
        await self.close(message.get("code"), message.get("reason"))

    async def websocket_disconnect(self, message: Event) -> None:
        """The connection is over: leave :attr:`groups`, then :meth:`disconnect`."""
        self._closing = True
        try:
            self._require_groups()
            for group in self.groups or ():
                await self.channel_layer.group_discard(group, self.channel_name)
        finally:
            await self.disconnect(message.get("code", CloseCode.NO_STATUS_RECEIVED))
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        """Called once when the connection is over; does nothing unless overridden.

        Args:
            code: The close code: the client's, 1005 if it gave none, 1006 if it just went.
        """


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer):
    """A WebSocket of JSON text, with coroutines: :meth:`receive_json`, :meth:`send_json`."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode a message and hand it to :meth:`receive_json`.

        Raises:
            ValueError: It is not text, or not JSON.
        """
        if not text_data:
            raise ValueError("No text section for incoming WebSocket frame!")
        await self.receive_json(await self.decode_json(text_data), **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Called with each decoded message; does nothing unless overridden."""

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send a value as JSON.

        Args:
            content: What :meth:`encode_json` can encode.
            close: As in :meth:`AsyncWebsocketConsumer.send`.
        """
        await super().send(text_data=await self.encode_json(content), close=close)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """A value from JSON."""
        return json.loads(text_data)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """A value as JSON."""
        return json.dumps(content)
