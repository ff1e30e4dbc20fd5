"""The system check of the setting that belongs to authentication; see :mod:`fairway.checks`."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from fairway.layers import channel_layers


def check_auth_channel_layer(**kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``FAIRWAY_AUTH_CHANNEL_LAYER`` names a channel layer (E020)."""
    alias = getattr(settings, "FAIRWAY_AUTH_CHANNEL_LAYER", None)
    if alias is None or (isinstance(alias, str) and alias in channel_layers):
        return []
    return [
        checks.Error(
            f"FAIRWAY_AUTH_CHANNEL_LAYER is {alias!r}, which is no alias in CHANNEL_LAYERS.",
            hint="Name the layer over which all processes hear of logouts, or None for none.",
            id="fairway.E020",
        )
    ]
