"""The interface server: HTTP and WebSockets on one port, for any ASGI application.

It knows ASGI and not Django. The protocols themselves are in :mod:`fairway.wire`; here are sockets,
timers and tasks.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fairway.server.application.lifespan import LifespanFailed
    from fairway.server.config import Config, ConfigError
    from fairway.server.observing.access import AccessLog, AccessRecord
    from fairway.server.server import Server

__all__ = ["AccessLog", "AccessRecord", "Config", "ConfigError", "LifespanFailed", "Server"]

_HOMES: Final = {
    "AccessLog": "fairway.server.observing.access",
    "AccessRecord": "fairway.server.observing.access",
    "Config": "fairway.server.config",
    "ConfigError": "fairway.server.config",
    "LifespanFailed": "fairway.server.application.lifespan",
    "Server": "fairway.server.server",
}


def __getattr__(name: str) -> Any:
    # Consumers need the threads that are lent to them, from this package and under any server. All
    # of it would be half of what they import, for every command of a project and every test.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
