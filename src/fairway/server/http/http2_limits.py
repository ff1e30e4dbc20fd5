"""What a client of HTTP/2 may do, from the configuration."""

from typing import Final

from fairway.server.context import Context
from fairway.wire.http2_events import HTTP2Limits, Limit

#: The options that the limits are.
OPTIONS: Final = {
    Limit.STREAMS: "http2_max_streams",
    Limit.RESETS: "http2_max_resets",
    Limit.CONTROL_FRAMES: "http2_max_control_frames",
    Limit.TARGET: "max_request_line",
    Limit.HEADER_SIZE: "max_header_size",
    Limit.HEADER_COUNT: "max_header_count",
    Limit.BODY_SIZE: "max_body_size",
}


def limits_of(context: Context) -> HTTP2Limits:
    """What the configuration allows a client."""
    config = context.config
    return HTTP2Limits(
        streams=config.http2_max_streams,
        resets=config.http2_max_resets,
        control_frames=config.http2_max_control_frames,
        target=config.max_request_line,
        header_size=config.max_header_size,
        header_count=config.max_header_count,
        body_size=config.max_body_size or None,
        stream_window=config.http2_stream_window,
        connection_window=config.http2_connection_window,
    )
