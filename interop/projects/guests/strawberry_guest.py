"""``strawberry-graphql`` with its Channels support: queries by HTTP, subscriptions by socket."""

from collections.abc import AsyncGenerator
from typing import Any

import strawberry
from django.core.asgi import get_asgi_application

pages: Any = get_asgi_application()

from strawberry.channels import GraphQLProtocolTypeRouter  # noqa: E402

ROOM = "harbour"


@strawberry.type
class Query:
    """What one may ask."""

    @strawberry.field
    def boats(self) -> list[str]:
        """The boats."""
        return ["Ariel", "Thermopylae"]


@strawberry.type
class Mutation:
    """What one may do."""

    @strawberry.mutation
    async def say(self, info: strawberry.Info, text: str) -> bool:
        """Say something to those who listen."""
        consumer = info.context["request"].consumer
        await consumer.channel_layer.group_send(ROOM, {"type": "chat.said", "text": text})
        return True


@strawberry.type
class Subscription:
    """What one may listen to."""

    @strawberry.subscription
    async def count(self, target: int) -> AsyncGenerator[int, None]:
        """Count."""
        for number in range(target):
            yield number

    @strawberry.subscription
    async def heard(self, info: strawberry.Info) -> AsyncGenerator[str, None]:
        """What is said."""
        consumer = info.context["ws"]
        async with consumer.listen_to_channel("chat.said", groups=[ROOM]) as messages:
            yield "(listening)"
            async for message in messages:
                yield message["text"]


schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
application = GraphQLProtocolTypeRouter(
    schema, django_application=pages, allowed_origins=["http://127.0.0.1"]
)
