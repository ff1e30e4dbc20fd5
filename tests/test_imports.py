"""What a process imports that it does not need, which every command and every test waits for."""

import subprocess
import sys

import pytest

from fairway import server

#: What a project with consumers has in its modules, behind ``django.setup()``.
PROJECT = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "fairway"],
    CHANNEL_LAYERS={"default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"}},
)
import django
django.setup()
from fairway.auth import AuthMiddlewareStack
from fairway.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from fairway.layers import get_channel_layer
from fairway.routing import ProtocolTypeRouter, URLRouter
from fairway.security.websocket import AllowedHostsOriginValidator
get_channel_layer()
print(*sorted(sys.modules))
"""


def test_consumers_bring_no_server() -> None:
    """A project under another server, or a command, imports neither ours nor its configuration."""
    command = [sys.executable, "-c", PROJECT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = set(done.stdout.split())
    assert "fairway.generic.websocket" in imported
    unwanted = {
        *("fairway.server.server", "fairway.server.context", "fairway.server.config"),
        *(
            "fairway.server.cli",
            "fairway.wire.websocket",
            "fairway.wire.http1",
            "fairway.wire.http2",
        ),
        *("fairway.layers.redis", "fairway.layers.local", "fairway.testing"),
        *("websockets", "httptools", "opentelemetry", "hiredis"),
    }
    assert imported & unwanted == set()


@pytest.mark.parametrize("name", server.__all__)
def test_names_of_the_server(name: str) -> None:
    """They are imported from the package as if they stood in it."""
    assert getattr(server, name) is not None


def test_no_such_name_in_the_server() -> None:
    """Any other name is none of the package's."""
    with pytest.raises(
        AttributeError, match=r"^module 'fairway\.server' has no attribute 'Sever'$"
    ):
        _ = server.Sever
