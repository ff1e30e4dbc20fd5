"""One page: a sync view that speaks to a room."""

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.urls import path

from talk.stack import get_channel_layer


def say(request: HttpRequest, room: str, text: str) -> HttpResponse:
    """Say it to the room."""
    layer = get_channel_layer()
    assert layer is not None
    async_to_sync(layer.group_send)(room, {"type": "room.said", "text": text})
    return HttpResponse("said")


urlpatterns = [path("say/<slug:room>/<slug:text>/", say)]
