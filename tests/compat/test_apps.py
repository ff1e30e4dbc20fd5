"""The apps that ``INSTALLED_APPS`` may keep from Channels."""

import pytest
from django.apps import AppConfig

from fairway.compat.apps import ChannelsConfig, DaphneConfig


@pytest.mark.parametrize(
    ("config", "name", "verbose_name"),
    [(ChannelsConfig, "channels", "Channels"), (DaphneConfig, "daphne", "Daphne")],
)
def test_names(config: type[AppConfig], name: str, verbose_name: str) -> None:
    """The apps keep the names that Channels and Daphne gave them."""
    assert (config.name, config.verbose_name) == (name, verbose_name)
