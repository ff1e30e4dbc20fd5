"""How input is cut into chunks: each test of the wire runs once for each way."""

from typing import Protocol

import pytest

from tests.wire.client import Client, Split, at_once, byte_by_byte, in_two


class Connect(Protocol):
    """Opens a WebSocket whose input is cut in the way of this test run."""

    def __call__(self, *, max_message_size: int = 0, max_frame_size: int = 0) -> Client: ...


@pytest.fixture(params=[at_once, byte_by_byte, in_two], ids=lambda split: split.__name__)
def split(request: pytest.FixtureRequest) -> Split:
    """The way in which this test run cuts its input."""
    way: Split = request.param
    return way


@pytest.fixture
def connect(split: Split) -> Connect:
    """Opens further WebSockets, with limits."""

    def open_websocket(*, max_message_size: int = 0, max_frame_size: int = 0) -> Client:
        return Client(split, max_message_size=max_message_size, max_frame_size=max_frame_size)

    return open_websocket


@pytest.fixture
def client(connect: Connect) -> Client:
    """The client of an open WebSocket without limits."""
    return connect()
