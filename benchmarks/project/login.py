"""Makes the database, a user and a session: ``python -m project.login`` prints the cookie."""

from importlib import import_module

import django
from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.core.management import call_command
from django.http import HttpRequest


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore()
    login(request, get_user_model().objects.create(username="member"))
    request.session.save()
    print(f"{settings.SESSION_COOKIE_NAME}={request.session.session_key}")


if __name__ == "__main__":
    main()
