"""The errors that applications meet. They import nothing of ours, so every room may raise them."""

from typing import Any


class RequestAborted(Exception):
    """The client went away while its request was still being read."""


class RequestTimeout(RequestAborted):
    """Reading the request took longer than its limit."""


class InvalidChannelLayerError(ValueError):
    """``CHANNEL_LAYERS`` names a layer that is missing, misspelt or wrongly configured."""


class AcceptConnection(Exception):
    """Raised in ``connect()``: accept the WebSocket and stop there."""


class DenyConnection(Exception):
    """Raised in ``connect()``: refuse the WebSocket and stop there."""


class ChannelFull(Exception):
    """A message was not sent, because the channel already holds as many as it may.

    Raised by ``layer.send()`` only; ``group_send()`` counts and logs such a loss instead.
    """


class ChannelLayerUnavailable(Exception):
    """A channel layer cannot reach what connects its processes now; later it may.

    Connections stay open and memberships are kept. A consumer that lets it out of a handler logs it
    and goes on.
    """


class WrongProcess(RuntimeError, AssertionError):
    """A channel cannot be received from here: another process does.

    Both kinds of error, as channels_redis asserts it.
    """


class MessageTooLarge(Exception):
    """A message was not sent, because it is larger than the layer carries."""


class StopConsumer(Exception):
    """Raised in a handler: end this consumer, its work is done."""


class ClientDisconnected(OSError):
    """Something was sent to a client that is already gone.

    ASGI asks servers for an ``OSError`` here, see the specification's *Disconnected Client*.
    """


class WrongState(RuntimeError):
    """An application sent an ASGI event that its connection cannot take now.

    The message names the event, the state the connection is in and the events that it takes.
    """


_SEND_ITS_KEY = "Send its primary key, and load it where the message arrives."
_SEND_THESE = (
    "Send text, bytes, numbers, booleans, None, dates, times, UUIDs, decimals, sets, lists and "
    "dictionaries."
)


class MessageNotSerializable(TypeError):
    """A message holds a value that cannot cross a channel layer.

    Attributes:
        path: Where the value stands in the message, such as ``$.users[2]``.
        value: The value itself.
    """

    def __init__(self, path: str, value: Any) -> None:
        self.path = path
        self.value = value
        kind = type(value)
        # A Django model, told by its looks; a lazy one is left alone, as looking would load it.
        is_model = hasattr(kind, "_meta") and hasattr(kind, "pk")
        super().__init__(
            f"A value of type {kind.__qualname__} at {path} cannot cross a channel layer. "
            f"{_SEND_ITS_KEY if is_model else _SEND_THESE}"
        )
