"""How long a connection bears with its client: slow, silent, half gone.

Everything here is about time. What a connection does is in :mod:`fairway.server.http.connection`.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

from fairway.server.context import LAST_LINGER, LINGER, Context
from fairway.server.deadlines import RESOLUTION
from fairway.server.ending import STALLED, LastWords
from fairway.server.http.progress import Progress, delivered, unsent
from fairway.server.http.stream import HTTPStream
from fairway.server.listening.proxy import Address

#: Seconds after which a client that has closed its sending side is given up while its response goes
#: on, unless more of it goes out all the time. A killed client looks the same at first.
HALF_CLOSED: Final = 1.0
#: What is answered by the end of the connection.
CUT: Final = "the connection is cut"

#: For SO_LINGER: no time to send what is left.
_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Patience(asyncio.Protocol):
    """The part of a connection that watches over its client.

    Args:
        context: What all connections share.

    Attributes:
        client: Who is at the other end of the connection.
        context: As above.
        copied: Bytes that have gone to the socket without being written to the transport.
        slot: For the server's clock.
        stream: The request that is being served.
        transport: The connection's.
    """

    __slots__ = (
        "_deadline",
        "_download",
        "_expire",
        "_last_words",
        "_paused",
        "_progress",
        "_received",
        "_upload",
        "_writing_paused",
        "client",
        "context",
        "copied",
        "slot",
        "stream",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, context: Context) -> None:
        self.context = context
        self.slot = 0
        self.client: Address | None = None
        self.stream: HTTPStream | None = None
        self.copied = 0
        self._paused = False
        self._writing_paused = False
        self._progress = 0  # how much was written when the deadline was set
        self._received = 0  # bytes of requests' bodies
        self._last_words: LastWords | None = None  # from when they were written
        self._upload: Progress | None = None  # while the client is sending a body
        self._download: Progress | None = None  # from when it read too slowly for the first time
        self._deadline: float | None = None
        self._expire: Callable[[], None] = nothing

    def _refuse(self, status: int, detail: str, limit: str = "") -> None:
        """Answer input that is no request; the connection cannot be used after it."""
        raise NotImplementedError

    def _note(self, limit: str, answer: str) -> None:
        context = self.context
        context.refusals.note(limit, getattr(context.config, limit), self.client, answer)

    def cut(self) -> None:
        """End it now, and so that the client notices: a response lacks its end.

        Without a length and chunks, as in HTTP/1.0, only a reset tells it from a whole one.
        """
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # ------------------------------------------------------------------ uploads and downloads

    def body_awaited(self) -> None:
        """The client was told to send the body that it has announced."""
        if self.stream is not None and self._upload is None:
            self._watch_upload(self.stream)

    def _watch_upload(self, stream: HTTPStream) -> None:
        config = self.context.config
        if stream.holds_continue or (config.min_upload_rate <= 0 and config.body_timeout <= 0):
            return
        self._upload = Progress(
            self.context,
            config.min_upload_rate,
            self._count_received,
            self._refuse_upload,
            config.body_timeout,
        )
        if not self._paused:
            self._upload.start()

    def _count_received(self) -> int:
        return self._received

    def _refuse_upload(self, late: bool) -> None:
        config = self.context.config
        if late:
            detail = f"The request's body did not arrive within {config.body_timeout:g} seconds."
            self._refuse(408, detail, "body_timeout")
        else:
            rate = config.min_upload_rate
            detail = f"The request's body came at less than {rate} bytes per second."
            self._refuse(408, detail, "min_upload_rate")

    def _forget_upload(self) -> None:
        if self._upload is not None:
            self._upload.stop()
            self._upload = None

    def watch_reader(self) -> None:
        """See to it that the client reads what waits for it, from now on."""
        rate = self.context.config.min_download_rate
        if rate <= 0:
            return
        if self._download is None:
            self._download = Progress(self.context, rate, self._count_read, self._cut_reader)
        self._download.start()

    def unwatch_reader(self) -> None:
        """What waits for the client is not much, or nothing."""
        if self._download is not None and not self._writing_paused:
            self._download.stop()

    def _count_read(self) -> int:
        # While somebody watches, nothing is written but what is copied.
        return delivered(self.transport, self.copied)

    def _cut_reader(self, late: bool) -> None:
        self._note("min_download_rate", CUT)
        self.cut()

    # ------------------------------------------------------------------ ends

    def _watch_half_closed(self) -> None:
        assert self.stream is not None
        self._progress = self.stream.size
        seconds = self.context.config.half_closed_timeout
        if self.stream.response_started:  # and so is seen to go on, or not
            seconds = min(seconds, HALF_CLOSED) if seconds > 0 else HALF_CLOSED
        self._set_deadline(seconds, self._check_half_closed)

    def _check_half_closed(self) -> None:
        if self.stream is not None and self.stream.size > self._progress:
            self._watch_half_closed()
        else:
            self.context.refusals.count("half_closed_timeout")
            self.transport.abort()

    def _watch_end(self) -> None:
        """Our last words were written: wait until they were read, or are not read any more."""
        if unsent(self.transport):
            self.watch_reader()
        linger = LAST_LINGER if self.context.draining else LINGER
        self._last_words = LastWords(self.transport, self.context, linger, STALLED)
        self._check_end()

    def _hasten_end(self) -> None:
        """The server ends: what is left of the time to read our last words is cut short."""
        if self._last_words is not None:
            self._watch_end()

    def _check_end(self) -> None:
        assert self._last_words is not None
        if seconds := self._last_words.look():
            self._set_deadline(seconds, self._check_end)
        else:
            self.transport.abort()

    def _forget(self) -> None:
        """Watch over nothing any more: it is over, or somebody else's."""
        self.context.deadlines.disarm(self)
        self._deadline = None
        self._expire = nothing  # it refers to this object, which need not wait for the collector
        self._forget_upload()
        if self._download is not None:
            self._download.stop()
            self._download = None

    # ------------------------------------------------------------------ the clock

    def _set_deadline(self, seconds: float, expire: Callable[[], None]) -> None:
        self._expire = expire
        if seconds <= 0:
            self._deadline = None
            return
        context = self.context
        self._deadline = when = context.time() + seconds
        # Once a connection waits for a moment before it, the clock need not hear of it: on_deadline
        # says what it waits for then. That spares each request of a kept connection 0.1 µs.
        if not 0 < self.slot * RESOLUTION <= when:
            context.deadlines.arm(self, when)

    def on_deadline(self, now: float) -> float | None:
        """Do what the clock says, if its time has come."""
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            self._expire()
        return self._deadline


def nothing() -> None:
    """What there is to do at a deadline that nobody has set."""
