"""Names and their new ones."""

import importlib

import pytest

from fairway.compat.migrate.names import MODULES, Name, is_old, rename, why_not


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channels.layers", Name("channels.layers", "fairway.layers")),
        ("channels.layers.get_channel_layer", Name("channels.layers", "fairway.layers")),
        (
            "channels.generic.websocket.WebsocketConsumer",
            Name("channels.generic.websocket", "fairway.generic.websocket"),
        ),
        (
            "channels_redis.pubsub.RedisPubSubChannelLayer",
            Name(
                "channels_redis.pubsub.RedisPubSubChannelLayer",
                "fairway.layers.redis.RedisChannelLayer",
            ),
        ),
        ("channels_redis.core", None),
        ("channels", None),
        ("channels.http", None),
        ("daphne.server", None),
        ("os.path", None),
    ],
)
def test_rename(old: str, new: Name | None) -> None:
    """The longest part that has a new name counts."""
    assert rename(old) == new


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_modules_exist(module: str) -> None:
    """Every new name is there."""
    importlib.import_module(module)


@pytest.mark.parametrize(
    ("dotted", "reason"),
    [
        (
            "channels.http.AsgiHandler",
            "it is gone since Channels 4; use fairway.http.get_asgi_application",
        ),
        ("channels.other", "Fairway has nothing under this name"),
        (
            "daphne.testing.DaphneProcess",
            (
                "use fairway.testing.ChannelsLiveServerTestCase, or call fairway.compat.install() "
                "before it is imported"
            ),
        ),
    ],
)
def test_why_not(dotted: str, reason: str) -> None:
    """The reason says what to do."""
    assert why_not(dotted) == f"{dotted} was left: {reason}."


def test_why_not_of_others() -> None:
    """There is none for what belongs to nobody here."""
    with pytest.raises(ValueError, match="belongs to none of the packages"):
        why_not("os.path")


def test_is_old() -> None:
    """Only whole names count."""
    assert is_old("daphne")
    assert is_old("channels.x")
    assert not is_old("channels2.x")
    assert not is_old("fairway")
