"""What an unreachable channel layer means for connections: nothing, but a line in the log."""

import logging
import time
from typing import Final

from fairway._types import Event
from fairway.consuming.serving import Serving
from fairway.exceptions import ChannelLayerUnavailable
from fairway.utils import name_that_thing

logger = logging.getLogger("fairway.consumer")

#: Seconds between two lines about the same outage, however many connections meet it.
QUIET: Final = 30.0

_next_line = 0.0


def tolerates(consumer: Serving, exception: Exception, event: Event) -> bool:
    """Whether a connection goes on after its handler let this exception out.

    It does if a channel layer could not be reached, and its client is not left waiting for an
    answer: a handshake has to end some way, and so has a request.

    Args:
        consumer: The connection's.
        exception: What the handler raised.
        event: What it was handling.
    """
    if not isinstance(exception, ChannelLayerUnavailable):
        return False
    if consumer.scope.get("type") != "websocket":
        return False
    if event.get("type") == "websocket.connect" and not consumer._fw_accepted:  # noqa: SLF001  of the family
        return False
    _tell(consumer, exception)
    return True


def _tell(consumer: Serving, exception: Exception) -> None:
    global _next_line  # noqa: PLW0603  one outage concerns all connections of the process
    now = time.monotonic()
    if now < _next_line:
        return
    _next_line = now + QUIET
    logger.warning(
        "%s could not send: %s Its connection stays open. (Others may be concerned, too; the next "
        "line about it comes in %g s at the earliest.)",
        name_that_thing(consumer),
        exception,
        QUIET,
    )
