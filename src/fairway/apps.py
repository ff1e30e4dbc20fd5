"""What ``"fairway"`` in ``INSTALLED_APPS`` stands for."""

import logging
from typing import Final

from django.apps import AppConfig, apps

from fairway.checks import register_checks
from fairway.http import HandshakeHint
from fairway.metrics import register_sources

_HANDSHAKE_HINT: Final = HandshakeHint()


class FairwayConfig(AppConfig):
    """Brings ``runserver``, ``runworker`` and the system checks into a project."""

    name = "fairway"
    label = "fairway"
    verbose_name = "Fairway"

    def ready(self) -> None:
        """Do :func:`set_up`."""
        set_up()


def set_up() -> None:
    """Register the system checks, and let every process tell when a user's access ends.

    What layers and database pools count is shown by the server, where that shows anything. The log
    of a WebSocket that was not found says why, where it came as a plain request. Done
    again, it changes nothing.
    """
    register_checks()
    register_sources()
    # On the logger, as its handlers are the project's; the same filter is added once only.
    logging.getLogger("django.request").addFilter(_HANDSHAKE_HINT)
    if apps.is_installed("django.contrib.auth"):
        # Not at the top: it imports Django's models, which are not loaded there yet.
        from fairway.auth.revocation import connect_signals  # noqa: PLC0415

        connect_signals()
