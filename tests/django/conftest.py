"""Servers for tests of Django's side."""

from tests.server.conftest import logs, serve

__all__ = ["logs", "serve"]
