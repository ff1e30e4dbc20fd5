"""Plain Django over HTTP, as an ASGI application."""

import django
from django.core.handlers.asgi import ASGIHandler


def get_asgi_application() -> ASGIHandler:
    """Set Django up and return the ASGI application that serves its views.

    Call it in ``asgi.py`` before importing consumers: importing models needs a Django that is set
    up. The result is Django's own handler; it becomes a subclass that runs sync views and their
    middleware in one hop to a warm thread, under this same name.
    """
    django.setup(set_prefix=False)
    return ASGIHandler()
