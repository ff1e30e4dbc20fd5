"""What ``"fairway"`` in ``INSTALLED_APPS`` stands for."""

from django.apps import AppConfig, apps

from fairway.checks import register_checks


class FairwayConfig(AppConfig):
    """Brings ``runserver``, ``runworker`` and the system checks into a project."""

    name = "fairway"
    label = "fairway"
    verbose_name = "Fairway"

    def ready(self) -> None:
        """Register the system checks, and let every process tell when a user's access ends."""
        register_checks()
        if apps.is_installed("django.contrib.auth"):
            # Not at the top: it imports Django's models, which are not loaded there yet.
            from fairway.auth.revocation import connect_signals  # noqa: PLC0415

            connect_signals()
