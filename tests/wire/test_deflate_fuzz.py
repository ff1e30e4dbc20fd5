"""Compressed messages and their negotiation, whatever the client sends.

What the reference reads is in `test_websocket_deflate_reference.py`.
"""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing.deflate import check_messages, check_offer
from tests.wire.streams import FUZZ


class TestAnything:
    """Bytes that need not be compressed data, and offers that need not be any."""

    @FUZZ
    @given(st.binary(max_size=60), st.booleans(), st.integers(8, 15), st.booleans())
    def test_messages(self, payload: bytes, takeover: bool, bits: int, text: bool) -> None:
        """A message or a fault, in any fragments and pieces."""
        check_messages(payload, takeover=takeover, bits=bits, text=text, limit=300)

    @pytest.mark.parametrize("size", [10_000, 1_000_000])
    def test_bomb(self, size: int) -> None:
        """A few bytes that become many end at the limit."""
        bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = bomb.compress(bytes(size)) + bomb.flush(zlib.Z_SYNC_FLUSH)
        check_messages(payload[:-4], takeover=False, bits=15, text=False, limit=300)

    @FUZZ
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(b"permessage-deflate", b"client_max_window_bits", b"server_max_window_bits"),
                    *(b"server_no_context_takeover", b"client_no_context_takeover", b"=", b"15"),
                    *(b'"', b";", b",", b"8", b"9", b" ", b"\\", b"x"),
                ]
            )
        ).map(b"".join)
    )
    def test_offers(self, value: bytes) -> None:
        """An answer names only what was offered."""
        check_offer(value)
        check_offer(b"permessage-deflate; " + value)
