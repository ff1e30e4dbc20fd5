"""One WebSocket connection after its opening handshake, server side (RFC 6455 §5 to §7).

Feed it what arrives, hand what it says to the application, and send what it returns::

    events = connection.receive_data(data)
    transport.write(connection.data_to_send())

A message that comes in one piece, as most do, can be had for less by ``receive_message(data)``.

What happens in which state:

=============  ==================  ===================  ============  ============
input          OPEN                CLOSE_SENT           CLOSED        FAILED
=============  ==================  ===================  ============  ============
message        event               dropped              ignored       ignored
Ping           event, Pong sent    dropped              ignored       ignored
Pong           event               dropped              ignored       ignored
Close          event, echo sent    event                ignored       ignored
               → CLOSED            → CLOSED
violation      event, Close sent   event                ignored       ignored
               → FAILED            → FAILED
end of input   event (1006)        event (1006)         nothing       nothing
               → CLOSED            → CLOSED
send message   frame               WrongState           WrongState    WrongState
send Ping      frame               WrongState           WrongState    WrongState
send Close     frame               nothing              nothing       nothing
               → CLOSE_SENT
=============  ==================  ===================  ============  ============

In CLOSE_SENT nothing is sent any more: whoever receives a Close discards what follows it (§1.4), so
a Pong would reach nobody, and data is of no use to an application that has hung up. Both CLOSED and
FAILED tell the shell to end the TCP connection (§7.1.1).

One read may hold tens of thousands of frames. With a budget, ``receive_data()`` stops when it is
spent, and sets ``pending``: let others have a turn, then give it ``b""``.
"""

from fairway.exceptions import WrongState
from fairway.wire.deflate import Deflater
from fairway.wire.frames import (
    MAX_CONTROL_PAYLOAD,
    CloseCode,
    Opcode,
    encode_close,
    encode_frame,
)
from fairway.wire.messages import encode_message
from fairway.wire.violations import Violation, parse_close
from fairway.wire.websocket_events import Closed, Event, Ping, Pong
from fairway.wire.websocket_reader import FRAME_COST, NOT_UTF_8, FrameReader, State

__all__ = ["FRAME_COST", "Closed", "Event", "Ping", "Pong", "State", "WebSocketConnection"]


class WebSocketConnection(FrameReader):
    """Frames to messages and messages to frames, for one connection.

    Args:
        max_message_size: Most bytes of one message, all fragments together; 0 for no limit. Beyond
            it the connection fails with 1009 as soon as a frame header announces it, and, where
            messages are compressed, before more than that was inflated.
        max_frame_size: Most bytes in one data frame; 0 for no limit. A compressed one may have a
            quarter more, for data that compression makes longer.
        budget: How much one call of :meth:`receive_data` takes of what has come, in bytes of
            payload (inflated ones) and :data:`FRAME_COST` for each frame; 0 for everything.

    Attributes:
        state: See :class:`State`.
        pending: Whether the budget was spent before everything was taken.
        inflater: What reads compressed messages; None where no extension was agreed on.
        deflater: What compresses messages; None likewise.
        others_received: How many frames have come that are no message by themselves: control
            frames, and of a message in fragments all but the last.
        others_sent: How many control frames have been made.
        taken: Where in the data the message ends that :meth:`receive_message` returned last.
    """

    __slots__ = ("_replies", "deflater", "others_sent")

    def __init__(self, max_message_size: int = 0, max_frame_size: int = 0, budget: int = 0) -> None:
        super().__init__(max_message_size, max_frame_size, budget)
        self.others_sent = 0
        self.deflater: Deflater | None = None
        self._replies: bytearray | None = None

    # ------------------------------------------------------------------ receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """Take what arrived from the client, in chunks of any size.

        Never raises for what a client sends: a violation becomes a :class:`Closed` event. After
        each call :meth:`data_to_send` may hold replies, and while ``pending`` is set there is more
        to come, without anything new from the client.
        """
        events: list[Event] = []
        if self.state is State.CLOSED or self.state is State.FAILED:
            return events
        if self._buffer:
            data = self._buffer + data if data else self._buffer
            self._buffer = b""
            self.pending = False
        try:
            self._receive_frames(data, events)
        except Violation as violation:
            events.append(self._fail(violation))
        except UnicodeDecodeError:
            events.append(self._fail(Violation(CloseCode.INVALID_PAYLOAD_DATA, NOT_UTF_8)))
        return events

    def receive_eof(self) -> list[Event]:
        """The client will send no more; 1006 unless it said goodbye before (§7.1.5)."""
        if self.state is State.CLOSED or self.state is State.FAILED:
            return []
        return [self._end(State.CLOSED, CloseCode.ABNORMAL_CLOSURE, "")]

    def data_to_send(self) -> bytes:
        """Replies to what was received (Pong, Close), handed out once.

        Send them before anything else.
        """
        if self._replies is None:
            return b""
        replies = bytes(self._replies)
        self._replies = None
        return replies

    def _receive_control(self, payload: bytes, events: list[Event]) -> None:
        if self._opcode == Opcode.CLOSE:
            events.append(self._receive_close(payload))
        elif self.state is not State.OPEN:
            return
        elif self._opcode == Opcode.PING:
            self._reply(encode_frame(Opcode.PONG, payload))
            events.append(Ping(payload))
        else:
            events.append(Pong(payload))

    def _receive_close(self, payload: bytes) -> Closed:
        """The closing handshake, §5.5.1 and §7.1.5: the code is echoed unless Close was sent."""
        code, reason = parse_close(payload)
        if self.state is State.OPEN:
            self._reply(encode_close(code))
        if code is None:
            code = CloseCode.NO_STATUS_RECEIVED
        return self._end(State.CLOSED, code, reason)

    def _fail(self, violation: Violation) -> Closed:
        """Fail the connection (§7.1.7): say why, unless a Close was sent before; read no more."""
        code, reason = violation.code, violation.reason
        if self.state is State.OPEN:
            self._reply(encode_close(code, reason))
        return self._end(State.FAILED, code, reason, violation.limit)

    def _end(self, state: State, code: int, reason: str, limit: str = "") -> Closed:
        """Enter a final state; what was received of a message is let go."""
        self.state = state
        self._message = self._payload = self._utf8 = self._inflation = None
        return Closed(code, reason, limit)

    def _reply(self, frame: bytes) -> None:
        self.others_sent += 1
        # A chunk may hold thousands of Pings: their Pongs are appended, never copied again.
        if self._replies is None:
            self._replies = bytearray(frame)
        else:
            self._replies += frame

    # ------------------------------------------------------------------ sending

    def send_text(self, text: str) -> bytes:
        """A text message, in one frame.

        Raises:
            WrongState: The connection is no longer open.
            UnicodeEncodeError: The text holds a lone surrogate.
        """
        self._require_open("a text message")
        return encode_message(text, self.deflater)

    def send_binary(self, data: bytes) -> bytes:
        """A binary message, in one frame.

        Raises:
            WrongState: The connection is no longer open.
        """
        self._require_open("a binary message")
        return encode_message(data, self.deflater)

    def send_ping(self, payload: bytes = b"") -> bytes:
        """A Ping (§5.5.2).

        Raises:
            WrongState: The connection is no longer open.
            ValueError: The payload exceeds 125 bytes.
        """
        self._require_open("a Ping")
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"A Ping carries at most 125 bytes, not {len(payload)}.")
        self.others_sent += 1
        return encode_frame(Opcode.PING, payload)

    def send_close(self, code: int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> bytes:
        """Begin the closing handshake (§7.1.2); idempotent: nothing once the connection is closing.

        The shell then waits a while for the client's Close, and ends the TCP connection.

        Raises:
            ValueError: The code may not be sent.
        """
        frame = encode_close(code, reason)
        if self.state is not State.OPEN:
            return b""
        self.others_sent += 1
        self.state = State.CLOSE_SENT
        return frame

    def _require_open(self, what: str) -> None:
        if self.state is not State.OPEN:
            raise WrongState(
                f"Cannot send {what} in the state {self.state.name}: only OPEN takes it."
            )
