"""`manage.py demo`: people and rooms to try the chat with."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chat.demo import PASSWORD, PEOPLE, fill


class Command(BaseCommand):
    """Runs as often as you like; it only adds what is missing."""

    help = "Add the demo users and rooms that are not there yet."

    def handle(self, **options: Any) -> None:
        """Fill the database, unless it may be a real one."""
        if not settings.DEBUG:
            raise CommandError("The demo users' password is public: this needs CHAT_DEBUG=1.")
        fill()
        self.stdout.write(f"Log in as {', '.join(PEOPLE)}; the password is {PASSWORD}")
