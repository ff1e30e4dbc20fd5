"""The pages of whichever package is the guest."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

urlpatterns: list[Any] = []

if settings.GUEST == "reactpy":
    urlpatterns = [path("reactpy/", include("reactpy_django.http.urls"))]

if settings.GUEST == "eventstream":
    from django_eventstream import send_event

    def say(request: HttpRequest, text: str) -> HttpResponse:
        """Send an event to all who listen."""
        send_event("harbour", "message", {"text": text})
        return HttpResponse("said")

    urlpatterns = [
        path("say/<slug:text>/", say),
        path("events/", include("django_eventstream.urls"), {"channels": ["harbour"]}),
    ]

if settings.GUEST == "sentry":
    from guests.sentry_guest import fail, heard

    urlpatterns = [path("fail/", fail), path("heard/", heard)]

if settings.GUEST == "ddtrace":
    from guests.ddtrace_guest import traced

    urlpatterns = [path("traced/", traced)]

if settings.GUEST == "tokens":
    from guests.tokens_guest import tokens

    urlpatterns = [path("tokens/", tokens)]

if settings.GUEST == "turbo":
    from guests import turbo_guest

    urlpatterns = [
        path("name/", turbo_guest.name),
        path("say/<slug:text>/", turbo_guest.say),
    ]
