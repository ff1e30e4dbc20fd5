"""All that is fuzzed."""

from typing import Final

from fuzzing import forwarded, handshake, http1, sse, websocket
from fuzzing.target import Target

__all__ = ["TARGETS"]

TARGETS: Final[dict[str, Target]] = {
    module.TARGET.name: module.TARGET for module in (http1, websocket, handshake, sse, forwarded)
}
