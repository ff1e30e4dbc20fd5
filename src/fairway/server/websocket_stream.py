"""One WebSocket, as ASGI tells it to the application.

See https://asgi.readthedocs.io/en/latest/specs/www.html#websocket and, for refusing with a response
of one's own, https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response.
"""

import asyncio
import enum
import logging
from typing import Final

from asgiref.sync import ThreadSensitiveContext

from fairway._types import Event, Scope
from fairway.delivery import Mailbox, Outbox
from fairway.exceptions import ClientDisconnected, WrongState
from fairway.server.access import AccessRecord
from fairway.server.context import Context
from fairway.server.proxy import Address
from fairway.server.scope import websocket_scope
from fairway.server.threads import LentThread
from fairway.wire.frames import CloseCode
from fairway.wire.handshake import HandshakeRefused, OpeningHandshake, is_token
from fairway.wire.http1 import Request, Response, error_response
from fairway.wire.websocket import Closed, Ping, WebSocketConnection

logger = logging.getLogger("fairway.server")

#: What a client may send before it was accepted, in bytes.
MAX_EARLY_DATA: Final = 64 * 1024


class Phase(enum.Enum):
    """Where a WebSocket stands in ASGI's terms, with the events that it takes there."""

    CONNECTING = (
        "not accepted yet",
        ("websocket.accept", "websocket.close", "websocket.http.response.start"),
    )
    DENYING = ("being denied", ("websocket.http.response.body",))
    OPEN = ("open", ("websocket.send", "websocket.close"))
    CLOSING = ("closing", ())
    CLOSED = ("closed", ())

    def __init__(self, words: str, takes: tuple[str, ...]) -> None:
        self.words = words
        self.takes = takes


class WebSocketStream(asyncio.Protocol):
    """Runs the application for one WebSocket and carries messages both ways.

    Takes a connection over from :class:`~fairway.server.connection.Connection` when a request asks
    for the upgrade. What arrives goes into the mailbox; what the application sends goes through the
    outbox, at once where nothing stands in the way and through :meth:`_send` otherwise.
    """

    __slots__ = (
        "_client",
        "_code",
        "_context",
        "_deadline",
        "_drained",
        "_early",
        "_frames",
        "_handshake",
        "_last_received",
        "_mailbox",
        "_opened_at",
        "_outbox",
        "_phase",
        "_pinged_at",
        "_request",
        "_response",
        "_scheme",
        "_server",
        "_started_at",
        "_task",
        "_transport",
        "slot",
    )

    def __init__(
        self,
        context: Context,
        transport: asyncio.Transport,
        request: Request,
        client: Address | None,
        server: tuple[str, int | None] | None,
        scheme: str,
    ) -> None:
        self.slot = 0
        self._context = context
        self._transport = transport
        self._request = request
        self._client = client
        self._server = server
        self._scheme = scheme
        config = context.config
        self._frames = WebSocketConnection(
            config.websocket_max_message_size, config.websocket_max_frame_size
        )
        self._mailbox = Mailbox(context.loop, self)
        self._outbox = Outbox(transport.write, self._send)
        self._phase = Phase.CONNECTING
        self._handshake: OpeningHandshake | None = None
        self._response: Response | None = None
        self._early = b""
        self._drained: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._started_at = self._last_received = context.loop.time()
        self._opened_at = 0.0
        self._pinged_at = 0.0
        self._deadline = 0.0
        self._code = 0

    # ------------------------------------------------------------------ opening

    def start(self, early_data: bytes) -> None:
        """Check the opening handshake and call the application.

        Args:
            early_data: What the client sent behind its request.
        """
        context, request = self._context, self._request
        try:
            self._handshake = OpeningHandshake.parse(
                request.method, request.http_version, request.headers
            )
        except HandshakeRefused as refusal:
            self._refuse(refusal.status, refusal.detail, refusal)
            return
        if context.draining:
            self._refuse(503, "The server is shutting down.")
            return
        self._early = early_data
        scope = websocket_scope(
            request,
            self._scheme,
            context.config.root_path,
            self._client,
            self._server,
            context.state,
            self._handshake.subprotocols,
        )
        self._log("connecting", 0)
        self._mailbox.put_event({"type": "websocket.connect"})
        self._set_deadline(context.config.websocket_connect_timeout)
        self._task = context.spawn(self._run(scope), f"WebSocket {self._path()}")

    async def _run(self, scope: Scope) -> None:
        context = self._context
        try:
            async with ThreadSensitiveContext(executor=LentThread(context.threads)):
                await context.application(scope, self._mailbox, self._outbox)
        except asyncio.CancelledError:
            self._end(503, CloseCode.SERVICE_RESTART)
            raise
        except ClientDisconnected:
            if not self._mailbox.disconnected:
                logger.exception("Exception inside application for WebSocket %s", self._path())
                self._end(500, CloseCode.INTERNAL_ERROR)
        except Exception as error:
            logger.error(
                "Exception inside application for WebSocket %s: %s",
                self._path(),
                error,
                exc_info=error,
            )
            self._end(500, CloseCode.INTERNAL_ERROR)
        else:
            if self._phase in (Phase.CONNECTING, Phase.DENYING):
                logger.error(
                    "The application returned without accepting or refusing WebSocket %s",
                    self._path(),
                )
            self._end(500, CloseCode.NORMAL_CLOSURE)

    def _end(self, status: int, code: CloseCode) -> None:
        """Say goodbye for an application that did not: with a status or with a close code."""
        if self._phase is Phase.CONNECTING:
            self._refuse(status, "The application failed.")
        elif self._phase is Phase.DENYING:
            self._disconnect(CloseCode.ABNORMAL_CLOSURE)
            self._transport.abort()
        elif self._phase is Phase.OPEN:
            self._close(code, "")

    def _refuse(self, status: int, detail: str, refusal: HandshakeRefused | None = None) -> None:
        """Answer the opening handshake with an HTTP error."""
        context = self._context
        self._transport.write(
            error_response(
                status,
                detail,
                server=context.server_header,
                date=context.date(),
                headers=refusal.headers if refusal else (),
            )
        )
        self._reject(status)

    def _reject(self, status: int) -> None:
        """The handshake has had its answer, which was no."""
        self._log("rejected", status)
        self._disconnect(CloseCode.ABNORMAL_CLOSURE)
        self._hang_up()

    # ------------------------------------------------------------------ asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Turn what came into events, and answer what the protocol itself answers."""
        if self._phase is not Phase.OPEN and self._phase is not Phase.CLOSING:
            self._keep_early(data)
            return
        self._last_received = self._context.time()
        frames = self._frames
        put = self._mailbox.put_event
        for event in frames.receive_data(data):
            if type(event) is str:
                put({"type": "websocket.receive", "text": event}, len(event))
            elif type(event) is bytes:
                put({"type": "websocket.receive", "bytes": event}, len(event))
            elif isinstance(event, Closed):
                self._closed(event)
                return
            else:
                assert isinstance(event, Ping)
        replies = frames.data_to_send()
        if replies:
            self._transport.write(replies)
            if self._drained is not None:
                # It sends Pings and does not read the Pongs, which would fill our memory.
                self.pause_reading()

    def _keep_early(self, data: bytes) -> None:
        """Keep what came before the WebSocket was accepted; what comes after its end is dropped."""
        if self._phase is not Phase.CLOSED:
            self._early += data
            if len(self._early) > MAX_EARLY_DATA:
                self.pause_reading()

    def eof_received(self) -> bool:
        """The client has gone without a word; asyncio closes the transport."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._context.unregister(self)
        self._deadline = 0.0
        if self._phase is Phase.CONNECTING:
            self._log("rejected", 0)
        self._disconnect(CloseCode.ABNORMAL_CLOSURE)

    def pause_writing(self) -> None:
        """The client reads too slowly: the application's sends wait."""
        self._outbox.ready = False
        if self._drained is None:
            self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._outbox.ready = self._phase is Phase.OPEN
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if not self._mailbox.paused:
            self.resume_reading()

    def pause_reading(self) -> None:
        """The application is behind with the client's messages."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """The application has taken what there was."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # ------------------------------------------------------------------ the application's events

    async def _send(self, event: Event) -> None:
        """Handle what the outbox could not write at once."""
        kind = event["type"]
        if self._drained is not None and kind not in ("websocket.close",):
            await self._drained.wait()
        phase = self._phase
        if kind not in phase.takes:
            self._refuse_event(kind)
        if kind == "websocket.send":
            self._transport.write(self._encode(event))
        elif kind == "websocket.accept":
            self._accept(event)
        elif kind == "websocket.close" and phase is Phase.OPEN:
            code = event.get("code")
            self._close(CloseCode.NORMAL_CLOSURE if code is None else code, event.get("reason"))
        elif kind == "websocket.close":
            # "the server must close the connection with an HTTP 403 error code (Forbidden)"
            self._refuse(403, "Access denied.")
        elif kind == "websocket.http.response.start":
            self._start_denial(event)
        else:
            self._send_denial_body(event)

    def _refuse_event(self, kind: str) -> None:
        if self._mailbox.disconnected and self._phase is Phase.CLOSED:
            raise ClientDisconnected(f"Cannot send {kind!r}: the WebSocket is closed.")
        takes = " or ".join(repr(name) for name in self._phase.takes) or "nothing more"
        raise WrongState(
            f"Cannot send {kind!r}: the WebSocket is {self._phase.words} and takes {takes}."
        )

    def _encode(self, event: Event) -> bytes:
        text, data = event.get("text"), event.get("bytes")
        if (text is None) == (data is None):
            raise ValueError("websocket.send needs either 'text' or 'bytes', and not both.")
        if text is not None:
            if not isinstance(text, str):
                raise TypeError(f"'text' in websocket.send must be str, not {type(text).__name__}.")
            return self._frames.send_text(text)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"'bytes' in websocket.send must be bytes, not {type(data).__name__}.")
        return self._frames.send_binary(bytes(data))

    def _accept(self, event: Event) -> None:
        assert self._handshake is not None
        context = self._context
        subprotocol = event.get("subprotocol")
        if subprotocol is not None and not is_token(subprotocol.encode("utf-8", "replace")):
            raise ValueError(
                f"{subprotocol!r} is no subprotocol: it must be a token (RFC 6455 §4.1)."
            )
        headers = list(event.get("headers") or ())
        if any(name.lower() == b"sec-websocket-protocol" for name, _ in headers):
            raise ValueError("websocket.accept takes the subprotocol as 'subprotocol' only.")
        answer = Response("GET", "1.1", keep_alive=True).start(
            101,
            self._handshake.accept_headers(subprotocol) + headers,
            server=context.server_header,
            date=context.date(),
        )
        self._transport.write(answer)
        self._phase = Phase.OPEN
        self._outbox.ready = self._drained is None
        self._opened_at = self._last_received = context.loop.time()
        self._log("connected", 101)
        self._handshake = None
        self._set_deadline(context.config.ping_interval)
        if context.config.websocket_timeout > 0:
            context.deadlines.arm(self, self._opened_at + context.config.websocket_timeout)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
            if len(early) > MAX_EARLY_DATA and not self._mailbox.paused:
                self.resume_reading()

    def _start_denial(self, event: Event) -> None:
        status = event.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ValueError(f"The status of a denial response must be a number, not {status!r}.")
        context = self._context
        self._response = Response("GET", self._request.http_version, False)
        head = self._response.start(
            status, event.get("headers") or (), server=context.server_header, date=context.date()
        )
        self._code = status
        self._phase = Phase.DENYING
        self._transport.write(head)

    def _send_denial_body(self, event: Event) -> None:
        assert self._response is not None
        more = event.get("more_body", False)
        data = self._response.body(event.get("body", b""), more)
        if data:
            self._transport.write(data)
        if not more:
            self._reject(self._code)

    # ------------------------------------------------------------------ closing

    def _close(self, code: int, reason: str | None) -> None:
        """Begin the closing handshake; the client has a while to answer."""
        frame = self._frames.send_close(code, reason or "")
        self._outbox.ready = False
        self._phase = Phase.CLOSING
        if frame:
            self._transport.write(frame)
        self.resume_reading()
        self._set_deadline(self._context.config.websocket_close_timeout)

    def _closed(self, event: Closed) -> None:
        """The client said goodbye, or broke a rule: answer, and hang up."""
        self._outbox.ready = False
        replies = self._frames.data_to_send()
        if replies:
            self._transport.write(replies)
        self._disconnect(event.code, event.reason)
        self._hang_up()

    def _disconnect(self, code: int, reason: str = "") -> None:
        """Tell the application, once, that the client is gone."""
        was_open = self._phase in (Phase.OPEN, Phase.CLOSING)
        self._phase = Phase.CLOSED
        self._outbox.ready = False
        if self._mailbox.disconnected:
            return
        if was_open:
            self._log("disconnected", code)
        self._mailbox.put_disconnect(
            {"type": "websocket.disconnect", "code": int(code), "reason": reason}
        )
        if self._drained is not None:
            self._drained.set()
            self._drained = None
        if self._task is not None:
            self._context.reap(self._task)

    def _hang_up(self) -> None:
        """End the TCP connection, letting the client read what was said last (RFC 6455 §7.1.1)."""
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self.resume_reading()  # discarded, but the client's own close has to be noticed
            self._transport.write_eof()
            self._set_deadline(self._context.config.websocket_close_timeout or 1.0)
        else:
            self._transport.close()

    def shut_down(self) -> None:
        """The server ends: 1012 to an open socket, 503 to one that is still connecting."""
        if self._phase is Phase.CONNECTING:
            self._refuse(503, "The server is shutting down.")
        elif self._phase is Phase.OPEN:
            self._close(CloseCode.SERVICE_RESTART, "The server is restarting.")

    def abort(self) -> None:
        """End the connection now, whatever was still to be sent."""
        self._transport.abort()

    # ------------------------------------------------------------------ time

    def _set_deadline(self, seconds: float) -> None:
        if seconds > 0:
            self._deadline = self._context.loop.time() + seconds
            self._context.deadlines.arm(self, self._deadline)
        else:
            self._deadline = 0.0

    def on_deadline(self, now: float) -> float | None:
        """Do what the clock says: refuse, ping, drop, close."""
        if self._phase is Phase.OPEN:
            return self._check_open(now)
        if not self._deadline or now < self._deadline:
            return self._deadline or None
        self._deadline = 0.0
        if self._phase is Phase.CONNECTING:
            logger.warning(
                "The application neither accepted nor refused WebSocket %s within %g s "
                "(websocket_connect_timeout)",
                self._path(),
                self._context.config.websocket_connect_timeout,
            )
            self._refuse(503, "Application failed to respond within time limit.")
            return self._deadline or None
        self._disconnect(CloseCode.ABNORMAL_CLOSURE)
        self._transport.abort()
        return None

    def _check_open(self, now: float) -> float | None:
        """Ping a silent client, drop one that stays silent, end one that was open long enough."""
        config = self._context.config
        if 0 < config.websocket_timeout <= now - self._opened_at:
            self._close(
                CloseCode.NORMAL_CLOSURE, "The WebSocket was open for as long as it may be."
            )
            return self._deadline
        following = []
        if config.websocket_timeout > 0:
            following.append(self._opened_at + config.websocket_timeout)
        if config.ping_interval > 0:
            when = self._check_silence(now)
            if when is None:
                return None
            following.append(when)
        return min(following, default=None)

    def _check_silence(self, now: float) -> float | None:
        """Ping or drop a silent client; returns when to look again, None if it was dropped."""
        config = self._context.config
        if self._pinged_at > self._last_received and config.ping_timeout > 0:
            if now - self._pinged_at >= config.ping_timeout:
                self._disconnect(CloseCode.ABNORMAL_CLOSURE)
                self._transport.abort()
                return None
            return self._pinged_at + config.ping_timeout
        quiet_since = max(self._last_received, self._pinged_at)
        if now - quiet_since < config.ping_interval:
            return quiet_since + config.ping_interval
        self._pinged_at = now
        self._transport.write(self._frames.send_ping())
        return now + (config.ping_timeout if config.ping_timeout > 0 else config.ping_interval)

    # ------------------------------------------------------------------ for people

    def _path(self) -> str:
        path = self._request.path.decode("latin-1")
        query = self._request.query_string.decode("latin-1")
        return f"{path}?{query}" if query else path

    def _log(self, action: str, status: int) -> None:
        if self._context.access_log is None:
            return
        self._context.access_log(
            AccessRecord(
                protocol="websocket",
                action=action,
                method="GET",
                path=self._path(),
                http_version=self._request.http_version,
                status=status,
                client=f"{self._client[0]}:{self._client[1]}" if self._client else "",
                duration=self._context.loop.time() - self._started_at,
            )
        )
