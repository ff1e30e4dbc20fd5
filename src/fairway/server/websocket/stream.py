"""One WebSocket, as ASGI tells it to the application.

See https://asgi.readthedocs.io/en/latest/specs/www.html#websocket.
"""

import asyncio
import logging
from functools import lru_cache
from typing import Final

from fairway._types import Event, Headers, Scope
from fairway.delivery import Outbox
from fairway.exceptions import ClientDisconnected
from fairway.server.application.encryption import tls_extension
from fairway.server.application.scope import websocket_scope
from fairway.server.application.threads import LentThread
from fairway.server.context import LAST_LINGER, LINGER, Context
from fairway.server.ending import LOOKS, LastWords, end_writing
from fairway.server.http.events import kind_of
from fairway.server.http.progress import delivered
from fairway.server.listening.proxy import Address
from fairway.server.observing.access import path_of
from fairway.server.websocket.clock import WebSocketClock
from fairway.server.websocket.intake import Intake
from fairway.server.websocket.opening import HTTP1, MAX_EARLY_DATA, Dialect, Opening
from fairway.server.websocket.phase import (
    ALIVE,
    OVER,
    UNDECIDED,
    Phase,
    message_of,
    refuse_event,
)
from fairway.wire.frames import CloseCode, is_close
from fairway.wire.handshake import HandshakeRefused
from fairway.wire.http1 import Request
from fairway.wire.websocket import Closed, State

logger = logging.getLogger("fairway.server")


# Plain names for the hot path: to read a member from its class takes 70 ns in Python 3.11.
_OPEN: Final = Phase.OPEN
_CLOSED: Final = Phase.CLOSED

#: Close codes that mean "come back", so that their reasons say when.
_TEMPORARY: Final = frozenset({CloseCode.SERVICE_RESTART, CloseCode.TRY_AGAIN_LATER})
_RESTARTING: Final = "The server is restarting."


@lru_cache(256)
def _label_of(path: str) -> str:
    """What a WebSocket is called in logs; many have the same: 80 bytes less for each."""
    return f"WebSocket {path}"


class WebSocketStream(Intake):
    """Runs the application for one WebSocket and carries messages both ways.

    Takes a connection over from :class:`~fairway.server.http.connection.Connection` when a request
    asks for the upgrade. What arrives goes into the mailbox; what the application sends goes
    through the outbox, at once where nothing stands in the way and through :meth:`_send` otherwise.
    """

    __slots__ = (
        "_clock",
        "_dialect",
        "_last_words",
        "_opening",
        "_outbox",
        "_request",
        "_started_at",
        "_task",
    )

    def __init__(
        self,
        context: Context,
        transport: asyncio.Transport,
        request: Request,
        client: Address | None,
        *,
        dialect: Dialect = HTTP1,
    ) -> None:
        super().__init__(context, transport, client)
        self._dialect = dialect
        self._request = request
        self._outbox = Outbox(transport.write, self._send, self.leave, context.counters)
        self._opening: Opening | None = None  # until it is accepted
        self._task: asyncio.Task[None] | None = None
        self._clock = WebSocketClock(context, self)
        self._started_at = self.heard_at
        self._last_words: LastWords | None = None  # from when its time to end began

    # ------------------------------------------------------------------ opening

    def start(self, early_data: bytes, scheme: str, server: tuple[str, int | None] | None) -> None:
        """Check the opening handshake and call the application.

        Args:
            early_data: What the client sent behind its request.
            scheme: ``"http"`` or ``"https"``.
            server: The address that the client connected to.
        """
        context, request = self._context, self._request
        try:
            opening = self._opening = self._dialect.opening(context, request)
        except HandshakeRefused as fault:
            self._refuse(fault.status, fault.detail, fault.headers)
            return
        if context.draining:
            self._refuse(503, "The server is shutting down.")
            return
        if rejection := context.admission.open_websocket(self._client):
            status = rejection.status
            context.refusals.note(rejection.limit, rejection.value, self._client, str(status))
            self._refuse(status, rejection.detail, rejection.headers)
            return
        opening.early = early_data
        context.repeated_fields.share(request.headers)
        config, offered = context.config, opening.subprotocols
        scope = websocket_scope(
            request,
            scheme,
            context.root_path_of(request),
            self._client,
            server,
            context.state,
            offered,
            tls_extension(self._transport) if scheme == "https" else None,
        )
        self._log("connecting", 0)
        self._mailbox.put_event({"type": "websocket.connect"})
        self._clock.set(config.websocket_connect_timeout, self._refuse_late)
        label = _label_of(path_of(request))
        executor = LentThread(context.threads, label, self._mailbox, self._started_at)
        self._task = context.spawn(self._run(scope, executor), executor)

    async def _run(self, scope: Scope, executor: LentThread) -> None:
        context = self._context
        code = CloseCode.INTERNAL_ERROR
        try:
            serving = context.application(scope, self._mailbox, self._outbox)
            del scope  # a router has put another in its place: 460 bytes less for each socket
            await serving
        except asyncio.CancelledError as error:
            if self._mailbox.disconnected or context.draining:
                self._end(503, CloseCode.SERVICE_RESTART)
                raise
            context.log_exception(executor.label, error)
        except ClientDisconnected as error:
            if not self._mailbox.disconnected and self._phase is not Phase.LEAVING:
                context.log_exception(executor.label, error)
        except GeneratorExit:  # its event loop was closed
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit too ends this socket only
            context.log_exception(executor.label, error)
        else:
            code = CloseCode.NORMAL_CLOSURE
            if self._phase in UNDECIDED:
                logger.error("The application neither accepted nor refused %s", executor.label)
        self._end(500, code)
        if self not in context.connections:
            self._part()

    def _part(self) -> None:
        """Both have ended, the connection and the application: leave no circle.

        Else 20 objects of each socket would wait for the collector's rarest, longest turn.
        """
        self._mailbox.flow = None
        del self._clock, self._outbox

    def _end(self, status: int, code: CloseCode) -> None:
        """Say goodbye for an application that did not: with a status or with a close code."""
        if self._phase is Phase.CONNECTING:
            self._refuse(status, "The application failed.")
        elif self._phase is Phase.DENYING:
            self._drop()
        elif self._phase is _OPEN:
            restarting = code is CloseCode.SERVICE_RESTART
            reason = self._context.ask_to_retry(_RESTARTING) if restarting else ""
            self._close(code, reason, Phase.CLOSING)

    def _refuse(
        self, status: int, detail: str, headers: Headers | None = None, phase: Phase = _CLOSED
    ) -> None:
        """Answer the opening handshake with an HTTP error."""
        answer = self._dialect.refusal(self._context, status, detail, headers or ())
        self._transport.write(answer)
        self._reject(status, phase)

    def _reject(self, status: int, phase: Phase) -> None:
        """The handshake has had its answer, which was no."""
        self._disconnect(CloseCode.ABNORMAL_CLOSURE, status=status)
        self._phase = phase
        self._hang_up()

    # ------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Turn what came into events, and answer what the protocol itself answers."""
        if self._phase is not _OPEN and self._phase not in ALIVE:
            # What comes before the acceptance is kept; what comes after a refusal is lost.
            if self._phase in UNDECIDED and self._opening is not None and self._opening.keep(data):
                self.pause_reading()
            return
        self.heard_at = self._context.time()
        self.received += len(data)
        if self._meter is not None:
            self._overdo(self._meter.take_bytes(self.heard_at, len(data)))
        elif self._receive_message(data):
            return
        self._receive(data)

    def eof_received(self) -> bool:
        """The client has gone without a word; asyncio closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._context.unregister(self)
        self._clock.close()
        self._disconnect(CloseCode.ABNORMAL_CLOSURE)
        if self._task is None or self._task.done():
            self._part()

    def pause_writing(self) -> None:
        """The client reads too slowly: the application's sends wait."""
        self._outbox.ready = False
        self._outbox.full = self._phase is _OPEN
        if self._drained is None:
            self._drained = asyncio.Event()
            self._clock.block()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._outbox.ready = self._phase is _OPEN
        self._outbox.full = False
        self._clock.unblock()
        self._release_senders()
        self._flooded = False
        if not self._mailbox.paused:
            self.resume_reading()

    def _release_senders(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    # ------------------------------------------------------------------ the application's events

    async def _send(self, event: Event) -> None:
        """Handle what the outbox could not write at once."""
        kind = kind_of(event)
        while self._drained is not None and kind != "websocket.close":
            await self._drained.wait()
        phase = self._phase
        if kind not in phase.takes:
            refuse_event(kind, phase)
        if kind == "websocket.send":
            self._outbox.write_message(message_of(event))
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close" and phase is _OPEN:
            code = event.get("code")
            code = CloseCode.NORMAL_CLOSURE if code is None else code
            self._close(code, event.get("reason") or "", Phase.CLOSING)
        elif kind == "websocket.close":
            # "the server must close the connection with an HTTP 403 error code (Forbidden)"
            self._refuse(403, "Access denied.", phase=Phase.DENIED)
        else:
            self._deny(event)

    def _accept(self, event: Event) -> None:
        assert self._opening is not None
        self._transport.write(self._opening.accept(event))
        early, agreement = self._opening.early, self._opening.agreement
        status = self._opening.ACCEPTED
        self._opening = None
        compression = self._context.compression
        if agreement is not None and compression is not None:
            self._frames.inflater = compression.inflater(agreement)
            self._outbox.deflater = compression.deflater(agreement)
        self._phase = _OPEN
        self._outbox.ready = self._drained is None
        self._outbox.full = not self._outbox.ready
        self.heard_at = self._context.loop.time()
        self._clock.open()
        self._log("connected", status)
        if early:
            self.data_received(early)
            if len(early) > MAX_EARLY_DATA and self._may_go_on:
                self.resume_reading()

    def _deny(self, event: Event) -> None:
        """Refuse with a response of the application's own."""
        assert self._opening is not None
        data, complete = self._opening.deny(event)
        self._phase = Phase.DENYING
        self._transport.write(data)
        if complete:
            self._reject(self._opening.status, Phase.DENIED)

    # ------------------------------------------------------------------ closing

    def _close(self, code: int, reason: str, phase: Phase) -> None:
        """Begin the closing handshake; the client has a while to answer."""
        frame = self._frames.send_close(code, reason)
        self._outbox.ready = self._outbox.full = False
        self._phase = phase
        self._transport.write(frame)
        self._flooded = False
        self.resume_reading()
        self._watch_end(self._context.config.websocket_close_timeout)

    def _closed(self, event: Closed) -> None:
        """The client said goodbye, or broke a rule: answer, and hang up."""
        if event.limit:
            self._refused(f"websocket_{event.limit}", f"close {event.code}")
        self._transport.write(self._frames.data_to_send())
        self._disconnect(event.code, event.reason)
        self._hang_up(linger=self._frames.state is State.FAILED)

    def _disconnect(self, code: int, reason: str = "", *, status: int = 0) -> None:
        """Tell the application, once, that the client is gone.

        Args:
            code: The close code.
            reason: The text beside it.
            status: What the client was told instead, if it was not let in.
        """
        phase, self._phase = self._phase, _CLOSED
        self._outbox.ready = self._outbox.full = False
        # The application may have been told already, by who ended the connection for it.
        if phase in ALIVE:
            counters, (received, sent) = self._context.counters, self.other_frames
            counters.others_received += received
            counters.others_sent += sent
            self._log("disconnected", code)
        elif phase in UNDECIDED:
            self._log("rejected", status)
        else:
            return
        self._mailbox.put_disconnect(
            {"type": "websocket.disconnect", "code": int(code), "reason": reason}
        )
        self._release_senders()
        if self._task is not None:
            self._context.admission.close_websocket()
            self._context.reap(self._task)

    def _hang_up(self, *, linger: bool = True) -> None:
        """End the TCP connection; a client that may still be sending reads why (§7.1.1)."""
        if self._transport.is_closing():
            return
        if linger:
            self._flooded = False
            self.resume_reading()  # discarded, but the client's own close has to be noticed
            end_writing(self._transport, self._context, is_close)
        else:
            self._transport.close()
        timeout = self._context.config.websocket_close_timeout
        self._watch_end(timeout if timeout > 0 else LINGER)

    def shut_down(self) -> None:
        """The server ends: 1012 to an open socket, 503 to one that is still connecting."""
        if self._phase not in OVER:
            self.leave(CloseCode.SERVICE_RESTART, _RESTARTING)
        elif self in self._context.connections:  # it has had our last words, and only stays
            self._watch_end(LAST_LINGER)

    def leave(self, code: int, reason: str) -> None:
        """End the WebSocket from our side, whatever the application is doing.

        Args:
            code: The close code; a client that was not let in yet gets 503 instead.
            reason: Beside the code. With 1012 and 1013 it gets a moment to come back.
        """
        if self._phase is Phase.CONNECTING:
            self._refuse(503, reason)
        elif self._phase is _OPEN:
            if code in _TEMPORARY:
                reason = self._context.ask_to_retry(reason)
            self._close(code, reason, Phase.LEAVING)

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self._transport.abort()

    @property
    def sent(self) -> int:
        """Bytes that messages to the client were."""
        return self._outbox.sent

    @property
    def delivered(self) -> int:
        """A number that grows by each byte that reaches the client."""
        return delivered(self._transport)

    @property
    def ended(self) -> bool:
        """Whether the WebSocket is over, and counted as such; its connection may linger."""
        return self._phase is _CLOSED

    @property
    def other_frames(self) -> tuple[int, int]:
        """How many frames that are no message by themselves have come, and have been sent."""
        return self._frames.others_received, self._frames.others_sent

    def ping(self) -> None:
        """Ask the client whether it is there."""
        self._transport.write(self._frames.send_ping())

    def give_up(self) -> None:
        """End the connection now, for want of a Pong."""
        self._refused("ping_timeout", "the connection is cut (1006)")
        self._drop()

    def cut_off(self) -> None:
        """End the connection now, as the client does not read."""
        self._refused("websocket_write_timeout", "the connection is cut (1006)")
        self._drop()

    def _drop(self) -> None:
        """End the connection now; what was still to be sent is lost."""
        self._clock.stop()
        self._disconnect(CloseCode.ABNORMAL_CLOSURE)
        self._transport.abort()

    def retire(self) -> None:
        """End the WebSocket because of its age."""
        self._refused("websocket_timeout", "close 1000")
        reason = "The WebSocket was open for as long as it may be."
        self.leave(CloseCode.NORMAL_CLOSURE, self._context.ask_to_retry(reason))

    def _watch_end(self, seconds: float) -> None:
        """Give the client a while to end the connection, when it has read what there is.

        Args:
            seconds: How long it has for it; for 0 or less, as long as it likes.
        """
        self._clock.stop()
        if seconds > 0:
            timeout = self._context.config.websocket_close_timeout
            stalled = timeout if timeout > 0 else LINGER
            self._last_words = LastWords(self._transport, self._context, seconds, stalled)
            # Not now: mostly the client has ended by then, and to ask costs system calls.
            self._clock.set(seconds / LOOKS, self._check_end)

    def _check_end(self) -> None:
        assert self._last_words is not None
        if seconds := self._last_words.look():
            self._clock.set(seconds, self._check_end)
            return
        if self._phase not in OVER:
            self._refused("websocket_close_timeout", "the connection is cut")
        self._drop()

    def _refuse_late(self) -> None:
        why = f"as the application neither accepted nor refused {path_of(self._request)}"
        if self._phase is Phase.CONNECTING:
            self._refused("websocket_connect_timeout", f"503, {why}")
            self._refuse(503, "Application failed to respond within time limit.")
        else:
            self._refused("websocket_connect_timeout", f"the connection is cut, {why}")
            self._drop()

    def _log(self, action: str, status: int) -> None:
        self._context.log(
            action,
            status,
            self._request,
            self._client,
            self._started_at,
            self._outbox.sent,
            self.received,
        )
