"""Imports of every style."""

import pytest

from tests.compat.migrate.rewriting import left, rewritten


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from channels.layers import get_channel_layer",
            "from fairway.layers import get_channel_layer",
        ),
        ("from channels.layers import *", "from fairway.layers import *"),
        ("from  channels.db  import a as b , c # x", "from  fairway.db  import a as b , c # x"),
        (
            "from channels.auth import (  # x\n    a,\n    b,\n)",
            "from fairway.auth import (  # x\n    a,\n    b,\n)",
        ),
        ("from channels import layers, db as d", "from fairway import layers, db as d"),
        ("from channels import DEFAULT_CHANNEL_LAYER", "from fairway import DEFAULT_CHANNEL_LAYER"),
        ("from channels.generic import websocket", "from fairway.generic import websocket"),
        (
            "from channels.management.commands.runworker import Command",
            "from fairway.management.commands.runworker import Command",
        ),
        (
            "from channels_redis.core import ChannelFull",
            "from fairway.exceptions import ChannelFull",
        ),
        (
            "from channels_redis.core import RedisChannelLayer",
            "from fairway.layers.redis import RedisChannelLayer",
        ),
        (
            "from channels_redis.pubsub import RedisPubSubChannelLayer",
            "from fairway.layers.redis import RedisChannelLayer as RedisPubSubChannelLayer",
        ),
        (
            "from channels_redis.pubsub import RedisPubSubChannelLayer as Layer",
            "from fairway.layers.redis import RedisChannelLayer as Layer",
        ),
        (
            "from channels_redis.serializers import registry",
            "from fairway.layers.serializers import registry",
        ),
        ("import channels.layers as layers", "import fairway.layers as layers"),
        ("import os, channels.db as d, re", "import os, fairway.db as d, re"),
        (
            "from django.core.asgi import get_asgi_application",
            "from fairway.http import get_asgi_application",
        ),
        (
            "from django.core.asgi import get_asgi_application as get",
            "from fairway.http import get_asgi_application as get",
        ),
        (
            "import channels.layers\nlayer = channels.layers.get_channel_layer().send",
            "import fairway.layers\nlayer = fairway.layers.get_channel_layer().send",
        ),
        (
            "import channels\nimport channels.db\nchannels.DEFAULT_CHANNEL_LAYER, channels.db.a",
            "import fairway\nimport fairway.db\nfairway.DEFAULT_CHANNEL_LAYER, fairway.db.a",
        ),
        (
            "def f():\n    from channels.db import a\n    if a:\n        import channels.auth as b",
            "def f():\n    from fairway.db import a\n    if a:\n        import fairway.auth as b",
        ),
        ("é = 1; from channels.db import a", "é = 1; from fairway.db import a"),
    ],
)
def test_rewritten(old: str, new: str) -> None:
    """Only the names change."""
    assert rewritten(old) == new


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    """Line ends stay as they are."""
    old = f"import os{end}from channels.db import a{end}"
    assert rewritten(old) == f"import os{end}from fairway.db import a{end}"


@pytest.mark.parametrize(
    "source",
    [
        "from .channels import a",
        "from . import channels",
        "from mine.channels import layers",
        "import mine.channels",
        "channels = ['a']\nprint(channels.layers)",
        "from django.core.asgi import ASGIHandler, get_asgi_application",
        "from channels2 import a",
    ],
)
def test_others(source: str) -> None:
    """What only looks alike is left, without a word."""
    assert left(source) == []


INSIDE = "it is a part of the inside of channels_redis; see fairway.layers.redis"
OURS = (
    "Fairway's server is fairway.server.Server, with other arguments; under its old name it works "
    "where fairway.compat.install() was called"
)


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        (
            "from channels.http import AsgiHandler",
            1,
            (
                "channels.http.AsgiHandler was left: it is gone since Channels 4; "
                "use fairway.http.get_asgi_application."
            ),
        ),
        (
            "from channels import (\n  __version__, db)",
            2,
            (
                "channels.__version__ was left: Fairway counts its own versions; "
                "ask for what you need instead."
            ),
        ),
        (
            "from channels_redis.core import RedisChannelLayer, BoundedQueue",
            1,
            f"channels_redis.core.BoundedQueue was left: {INSIDE}.",
        ),
        ("from channels_redis.core import *", 1, f"channels_redis.core was left: {INSIDE}."),
        ("from daphne.server import Server", 1, f"daphne.server.Server was left: {OURS}."),
        ("import daphne.server", 1, f"daphne.server was left: {OURS}."),
        ("import daphne.server as s", 1, f"daphne.server was left: {OURS}."),
        (
            "import channels.layers\ndef f(channels): return channels.layers",
            1,
            "The imports of channels were left: the file uses 'channels' for something else, too.",
        ),
        (
            "import channels.layers\nfairway = channels.layers",
            1,
            "The imports of channels were left: the file uses 'fairway' for something else.",
        ),
        (
            "import channels\nif channels.__version__ > '4': pass",
            1,
            (
                "In line 2: channels.__version__ was left: Fairway counts its own versions; "
                "ask for what you need instead."
            ),
        ),
        (
            "import channels\nf(channels)",
            1,
            "In line 2: channels was left: Fairway has nothing under this name.",
        ),
        (
            "import channels.layers\nx = (channels\n  .layers.a)",
            1,
            "The imports of channels were left: see line 2, which is unusual.",
        ),
        (
            "from channels . db import a",
            1,
            "This import of channels.db was left: it is written in an unusual way.",
        ),
        (
            "import channels . db as d",
            1,
            "This import of channels.db was left: it is written in an unusual way.",
        ),
    ],
)
def test_left(source: str, line: int, reason: str) -> None:
    """What is not understood is left whole, with a note."""
    assert left(source) == [(line, reason)]
