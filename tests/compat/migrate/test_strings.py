"""Dotted names in strings."""

import pytest

from tests.compat.migrate.rewriting import left, rewritten


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "mock.patch('channels.layers.get_channel_layer')",
            "mock.patch('fairway.layers.get_channel_layer')",
        ),
        ('x = "channels.auth"', 'x = "fairway.auth"'),
        ('x = r"""channels.auth"""', 'x = r"""fairway.auth"""'),
        (
            '{"BACKEND": "channels_redis.core.RedisChannelLayer"}',
            '{"BACKEND": "fairway.layers.redis.RedisChannelLayer"}',
        ),
        (
            '{"BACKEND": "channels.layers.InMemoryChannelLayer"}',
            '{"BACKEND": "fairway.layers.InMemoryChannelLayer"}',
        ),
        (
            'x = "é", "channels_redis.pubsub.RedisPubSubChannelLayer"',
            'x = "é", "fairway.layers.redis.RedisChannelLayer"',
        ),
    ],
)
def test_rewritten(old: str, new: str) -> None:
    """Quotes and prefixes stay."""
    assert rewritten(old) == new


@pytest.mark.parametrize(
    "source",
    [
        '"""channels.layers"""',
        'x = "see channels.layers"',
        'x = "channels"',
        'x = "channels.add_message"',
        'x = "mine.channels.layers"',
        'x = f"channels.layers.{name}"',
        'x = b"channels.layers"',
        'x = "channels.views.index"',
    ],
)
def test_others(source: str) -> None:
    """Docstrings, sentences, permissions and URLs of somebody's own are left without a word."""
    assert left(source) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            'import_string("channels.http.AsgiHandler")',
            (
                "channels.http.AsgiHandler was left: it is gone since Channels 4; "
                "use fairway.http.get_asgi_application."
            ),
        ),
        (
            'x = "channels." "layers"',
            "'channels.layers' was left: it is written in an unusual way.",
        ),
        (
            'logging.getLogger("daphne.server")',
            (
                "'daphne.server' was left: if it names a logger, Fairway's are 'fairway.server' "
                "and 'fairway.layers', and 'django.channels.server' for runserver."
            ),
        ),
        (
            'INSTALLED_APPS.insert(0, "daphne")',
            (
                "'daphne' was left: if it names a logger, Fairway's are 'fairway.server' "
                "and 'fairway.layers', and 'django.channels.server' for runserver. If it names an "
                "app, that is 'fairway' now."
            ),
        ),
    ],
)
def test_left(source: str, reason: str) -> None:
    """What may be meant is noted."""
    assert left(source) == [(1, reason)]
