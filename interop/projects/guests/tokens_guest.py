"""``channels-auth-token-middlewares``: who comes with a token is somebody."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

pages: Any = get_asgi_application()

from channels_auth_token_middlewares.middleware import (  # noqa: E402
    DRFAuthTokenMiddlewareStack,
    QueryStringDRFAuthTokenMiddleware,
    QueryStringSimpleJWTAuthTokenMiddleware,
)
from django.contrib.auth.models import User  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402


def tokens(request: HttpRequest) -> JsonResponse:
    """The tokens of a new user."""
    user = User.objects.create_user("ada")
    return JsonResponse(
        {"drf": Token.objects.create(user=user).key, "jwt": str(AccessToken.for_user(user))}
    )


class Who(AsyncJsonWebsocketConsumer):
    """Says who has come."""

    async def connect(self) -> None:
        """Accept anyone."""
        await self.accept()
        await self.send_json({"user": self.scope["user"].username})


who = Who.as_asgi()
sockets = [
    path("drf/", QueryStringDRFAuthTokenMiddleware(who, query_param="token")),
    path("jwt/", QueryStringSimpleJWTAuthTokenMiddleware(who, query_param="token")),
    path("stack/", DRFAuthTokenMiddlewareStack(who)),
]
application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter(sockets)})
