"""What a visitor makes of what comes back."""

import io
from http.client import HTTPResponse
from typing import cast

import pytest

from proving.client import _events, check
from proving.processes import ProofError


def test_events() -> None:
    """A stream is read event by event; comments and what is not complete are passed over."""
    stream = io.BytesIO(
        b":\r\nevent: message\r\ndata: {}\r\n\r\n\r\n: ping\nid:7\ndata:x\n\ndata: cut"
    )
    events = list(_events(cast("HTTPResponse", stream)))
    assert events == [{"event": "message", "data": "{}"}, {"id": "7", "data": "x"}]


def test_check() -> None:
    """What differs is said with what was wanted."""
    check(1, 1, "the number")
    with pytest.raises(ProofError, match=r"^the number is 2, not 1$"):
        check(2, 1, "the number")
