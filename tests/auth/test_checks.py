"""The check of the setting."""

import pytest
from pytest_django import Settings

from fairway.auth.checks import check_auth_channel_layer


@pytest.mark.parametrize("alias", [None, "default", "news"])
def test_good(settings: Settings, alias: str | None) -> None:
    """A layer, or none."""
    memory = {"BACKEND": "fairway.layers.InMemoryChannelLayer"}
    settings.CHANNEL_LAYERS = {"default": memory, "news": memory}
    settings.FAIRWAY_AUTH_CHANNEL_LAYER = alias
    assert check_auth_channel_layer() == []


def test_not_set(settings: Settings) -> None:
    """Who says nothing has made no mistake, also without layers."""
    settings.CHANNEL_LAYERS = {}
    assert check_auth_channel_layer() == []


@pytest.mark.parametrize("alias", ["news", "", 7, ["default"]])
def test_bad(settings: Settings, alias: object) -> None:
    """What is no layer's alias is found at start."""
    settings.FAIRWAY_AUTH_CHANNEL_LAYER = alias
    (message,) = check_auth_channel_layer()
    assert message.id == "fairway.E020"
    assert message.msg == (
        f"FAIRWAY_AUTH_CHANNEL_LAYER is {alias!r}, which is no alias in CHANNEL_LAYERS."
    )
    assert message.hint == (
        "Name the layer over which all processes hear of logouts, or None for none."
    )
