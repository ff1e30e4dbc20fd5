"""``djangochannelsrestframework``: the REST of a model over a socket, and news of its changes."""

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

pages: Any = get_asgi_application()

from django.contrib.auth.models import Group  # noqa: E402
from djangochannelsrestframework import mixins, permissions  # noqa: E402
from djangochannelsrestframework.decorators import action  # noqa: E402
from djangochannelsrestframework.generics import GenericAsyncAPIConsumer  # noqa: E402
from djangochannelsrestframework.observer import model_observer  # noqa: E402
from rest_framework.serializers import ModelSerializer  # noqa: E402


class GroupSerializer(ModelSerializer):
    """A group as JSON."""

    class Meta:
        """Two of its fields."""

        model = Group
        fields = ("id", "name")


class GroupConsumer(
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DeleteModelMixin,
    GenericAsyncAPIConsumer,
):
    """Django's user groups, for anyone."""

    queryset = Group.objects.all()
    serializer_class = GroupSerializer
    permission_classes = (permissions.AllowAny,)

    @model_observer(Group, serializer_class=GroupSerializer)
    async def changes(self, message: Any, **kwargs: Any) -> None:
        """Pass on what happened to a group."""
        await self.send_json({"changed": message})

    @action()
    async def watch(self, **kwargs: Any) -> tuple[dict[str, bool], int]:
        """Ask for news."""
        await self.changes.subscribe()
        return {"watching": True}, 200


application = ProtocolTypeRouter(
    {"http": pages, "websocket": URLRouter([path("ws/", GroupConsumer.as_asgi())])}
)
