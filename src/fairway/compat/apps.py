"""The apps that ``INSTALLED_APPS`` may keep from Channels."""

from django.apps import AppConfig
from django.core import checks

from fairway.apps import set_up
from fairway.compat.shims.daphne.checks import check_daphne_installed


class ChannelsConfig(AppConfig):
    """``"channels"``: an app that brings what ``"fairway"`` brings, but for ``runserver``."""

    name = "channels"
    verbose_name = "Channels"

    def ready(self) -> None:
        """Do what the app ``"fairway"`` does, which need not be there."""
        set_up()


class DaphneConfig(AppConfig):
    """``"daphne"``: an app that brings what ``"fairway"`` brings, but for ``runworker``.

    Its ``runserver`` is Fairway's. Many projects of Channels 4 list no other of these apps.
    """

    name = "daphne"
    verbose_name = "Daphne"

    def ready(self) -> None:
        """Do what the app ``"fairway"`` does, and check that its ``runserver`` wins."""
        set_up()
        checks.register(check_daphne_installed, checks.Tags.staticfiles)
