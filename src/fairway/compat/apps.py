"""The apps that ``INSTALLED_APPS`` may keep from Channels."""

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    """``"channels"``: an app with the ``runworker`` command."""

    name = "channels"
    verbose_name = "Channels"


class DaphneConfig(AppConfig):
    """``"daphne"``: an app whose ``runserver`` serves HTTP and WebSockets on Fairway's server."""

    name = "daphne"
    verbose_name = "Daphne"
