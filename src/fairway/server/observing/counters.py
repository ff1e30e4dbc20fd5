"""What a server counts, from its start on."""

from collections import defaultdict
from typing import Final

__all__ = ["METHODS", "Counters"]

#: Methods that are counted by their names; whatever else a client says is "other".
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

#: What is counted by a plain number, with what people read about it.
HELP: Final = {
    "connections": "Connections that were let in.",
    "tls_failures": "TLS handshakes that failed, and clients that did not begin one.",
    "websockets": "WebSockets that the application accepted.",
    "rejected": "WebSockets that the application or the server refused.",
    "messages_received": "Messages that came from WebSockets.",
    "messages_sent": "Messages that went out to WebSockets.",
    "others_received": "Other frames that came from WebSockets that have ended.",
    "others_sent": "Control frames that went out to WebSockets that have ended.",
    "http_received": "Bytes of request bodies that applications were given.",
    "http_sent": "Bytes of response bodies that applications sent.",
    "websocket_received": "Bytes that came from WebSockets that have ended, frames and all.",
    "websocket_sent": "Bytes that messages to WebSockets that have ended were, frames and all.",
}


class Counters:
    """Numbers that only grow, changed on the thread of the event loop.

    Attributes:
        connections: Connections that were let in.
        tls_failures: TLS handshakes that failed, and clients that did not begin one.
        websockets: WebSockets that the application accepted.
        rejected: WebSockets that the application or the server refused.
        messages_received: Messages that came from WebSockets.
        messages_sent: Messages that went out to WebSockets.
        others_received: Control frames, and fragments but for the last of each message, that came
            from WebSockets that have ended; those that are open count for themselves.
        others_sent: Control frames that went out to such WebSockets.
        http_received: Bytes of request bodies that applications were given.
        http_sent: Bytes of response bodies that applications sent.
        websocket_received: Bytes that came from WebSockets that have ended; those that are open
            count for themselves.
        websocket_sent: Bytes that messages to such WebSockets were.
        requests: HTTP requests that were answered, by method (one of :data:`METHODS`, or
            ``"other"``) and the first digit of the status.
        closed: WebSockets that have ended, by close code.
        refused: By the name of the option that is the limit, how often something was refused, cut
            or closed for it.
    """

    __slots__ = (*HELP, "closed", "refused", "requests")

    def __init__(self) -> None:
        self.connections = 0
        self.tls_failures = 0
        self.websockets = 0
        self.rejected = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.others_received = 0
        self.others_sent = 0
        self.http_received = 0
        self.http_sent = 0
        self.websocket_received = 0
        self.websocket_sent = 0
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.closed: defaultdict[int, int] = defaultdict(int)
        self.refused: dict[str, int] = {}

    def count(self, action: str, method: str, status: int) -> None:
        """Count what the access log is told; arguments as in its records."""
        if action == "complete":
            self.requests[method if method in METHODS else "other", status // 100] += 1
        elif action == "connected":
            self.websockets += 1
        elif action == "disconnected":
            self.closed[status] += 1
        elif action == "rejected":
            self.rejected += 1
