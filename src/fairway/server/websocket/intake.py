"""What comes from the client of an open WebSocket: bytes to messages, as fast as it may be."""

import asyncio

from fairway.delivery import Mailbox
from fairway.delivery.mailbox import INPUT_HIGH_WATER
from fairway.server.context import Context
from fairway.server.listening.proxy import Address
from fairway.server.websocket.pace import Meter, RateLimit
from fairway.server.websocket.phase import ALIVE, Phase
from fairway.wire.frames import CloseCode
from fairway.wire.websocket import Closed, Ping, WebSocketConnection


class Intake(asyncio.Protocol):
    """The half of a :class:`~fairway.server.websocket.stream.WebSocketStream` that reads.

    One read may bring tens of thousands of frames. They are parsed in turns of the event loop, each
    about as much as fills the mailbox, and not while the mailbox is full. To be subclassed by the
    stream alone: as an object of its own it would take memory for each socket.

    Args:
        context: Of the server.
        transport: Of the connection.
        client: Its address.

    Attributes:
        heard_at: When something came from the client last, by the loop's clock.
        received: Bytes that have come since it is open.
    """

    __slots__ = (
        "_client",
        "_context",
        "_control_until",
        "_drained",
        "_flooded",
        "_frames",
        "_going_on",
        "_mailbox",
        "_meter",
        "_phase",
        "_transport",
        "heard_at",
        "received",
    )

    def __init__(
        self, context: Context, transport: asyncio.Transport, client: Address | None
    ) -> None:
        config = context.config
        self._context = context
        self._transport = transport
        self._client = client
        self._frames = WebSocketConnection(
            config.websocket_max_message_size,
            config.websocket_max_frame_size,
            budget=INPUT_HIGH_WATER,
        )
        self._mailbox = Mailbox(context.loop, self)
        self._phase = Phase.CONNECTING
        self._drained: asyncio.Event | None = None  # while the client is behind with reading
        self._flooded = False  # with Pings whose Pongs are not read
        self._going_on = False  # whether a turn is due in which more is parsed
        self._meter = Meter(context.pace) if context.pace.limited else None
        self._control_until = 0.0  # until when its Pings and Pongs would last at their rate
        self.heard_at = context.loop.time()
        self.received = 0

    def leave(self, code: int, reason: str) -> None:
        """End the WebSocket from our side."""
        raise NotImplementedError

    def _closed(self, event: Closed) -> None:
        """The client said goodbye, or broke a rule."""
        raise NotImplementedError

    def _receive_message(self, data: bytes) -> bool:
        """Take a message that came by itself, as nearly all do: 1 µs less than :meth:`_receive`.

        Returns:
            False if it is anything else; nothing was taken then.
        """
        frames = self._frames
        message = frames.receive_message(data)
        if message is None or frames.taken < len(data):
            return False
        kind = "text" if type(message) is str else "bytes"
        self._mailbox.put_event({"type": "websocket.receive", kind: message}, len(message))
        self._context.counters.messages_received += 1
        return True

    def _receive(self, data: bytes) -> None:
        """Take what came, or what is left of it, as far as one turn of the event loop goes."""
        frames = self._frames
        put = self._mailbox.put_event
        events = frames.receive_data(data)
        exceeded: RateLimit | None = None
        if self._meter is not None:
            events, exceeded = self._meter.take_events(self.heard_at, events)
        messages = len(events)
        for event in events:
            if type(event) is str:
                put({"type": "websocket.receive", "text": event}, len(event))
            elif type(event) is bytes:
                put({"type": "websocket.receive", "bytes": event}, len(event))
            elif isinstance(event, Closed):
                self._context.counters.messages_received += messages - 1
                self._closed(event)
                return
            else:
                assert isinstance(event, Ping)
                messages -= 1
        self._context.counters.messages_received += messages
        replies = frames.data_to_send()
        if replies:
            self._transport.write(replies)
            if self._drained is not None:
                # It sends Pings and does not read the Pongs, which would fill our memory.
                self._flooded = True
                self.pause_reading()
        if messages < len(events):
            exceeded = self._take_control(len(events) - messages) or exceeded
        self._overdo(exceeded)
        if frames.pending:
            self.pause_reading()
            if self._may_go_on:
                self._go_on_soon()

    def _take_control(self, count: int) -> RateLimit | None:
        """Count Pings and Pongs; returns the limit that they exceed."""
        limit = self._context.pace.control
        self._control_until, allowed = limit.spend(self._control_until, self.heard_at, count)
        return limit if allowed < count else None

    def _overdo(self, limit: RateLimit | None) -> None:
        """Part with a client that has sent more than a limit allows, if it has."""
        if limit is not None and self._phase is Phase.OPEN:
            self._refused(limit.option, "close 1008")
            self.leave(CloseCode.POLICY_VIOLATION, limit.reason)

    def _refused(self, option: str, answer: str) -> None:
        value = getattr(self._context.config, option)
        self._context.refusals.note(option, value, self._client, answer)

    @property
    def _may_go_on(self) -> bool:
        """Whether more of what came may be parsed: always for a client that is to say goodbye."""
        return self._phase is not Phase.OPEN or not (self._flooded or self._mailbox.paused)

    def _go_on_soon(self) -> None:
        if not self._going_on:
            self._going_on = True
            self._context.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Parse what is pending; read more when that is done."""
        self._going_on = False
        if self._phase not in ALIVE or not self._may_go_on:
            return  # resume_reading() comes back to it
        self._receive(b"")
        if not self._frames.pending and self._may_go_on:
            self.resume_reading()

    def pause_reading(self) -> None:
        """The application is behind with the client's messages."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        if self._flooded or self._transport.is_closing():
            return
        if self._frames.pending:
            self._go_on_soon()
        else:
            self._transport.resume_reading()

    @property
    def unread(self) -> bool:
        """Whether the client may have said something that is not being read."""
        return self._flooded or self._mailbox.paused or self._frames.pending
