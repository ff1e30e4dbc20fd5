"""What a server counts, from its start on."""

from typing import Final

__all__ = ["Counters"]

#: What is counted, with what people read about it.
HELP: Final = {
    "connections": "TCP and Unix connections that were accepted.",
    "requests": "HTTP requests that reached the application.",
    "websockets": "WebSockets that the application accepted.",
}


class Counters:
    """Plain integers that only grow, changed on the thread of the event loop.

    Attributes:
        connections: Connections that were accepted.
        requests: HTTP requests that reached the application.
        websockets: WebSockets that the application accepted.
        refused: By the name of the option that is the limit, how often something was refused, cut
            or closed for it.
    """

    __slots__ = ("connections", "refused", "requests", "websockets")

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.websockets = 0
        self.refused: dict[str, int] = {}
