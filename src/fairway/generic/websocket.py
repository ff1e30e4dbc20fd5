"""Consumers for WebSockets: text and bytes or JSON, sync or async."""

import asyncio
import inspect
import json
import logging
from collections.abc import Iterable
from typing import Any, Final
from weakref import WeakSet

from asgiref.sync import async_to_sync

from fairway._types import Event, Scope
from fairway.consumer import SENT, AsyncConsumer, SyncConsumer
from fairway.consuming.handlers import is_ours
from fairway.consuming.serving import Serving
from fairway.delivery import Outbox
from fairway.exceptions import AcceptConnection, DenyConnection, StopConsumer
from fairway.generic.encoding import encode_json
from fairway.generic.groups import Groups
from fairway.sessions import ACCEPT_HOOKS, AcceptHook
from fairway.utils import name_that_thing
from fairway.wire.frames import CloseCode

logger = logging.getLogger("fairway.consumer")

#: A header as an application may write it: ASGI wants bytes.
Header = tuple[bytes, bytes]


#: Classes that have ignored a message that was no JSON.
_TOLD_OF_JSON: Final[WeakSet[type]] = WeakSet()


def _require_text(text_data: str | None) -> str:
    if not text_data:
        raise ValueError("No text section for incoming WebSocket frame!")
    return text_data


def _invalid(error: ValueError | RecursionError) -> ValueError:
    """Arrays in arrays in arrays are the client's mistake, too."""
    return error if isinstance(error, ValueError) else ValueError("The JSON is nested too deeply.")


def _tell_of_json(consumer_class: type[Serving], error: ValueError) -> None:
    """Log that a message is ignored: the first as a warning, as what clients send may be much."""
    name = name_that_thing(consumer_class)
    if consumer_class in _TOLD_OF_JSON:
        logger.debug("%s ignores a message that is no JSON: %s", name, error)
        return
    _TOLD_OF_JSON.add(consumer_class)
    logger.warning(
        "%s ignores a message that is no JSON: %s (invalid_json() may do something else with it; "
        "more of them are logged at the level DEBUG)",
        name,
        error,
    )


def _accept_event(subprotocol: str | None, headers: Iterable[Header] | None) -> Event:
    event: Event = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        event["headers"] = list(headers)
    return event


def _accept_hooks(consumer: Serving) -> Iterable[AcceptHook]:
    scope: Scope = getattr(consumer, "scope", {})  # others may drive a consumer without calling it
    hooks: Iterable[AcceptHook] = scope.get(ACCEPT_HOOKS, ())
    return hooks


def _send_event(text_data: str | None, bytes_data: bytes | None) -> Event:
    if text_data is not None:
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


def _is_sendable(consumer: Serving, message: Event) -> bool:
    """Whether a group message has what a client can get, which is logged if it does not.

    It is its sender's mistake, and must not close every member. A class with a send() of its own
    knows itself what it can make of it.
    """
    text, data = message.get("text"), message.get("bytes")
    if isinstance(text, str) or (text is None and isinstance(data, bytes | bytearray | memoryview)):
        return True
    if not is_ours(inspect.getattr_static(type(consumer), "send")):
        return True
    logger.warning(
        "%s ignores a channel layer message: websocket.send needs a str as its text, or bytes as "
        "its bytes (it has %s; whoever calls group_send() with it has forgotten one, or "
        "json.dumps())",
        name_that_thing(consumer),
        ", ".join(f"{key}: {type(value).__name__}" for key, value in message.items()),
    )
    return False


def _close_event(code: int | bool | None, reason: str | None) -> Event:
    event: Event = {"type": "websocket.close"}
    if code is not None and code is not True:
        event["code"] = code
    if reason:
        event["reason"] = reason
    return event


class WebsocketConsumer(Groups, SyncConsumer):
    """A WebSocket whose handlers are ordinary functions.

    Override :meth:`connect`, :meth:`receive` and :meth:`disconnect`; call :meth:`accept`,
    :meth:`send` and :meth:`close`.
    """

    def websocket_connect(self, message: Event) -> None:
        """A client wants to connect: join :attr:`groups`, then :meth:`connect`."""
        self._fw_require_groups()
        if self.groups:
            async_to_sync(self._fw_join_groups)()
        try:
            self.connect()
        except AcceptConnection:
            self.accept()
        except DenyConnection:
            self.close()

    def connect(self) -> None:
        """Called when a client wants to connect; accepts it unless overridden."""
        self.accept()

    # Typed as Any, like send() and close(), so that an override may return nothing.
    def accept(
        self, subprotocol: str | None = None, headers: Iterable[Header] | None = None
    ) -> Any:
        """Accept the connection.

        Args:
            subprotocol: One of ``self.scope["subprotocols"]``, or None.
            headers: Further fields of the handshake's response, as pairs of bytes.
        """
        event = _accept_event(subprotocol, headers)
        for hook in _accept_hooks(self):
            async_to_sync(hook)(event)
        self._fw_accepted = True
        return super().send(event)

    def websocket_receive(self, message: Event) -> None:
        """The client sent a message: hand it to :meth:`receive`."""
        if message.get("text") is not None:
            self.receive(text_data=message["text"])
        elif message.get("bytes") is not None:
            self.receive(bytes_data=message["bytes"])

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Called with each message, one of the two being None; does nothing unless overridden."""

    def send(  # type: ignore[override]  # Channels gave it these arguments
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: bool | int = False,
    ) -> Any:
        """Send a message to the client; after :meth:`close` it is dropped.

        Args:
            text_data: A text message.
            bytes_data: A binary message, if there is no text.
            close: Close afterwards: True, or the code to close with.

        Raises:
            ValueError: There is neither text nor bytes.
        """
        event = _send_event(text_data, bytes_data)
        if not self._fw_closing:
            super().send(event)
        if close:
            self.close(close)
        return SENT

    def close(self, code: int | bool | None = None, reason: str | None = None) -> Any:
        """Close the connection, or refuse it if it was not accepted.

        Args:
            code: 1000, or from 3000 to 4999; None for the server's default.
            reason: A text for people and logs.
        """
        if not self._fw_closing:
            self._fw_closing = True
            super().send(_close_event(code, reason))
        return SENT

    def websocket_send(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that is to reach the client as it is; one without any is ignored."""
        if _is_sendable(self, message):
            self.send(text_data=message.get("text"), bytes_data=message.get("bytes"))

    def websocket_close(self, message: Event) -> None:  # type: ignore[override]  # sync
        """A group message that ends the connection."""
        self.close(message.get("code"), message.get("reason"))

    def websocket_disconnect(self, message: Event) -> None:
        """The connection is over: leave :attr:`groups`, then :meth:`disconnect`."""
        self._fw_closing = True
        try:
            self._fw_require_groups()
            if self.groups:
                self._fw_leave_groups_now()
        finally:
            self.disconnect(message.get("code", CloseCode.NO_STATUS_RECEIVED))
        raise StopConsumer

    def _fw_leave_groups_now(self) -> None:
        leaving = self._fw_leave_groups()

        async def leave() -> None:
            await leaving

        try:
            async_to_sync(leave)()
        finally:
            leaving.close()  # never begun, if the event loop has ended before this thread

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
        """Decode a message and hand it to :meth:`receive_json`, or to :meth:`invalid_json`."""
        try:
            content = self.decode_json(_require_text(text_data))
        except (ValueError, RecursionError) as error:
            self.invalid_json(_invalid(error), text_data, bytes_data)
        else:
            self.receive_json(content, **kwargs)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Called with each decoded message; does nothing unless overridden."""

    def invalid_json(
        self, error: ValueError, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Called with a message that is no JSON text; ignores it unless overridden.

        An override may reply, close, or ``raise error``, which is then :meth:`on_error`'s to judge.

        Args:
            error: What is wrong: ``json.JSONDecodeError``, another error of :meth:`decode_json`, or
                ``ValueError("No text section for incoming WebSocket frame!")``.
            text_data: The message, if it was text.
            bytes_data: The message, if it was binary.
        """
        _tell_of_json(type(self), error)

    def send_json(self, content: Any, close: bool | int = False) -> Any:
        """Send a value as JSON.

        Args:
            content: What :meth:`encode_json` can encode.
            close: As in :meth:`WebsocketConsumer.send`.
        """
        return super().send(text_data=self.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        """A value from JSON."""
        return json.loads(text_data)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """A value as JSON; dates, UUIDs, decimals and lazy text as Django writes them."""
        return encode_json(content)


class AsyncWebsocketConsumer(Groups, AsyncConsumer):
    """A WebSocket whose handlers are coroutines.

    Override :meth:`connect`, :meth:`receive` and :meth:`disconnect`; await :meth:`accept`,
    :meth:`send` and :meth:`close`.
    """

    async def websocket_connect(self, message: Event) -> None:
        """A client wants to connect: join :attr:`groups`, then :meth:`connect`."""
        self._fw_require_groups()
        await self._fw_join_groups()
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
        for hook in _accept_hooks(self):
            await hook(event)
        self._fw_accepted = True
        await super().send(event)

    async def websocket_receive(self, message: Event) -> None:
        """The client sent a message: hand it to :meth:`receive`."""
        text, data = message.get("text"), message.get("bytes")
        if text is not None:
            await self.receive(text_data=text)
        elif data is not None:
            await self.receive(bytes_data=data)

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
        send = self._fw_send
        # Without an event for it, where that is possible: 0.4 µs less.
        if (
            self._fw_closing
            or type(send) is not Outbox
            or not send.write_now(text_data, bytes_data)
        ):
            event = _send_event(text_data, bytes_data)
            if self._fw_closing:
                await asyncio.sleep(0)  # whoever goes on and on is not to keep others from theirs
            else:
                try:
                    await send(event)  # as super().send() does
                except OSError as error:
                    self._fw_client_gone(error)
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or refuse it if it was not accepted.

        Args:
            code: 1000, or from 3000 to 4999; None for the server's default.
            reason: A text for people and logs.
        """
        if not self._fw_closing:
            self._fw_closing = True
            await super().send(_close_event(code, reason))

    async def websocket_send(self, message: Event) -> None:
        """A group message that is to reach the client as it is; one without any is ignored."""
        if _is_sendable(self, message):
            await self.send(text_data=message.get("text"), bytes_data=message.get("bytes"))

    async def websocket_close(self, message: Event) -> None:
        """A group message that ends the connection."""
        await self.close(message.get("code"), message.get("reason"))

    async def websocket_disconnect(self, message: Event) -> None:
        """The connection is over: leave :attr:`groups`, then :meth:`disconnect`."""
        self._fw_closing = True
        try:
            self._fw_require_groups()
            await self._fw_leave_groups()
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
        """Decode a message and hand it to :meth:`receive_json`, or to :meth:`invalid_json`."""
        try:
            content = await self.decode_json(_require_text(text_data))
        except (ValueError, RecursionError) as error:
            await self.invalid_json(_invalid(error), text_data, bytes_data)
        else:
            await self.receive_json(content, **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Called with each decoded message; does nothing unless overridden."""

    async def invalid_json(
        self, error: ValueError, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Called with a message that is no JSON text; ignores it unless overridden.

        An override may reply, close, or ``raise error``, which is then :meth:`on_error`'s to judge.

        Args:
            error: What is wrong: ``json.JSONDecodeError``, another error of :meth:`decode_json`, or
                ``ValueError("No text section for incoming WebSocket frame!")``.
            text_data: The message, if it was text.
            bytes_data: The message, if it was binary.
        """
        _tell_of_json(type(self), error)

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
        """A value as JSON; dates, UUIDs, decimals and lazy text as Django writes them."""
        return encode_json(content)
