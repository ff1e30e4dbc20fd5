"""Whether HTTP/2 is spoken, and what the handshake of TLS offers (RFC 7301)."""

import importlib.util
from typing import Final

from fairway.server.config import Config, ConfigError

#: What is offered with HTTP/2, most wanted first.
_BOTH: Final = ("h2", "http/1.1")


def available() -> bool:
    """Whether h2 is installed; it is not imported."""
    return importlib.util.find_spec("h2") is not None


def speaks_http2(config: Config) -> bool:
    """Whether clients may ask for HTTP/2 over TLS.

    Raises:
        ConfigError: HTTP/2 is asked for by name, and h2 is not installed.
    """
    for name, wanted in (
        ("http2", config.http2 == "on"),
        ("http2_cleartext", config.http2_cleartext),
    ):
        if wanted and not available():
            raise ConfigError(
                f"{name} is on, and the package h2 is not installed: pip install 'fairway[http2]'"
            )
    return config.http2 != "off" and available()


def protocols(config: Config) -> tuple[str, ...]:
    """What is offered to clients over TLS that ask which protocols there are (RFC 7301).

    Raises:
        ConfigError: As :func:`speaks_http2`.
    """
    return _BOTH if speaks_http2(config) else _BOTH[1:]
