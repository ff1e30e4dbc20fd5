"""All that is fuzzed."""

from typing import Final

from fuzzing import deflate, forwarded, handshake, http1, http2, proxy_protocol, sse, websocket
from fuzzing.target import Target

__all__ = ["TARGETS"]

_MODULES: Final = (http1, http2, websocket, deflate, handshake, sse, forwarded, proxy_protocol)

TARGETS: Final[dict[str, Target]] = {module.TARGET.name: module.TARGET for module in _MODULES}
