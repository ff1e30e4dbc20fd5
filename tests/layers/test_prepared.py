"""prepare(): which group messages need no handler."""

import pytest

from fairway._types import Event
from fairway.layers.prepared import prepare


class TestPrepare:
    def test_what_asgi_asks_for(self) -> None:
        """Text or bytes are framed for everybody."""
        text = prepare({"type": "websocket.send", "text": "hi"})
        data = prepare({"type": "websocket.send", "bytes": b"hi", "text": None})
        assert text is not None
        assert data is not None
        assert (text.plain, data.plain) == (b"\x81\x02hi", b"\x82\x02hi")

    @pytest.mark.parametrize(
        "message",
        [
            {"type": "websocket.send"},
            {"type": "websocket.send", "text": "a", "bytes": b"b"},
            {"type": "websocket.send", "text": 7},
        ],
    )
    def test_everything_else(self, message: Event) -> None:
        """What is wrong is left to the consumers, which raise what ASGI raises."""
        assert prepare(message) is None
