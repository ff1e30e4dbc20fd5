"""The app as Django loads it."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Connects the signal receivers once all models are there."""

    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the receivers; importing connects them."""
        from . import signals  # noqa: F401, PLC0415
