"""What the server says on an HTTP/2 connection, as h2's client understands it."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.events import Event as Heard
from h2.settings import SettingCodes

from fairway._types import Headers
from fairway.wire.http2 import HTTP2Connection
from fairway.wire.http2_events import ErrorCode, HTTP2Limits
from tests.wire.http2_client import GET, POST


class Pair:
    """h2 as the client, and the server."""

    def __init__(self) -> None:
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.server = HTTP2Connection(HTTP2Limits(streams=7))
        self.server.start()
        self.client.initiate_connection()
        self.to_server()
        self.to_client()

    def to_server(self) -> None:
        """What the client has to say."""
        self.server.receive_data(self.client.data_to_send(), 0.0)
        assert not self.server.failed

    def to_client(self) -> list[Heard]:
        """What the server has to say, as the client hears it."""
        return self.client.receive_data(self.server.data_to_send())

    def begin(self, fields: Headers = GET, *, end: bool = True) -> int:
        """A request."""
        stream_id = self.client.get_next_available_stream_id()
        self.client.send_headers(stream_id, fields, end_stream=end)
        self.to_server()
        return stream_id


@pytest.fixture
def pair() -> Pair:
    """A connection that has begun."""
    return Pair()


class TestStart:
    """RFC 9113 §3.4."""

    def test_settings(self, pair: Pair) -> None:
        """The client knows what it may do."""
        settings = pair.client.remote_settings
        assert settings.max_concurrent_streams == 7
        assert settings.initial_window_size == 256 * 1024
        assert settings.max_frame_size == 16_384
        assert settings.max_header_list_size == 64 * 1024
        assert settings.enable_connect_protocol == 1
        assert settings[SettingCodes.HEADER_TABLE_SIZE] == 4096
        assert pair.client.outbound_flow_control_window == 1024 * 1024


class TestResponses:
    """RFC 9113 §8.1."""

    def test_whole(self, pair: Pair) -> None:
        """Interim responses, fields, body and trailers, in this order."""
        stream_id = pair.begin()
        server = pair.server
        server.send_fields(stream_id, [(b":status", b"103"), (b"link", b"</a>")])
        server.send_fields(stream_id, [(b":status", b"200"), (b"x", b"y")])
        server.send_data(stream_id, b"abc")
        server.send_fields(stream_id, [(b"x-sum", b"6")], end=True)
        assert not server.takes(stream_id)
        interim, response, data, trailers, end = pair.to_client()
        assert isinstance(interim, InformationalResponseReceived)
        assert isinstance(response, ResponseReceived)
        assert response.headers == [(b":status", b"200"), (b"x", b"y")]
        assert isinstance(data, DataReceived)
        assert data.data == b"abc"
        assert isinstance(trailers, TrailersReceived)
        assert trailers.headers == [(b"x-sum", b"6")]
        assert isinstance(end, StreamEnded)

    def test_fields_alone(self, pair: Pair) -> None:
        """A response without a body is one frame."""
        stream_id = pair.begin()
        pair.server.send_fields(stream_id, [(b":status", b"204")], end=True)
        response, end = pair.to_client()
        assert isinstance(response, ResponseReceived)
        assert isinstance(end, StreamEnded)
        assert pair.server.open_streams == 0

    def test_long_fields(self, pair: Pair) -> None:
        """Fields larger than a frame take several."""
        stream_id = pair.begin()
        fields = [(b":status", b"200"), *((b"x-%d" % number, b"y" * 1000) for number in range(40))]
        pair.server.send_fields(stream_id, fields, end=True)
        response = pair.to_client()[0]
        assert isinstance(response, ResponseReceived)
        assert response.headers == fields

    def test_cookies_are_kept_apart(self, pair: Pair) -> None:
        """A cookie is sent so that nobody on the way remembers it (RFC 7541 §7.1.3)."""
        stream_id = pair.begin()
        pair.server.send_fields(stream_id, [(b":status", b"200"), (b"set-cookie", b"secret")])
        (response,) = pair.to_client()
        assert isinstance(response, ResponseReceived)
        assert response.headers is not None
        status, cookie = response.headers
        assert getattr(status, "indexable", None) is True
        assert getattr(cookie, "indexable", None) is False


class TestEnds:
    """RFC 9113 §5.4, §6.4, §6.8."""

    def test_reset(self, pair: Pair) -> None:
        """A stream is reset with a code; to reset what has ended is nothing."""
        stream_id = pair.begin(POST, end=False)
        for _ in range(2):
            pair.server.reset(stream_id, ErrorCode.CANCEL)
        pair.server.reset(99, ErrorCode.CANCEL)
        (reset,) = pair.to_client()
        assert isinstance(reset, StreamReset)
        assert (reset.stream_id, reset.error_code) == (stream_id, ErrorCode.CANCEL)

    def test_reset_after_the_end(self, pair: Pair) -> None:
        """A response that is complete may ask for no more of its request (§8.1)."""
        stream_id = pair.begin(POST, end=False)
        pair.server.send_fields(stream_id, [(b":status", b"413")], end=True)
        assert pair.server.receives(stream_id)
        pair.server.reset(stream_id, ErrorCode.NO_ERROR)
        assert [type(event) for event in pair.to_client()] == [
            ResponseReceived, StreamEnded, StreamReset
        ]  # fmt: skip
        assert pair.server.open_streams == 0

    def test_goaway(self, pair: Pair) -> None:
        """The last stream is named, with the reason."""
        stream_id = pair.begin()
        pair.server.go_away(ErrorCode.ENHANCE_YOUR_CALM, "Too fast.")
        (end,) = pair.to_client()
        assert isinstance(end, ConnectionTerminated)
        assert (end.last_stream_id, end.error_code) == (stream_id, ErrorCode.ENHANCE_YOUR_CALM)
        assert end.additional_data == b"Too fast."

    def test_memory_of_closed_streams(self, pair: Pair) -> None:
        """Streams that have ended leave little behind."""
        for _ in range(1000):
            pair.server.send_fields(pair.begin(), [(b":status", b"204")], end=True)
            pair.to_client()
        assert pair.server.open_streams == 0
        assert len(pair.server._h2._closed_streams) <= 256
        assert len(pair.server._h2.streams) <= 1
