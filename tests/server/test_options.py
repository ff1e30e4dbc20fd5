"""A value that an option cannot have is refused, with what it may have."""

import pytest

from fairway.server.config import Config
from fairway.server.options import ConfigError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("host", 8000, "host must be text, not 8000."),
        ("port", True, "port must be a whole number, not True."),
        ("port", 65536, "port must be at most 65535, not 65536."),
        ("backlog", 0, "backlog must be at least 1, not 0."),
        ("ping_interval", float("inf"), "ping_interval must be a number of seconds, not inf."),
        ("proxy_headers", 1, "proxy_headers must be True or False, not 1."),
        ("endpoints", "unix:/x", "endpoints must be a list of texts, not 'unix:/x'."),
        ("loop", "trio", "loop must be one of auto, uvloop, asyncio, not 'trio'."),
        ("root_path", None, "root_path must be text, not None."),
        (
            "request_id_header",
            "X Request",
            "request_id_header must be the name of a header, not 'X Request'.",
        ),
        (
            "request_id_header",
            "",
            "request_id_header must be the name of a header; request_ids switches it off.",
        ),
        (
            "proxy_headers_host",
            "X-Real-IP:",
            "proxy_headers_host must be the name of a header, not 'X-Real-IP:'.",
        ),
        ("health_path", "-", "health_path must begin with a slash, as /- does, not '-'."),
    ],
)
def test_refused(name: str, value: object, message: str) -> None:
    """The message names the option, what it takes and what it got."""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping({name: value})
    assert str(caught.value) == message
