"""What ``"fairway"`` in ``INSTALLED_APPS`` stands for."""

from django.apps import AppConfig

from fairway.checks import register_checks


class FairwayConfig(AppConfig):
    """Brings ``runserver``, ``runworker`` and the system checks into a project."""

    name = "fairway"
    label = "fairway"
    verbose_name = "Fairway"

    def ready(self) -> None:
        """Register the system checks."""
        register_checks()
