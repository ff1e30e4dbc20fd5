"""What a server counts, from its start on."""

from typing import Final

__all__ = ["Counters"]

#: What is counted, with what people read about it.
HELP: Final = {
    "connections": "TCP and Unix connections that were accepted.",
    "requests": "HTTP requests that reached the application.",
    "websockets": "WebSockets that the application accepted.",
    "tls_failures": "TLS handshakes that failed, and clients that did not begin one.",
    "messages_received": "Messages that came from WebSockets.",
    "messages_sent": "Messages that went out to WebSockets.",
}


class Counters:
    """Plain integers that only grow, changed on the thread of the event loop.

    Attributes:
        connections: Connections that were accepted.
        requests: HTTP requests that reached the application.
        websockets: WebSockets that the application accepted.
        tls_failures: TLS handshakes that failed, and clients that did not begin one.
        messages_received: Messages that came from WebSockets.
        messages_sent: Messages that went out to WebSockets.
        refused: By the name of the option that is the limit, how often something was refused, cut
            or closed for it.
    """

    __slots__ = (
        "connections",
        "messages_received",
        "messages_sent",
        "refused",
        "requests",
        "tls_failures",
        "websockets",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.websockets = 0
        self.tls_failures = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.refused: dict[str, int] = {}
