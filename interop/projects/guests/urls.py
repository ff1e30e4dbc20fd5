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
