"""The WebSockets' addresses: each page opens one socket, to the consumer that suits the page."""

from django.urls import path

from . import consumers

websocket_urlpatterns = [
    path("ws/", consumers.SiteConsumer.as_asgi()),
    path("ws/rooms/<int:room_id>/", consumers.RoomConsumer.as_asgi()),
    path("ws/people/<int:user_id>/", consumers.PrivateConsumer.as_asgi()),
]
