"""The app that projects install."""

from django.apps import apps
from django.core.checks.registry import registry

from fairway.apps import FairwayConfig
from fairway.checks import (
    TAG,
    check_asgi_application,
    check_channel_layers,
    check_runserver,
    check_server_options,
)


def test_the_app_is_found_by_its_package() -> None:
    """``"fairway"`` in ``INSTALLED_APPS`` means this configuration."""
    config = apps.get_app_config("fairway")
    assert type(config) is FairwayConfig
    assert (config.name, config.verbose_name) == ("fairway", "Fairway")


def test_the_app_brings_the_checks() -> None:
    """An installed app has its checks registered, under a tag of their own."""
    assert registry.tag_exists(TAG)
    ours: set[object] = {check for check in registry.get_checks() if TAG in check.tags}
    assert ours >= {
        check_asgi_application,
        check_channel_layers,
        check_runserver,
        check_server_options,
    }
