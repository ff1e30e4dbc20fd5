"""What a client of HTTP/2 may do, from the configuration."""

import asyncio

from fairway.server import Config
from fairway.server.config import options
from fairway.server.context import Context
from fairway.server.http.http2_limits import OPTIONS, limits_of
from fairway.wire.http2_events import Limit
from tests.server.applications import path


def test_options() -> None:
    """Each limit is an option that says what is answered beyond it."""
    assert set(OPTIONS) == set(Limit)
    answers = {option.name: option.answer for option in options()}
    assert all(answers[name] for name in OPTIONS.values())


async def test_limits() -> None:
    """Each option has its place."""
    config = Config(
        http2_max_streams=1,
        http2_max_resets=2,
        http2_max_control_frames=3,
        max_request_line=4,
        max_header_size=5,
        max_header_count=6,
        max_body_size=7,
        http2_stream_window=20_000,
        http2_connection_window=70_000,
    )
    context = Context(path, config, asyncio.get_running_loop(), None)
    limits = limits_of(context)
    context.close()
    assert (limits.streams, limits.resets, limits.control_frames, limits.target) == (1, 2, 3, 4)
    assert (limits.header_size, limits.header_count, limits.body_size) == (5, 6, 7)
    assert (limits.stream_window, limits.connection_window) == (20_000, 70_000)


async def test_none() -> None:
    """0 is no limit."""
    context = Context(path, Config(max_body_size=0), asyncio.get_running_loop(), None)
    assert limits_of(context).body_size is None
    context.close()
