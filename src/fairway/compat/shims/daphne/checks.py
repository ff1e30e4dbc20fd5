"""``daphne.checks``: the order of ``INSTALLED_APPS``."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error


def check_daphne_installed(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Find out whether ``runserver`` would be that of ``staticfiles`` (daphne.E001)."""
    names = [config.name for config in apps.get_app_configs()]
    static = "django.contrib.staticfiles"
    if "daphne" in names and static in names and names.index(static) < names.index("daphne"):
        return [
            Error(
                "Daphne must be listed before django.contrib.staticfiles in INSTALLED_APPS.",
                id="daphne.E001",
            )
        ]
    return []
