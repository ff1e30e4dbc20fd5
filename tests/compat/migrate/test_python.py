"""A whole Python file."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.compat.migrate.python import rewrite_python

OLD = '''\
"""An ASGI application, see channels.layers."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
http = get_asgi_application()

import chat.routing  # noqa: E402

application = ProtocolTypeRouter(
    {"http": http, "websocket": AuthMiddlewareStack(URLRouter(chat.routing.urlpatterns))}
)
'''


def test_asgi() -> None:
    """The usual ``asgi.py`` needs nothing else."""
    result = rewrite_python(OLD)
    assert result.notes == ()
    new = OLD.replace("from channels", "from fairway").replace("django.core.asgi", "fairway.http")
    assert result.text == new
    assert rewrite_python(new).text == new


@pytest.mark.parametrize("source", ["", "x = 1\n", "print 'channels'[0\n".replace("channels", "a")])
def test_nothing_to_do(source: str) -> None:
    """A file without any of the names is not even read as Python."""
    result = rewrite_python(source)
    assert (result.text, result.notes) == (source, ())


@pytest.mark.parametrize(
    "source", ["print 'channels'\n", "channels = [\n", "channels = '\0'\n"], ids=range(3)
)
def test_no_python(source: str) -> None:
    """A file that this Python cannot read is left with a note."""
    result = rewrite_python(source)
    assert result.text == source
    (note,) = result.notes
    assert note.reason.startswith("The file was left: this Python cannot read it (")


PIECES = st.sampled_from(
    [
        "import channels.layers",
        "import channels.layers as l",
        "import channels",
        "import daphne.server",
        "from channels.db import a, b as c",
        "from channels import layers",
        "from channels_redis.core import RedisChannelLayer",
        "from channels_redis.pubsub import RedisPubSubChannelLayer",
        "x = channels.layers.y",
        "channels = 1",
        "x = 'channels.layers.z'",
        "é = 'daphne'",
        "INSTALLED_APPS = ['a', 'daphne', 'channels']",
        "INSTALLED_APPS = [\n  'daphne',\n  'b', 'channels',  # c\n]",
        "OTHER_APPS = [\n 'channels', 'channels']",
        "DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 1",
        "DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = (\n  2)",
        "FAIRWAY = {}",
        "if a:\n  from channels.auth import d",
    ]
)


@given(st.lists(PIECES, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_any_file(pieces: list[str], end: str) -> None:
    """What comes out is Python, and a second time nothing is changed any more."""
    source = "\n".join([*pieces, ""]).replace("\n", end)
    once = rewrite_python(source)
    ast.parse(once.text)
    assert rewrite_python(once.text).text == once.text
    assert once.text.count("\n") == once.text.count(end)
