"""The interface server: HTTP and WebSockets on one port, for any ASGI application.

It knows ASGI and not Django. The protocols themselves are in :mod:`fairway.wire`; here are sockets,
timers and tasks.
"""

from fairway.server.application.lifespan import LifespanFailed
from fairway.server.config import Config, ConfigError
from fairway.server.observing.access import AccessLog, AccessRecord
from fairway.server.server import Server

__all__ = ["AccessLog", "AccessRecord", "Config", "ConfigError", "LifespanFailed", "Server"]
