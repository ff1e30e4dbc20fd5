"""One HTTP/1.1 connection, server side (RFC 9112): what arrives becomes requests, or a refusal.

Feed it what arrives and act on what it says; answer each request with a
:class:`~fairway.wire.http1_response.Response`::

    for event in connection.receive_data(data):
        if isinstance(event, Request): ...          # a head; its body and END_OF_MESSAGE follow
        elif isinstance(event, bytes): ...          # a part of the body
        elif event is END_OF_MESSAGE: ...           # a pipelined request may follow
        else: ...                                   # a Refusal: error_response(), then close

What happens in which state:

=============  ==================  ==================  ==================  =================
input          HEAD                BODY, CHUNKED       UPGRADE             CLOSED
=============  ==================  ==================  ==================  =================
bytes          Request             bytes               kept aside          ignored
               → BODY, CHUNKED,    END_OF_MESSAGE
               UPGRADE, or with    → HEAD or CLOSED
               END_OF_MESSAGE
               → HEAD or CLOSED
violation      Refusal → CLOSED    Refusal → CLOSED    Refusal → CLOSED    ignored
end of input   nothing, or in a    Refusal → CLOSED    nothing             nothing
               head Refusal
               → CLOSED
=============  ==================  ==================  ==================  =================

An upgrade is taken or refused, and either ends what is read here: no request follows one.

After a request that does not keep the connection alive comes CLOSED: "MUST NOT process any further
requests received on that connection" (RFC 9112 §9.6).

One read may hold tens of thousands of chunks, or of requests. With a budget, ``receive_data()``
stops when it is spent, and sets ``pending``: let others have a turn, then give it ``b""``.
"""

import enum
import sys
from typing import Final

from fairway.wire.http1_chunked import ChunkedDecoder
from fairway.wire.http1_events import (
    END_OF_MESSAGE,
    EndOfMessage,
    Event,
    HTTP1Limits,
    Refusal,
    Request,
)
from fairway.wire.http1_head import HeadReader, PartialHead, skip_empty_lines
from fairway.wire.http1_response import (
    CONTINUE,
    LocalProtocolError,
    Response,
    error_response,
    informational,
)

__all__ = [
    "CONTINUE",
    "END_OF_MESSAGE",
    "EndOfMessage",
    "Event",
    "HTTP1Connection",
    "HTTP1Limits",
    "LocalProtocolError",
    "Refusal",
    "Request",
    "Response",
    "State",
    "error_response",
    "informational",
]

#: Most bytes that a client may send before its upgrade is answered; a WebSocket client sends none.
MAX_UPGRADED_DATA: Final = 65536

_HEAD_END: Final = b"\r\n\r\n"
_CR: Final = 0x0D

_DEFAULT_LIMITS: Final = HTTP1Limits()
_EARLY_DATA: Final = Refusal(400, "Too much was sent before the upgrade was answered.")
_CUT_SHORT: Final = Refusal(400, "The connection ended before the request was complete.")


class State(enum.Enum):
    """What the next byte belongs to; the module's docstring says what each does with each input."""

    HEAD = "the head of a request, or empty lines before it"
    BODY = "a body with a Content-Length"
    CHUNKED = "a chunked body"
    UPGRADE = "the protocol that the client wants to change to"
    CLOSED = "nothing that is read"


# Plain names for the hot path: to read a member from its class takes 70 ns in Python 3.11.
_HEAD: Final = State.HEAD
_BODY: Final = State.BODY
_CHUNKED: Final = State.CHUNKED
_UPGRADE: Final = State.UPGRADE
_CLOSED: Final = State.CLOSED


class HTTP1Connection:
    """Bytes from one client to requests.

    Args:
        limits: How much the client may send.
        budget: About how much one call of :meth:`receive_data` takes of what has come, in bytes
            that are no body; 0 for everything. Heads, and what stands around chunks, take by the
            byte the same time within a factor of five. A body with a length, and what follows an
            upgrade, take none.

    Attributes:
        ignored: Whether anything came behind the last request of the connection. As the client may
            be sending more, to close at once would reset the connection (RFC 9112 §9.6).
        pending: Whether the budget was spent before everything was taken.
        refused_head: Whether the request that was refused is a ``HEAD``, to which an answer has no
            body.
        upgraded_data: After a request with ``upgrade``, everything that followed its head. The
            server should stop reading until it has decided.
    """

    __slots__ = (
        "_budget",
        "_chunked",
        "_keep_alive",
        "_left",
        "_limits",
        "_partial",
        "_reader",
        "_rest",
        "_state",
        "ignored",
        "pending",
        "refused_head",
        "upgraded_data",
    )

    def __init__(self, limits: HTTP1Limits = _DEFAULT_LIMITS, *, budget: int = 0) -> None:
        self.ignored = False
        self.pending = False
        self.refused_head = False
        self.upgraded_data = b""
        self._budget = budget or sys.maxsize
        self._limits = limits
        self._rest = b""  # what is pending
        self._state = _HEAD
        self._reader = HeadReader(limits)
        self._partial: PartialHead | None = None
        self._chunked: ChunkedDecoder | None = None
        self._left = 0  # bytes of a body with a Content-Length
        self._keep_alive = True  # after the request that was begun last

    @property
    def state(self) -> State:
        """What the next byte belongs to."""
        return self._state

    @property
    def started(self) -> bool:
        """Whether a next request has begun to arrive and its head is not complete.

        Empty lines before it do not count (RFC 9112 §2.2), so a client cannot hold an idle
        connection open with them.
        """
        return self._partial is not None and self._partial.started

    def receive_data(self, data: bytes) -> list[Event]:
        """Take what arrived from the client, in pieces of any size.

        Never raises for what a client sends. How the bytes were cut into calls makes no difference,
        except to where the parts of a body are cut. While ``pending`` is set there is more to come,
        without anything new from the client.

        Returns:
            What is complete now, in order. A Refusal is the last event that the connection gives.
        """
        if (
            self._state is not _HEAD
            or self._partial is not None
            or self.pending
            or not data.find(_HEAD_END) + 4 == len(data) > 3
            or data[0] == _CR
        ):
            return self._receive(data)
        # Nearly always that is what arrives: a whole head and nothing else, of a request without a
        # body. It takes 0.5 µs less than by the long way.
        head = self._reader.read(data)
        if isinstance(head, Request) and not head.has_body and head.upgrade is None:
            self._keep_alive = head.keep_alive
            if not head.keep_alive:
                self._state = _CLOSED
            return [head, END_OF_MESSAGE]
        if isinstance(head, Refusal):
            self.refused_head = data.startswith(b"HEAD ")
        events: list[Event] = []
        self._begin_message(head, events)
        return events

    def receive_eof(self) -> list[Event]:
        """The client will send no more. To be called when nothing is pending.

        Returns:
            A Refusal if that cuts a request short: "A server that receives an incomplete request
            message … MAY send an error response prior to closing" (RFC 9112 §8). Else nothing;
            requests that are complete may still be answered.
        """
        complete = self._state is _UPGRADE or (self._state is _HEAD and not self.started)
        if complete or self._state is _CLOSED:
            return []
        return [self._refuse(_CUT_SHORT)]

    def _receive(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self.pending:
            data = self._rest + data if data else self._rest
            self._rest = b""
            self.pending = False
        position, end = 0, len(data)
        budget = self._budget
        while position < end:
            state = self._state
            if budget <= 0 and (state is _HEAD or state is _CHUNKED):
                self._rest = data[position:]
                self.pending = True
                break
            start = position
            if state is _HEAD:
                position = self._receive_head(data, position, events)
                budget -= position - start
            elif state is _BODY:
                chunk = data[position : position + self._left]
                events.append(chunk)
                position += len(chunk)
                self._left -= len(chunk)
                if not self._left:
                    self._end_message(events)
            elif state is _CHUNKED:
                part, position = self._receive_chunked(data, position, budget, events)
                budget -= position - start - part
            else:
                if state is _UPGRADE:
                    self._keep_aside(data[position:], events)
                else:
                    self.ignored = True
                break
        return events

    def _receive_head(self, data: bytes, position: int, events: list[Event]) -> int:
        head: bytes | Request | Refusal | None
        if self._partial is None:
            if data[position] == _CR:
                position = skip_empty_lines(data, position)
            end = data.find(_HEAD_END, position) + 4
            if end > 3:
                head = self._reader.read(data[position:end])
                if isinstance(head, Refusal):
                    self.refused_head = data.startswith(b"HEAD ", position)
                self._begin_message(head, events)
                return end
            self._partial = PartialHead(self._limits)
        head, position = self._partial.add(data, position)
        if head is None:
            return position
        if isinstance(head, bytes):
            head = self._reader.read(head)
        if isinstance(head, Refusal):
            self.refused_head = self._partial.to_head
        self._partial = None
        self._begin_message(head, events)
        return position

    def _begin_message(self, head: Request | Refusal, events: list[Event]) -> None:
        if isinstance(head, Refusal):
            events.append(self._refuse(head))
            return
        events.append(head)
        self._keep_alive = head.keep_alive
        if head.has_body:
            if head.content_length is None:
                self._state = _CHUNKED
                self._chunked = ChunkedDecoder(self._limits)
            else:
                self._state = _BODY
                self._left = head.content_length
        elif head.upgrade is not None:
            self._state = _UPGRADE
        else:
            self._end_message(events)

    def _receive_chunked(
        self, data: bytes, position: int, budget: int, events: list[Event]
    ) -> tuple[int, int]:
        """Take what there is of a chunked body: how many bytes of data, and up to where."""
        assert self._chunked is not None  # the state begins with one
        part, position, last = self._chunked.decode(data, position, budget)
        if part:
            events.append(part)
        if last is END_OF_MESSAGE:
            self._chunked = None
            self._end_message(events)
        elif last is not None:
            events.append(self._refuse(last))
        return len(part), position

    def _end_message(self, events: list[Event]) -> None:
        events.append(END_OF_MESSAGE)
        self._state = _HEAD if self._keep_alive else _CLOSED

    def _keep_aside(self, data: bytes, events: list[Event]) -> None:
        self.upgraded_data += data
        if len(self.upgraded_data) > MAX_UPGRADED_DATA:
            events.append(self._refuse(_EARLY_DATA))

    def _refuse(self, refusal: Refusal) -> Refusal:
        self._state = _CLOSED
        self._partial = self._chunked = None
        self.upgraded_data = b""
        return refusal
