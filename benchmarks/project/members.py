"""Consumers for those who are logged in; they need the apps that only some turns install."""

import os
from typing import TYPE_CHECKING

from project.consumers import EchoConsumer, GroupConsumer
from project.stack import AsyncWebsocketConsumer

# Not in `stack`: Channels' module imports the models of installed apps.
if TYPE_CHECKING or os.environ["BENCH_STACK"] == "fairway":
    from fairway.auth import AuthMiddlewareStack
else:
    from channels.auth import AuthMiddlewareStack

__all__ = ["AuthMiddlewareStack", "MemberConsumer", "MemberInGroupConsumer"]


class Members(AsyncWebsocketConsumer):
    """Lets in whoever is logged in, and nobody else."""

    async def connect(self) -> None:
        if self.scope["user"].is_authenticated:
            await self.accept()
        else:
            await self.close()


class MemberConsumer(Members, EchoConsumer):
    """Sends back what a member says."""


class MemberInGroupConsumer(Members, GroupConsumer):
    """Tells the whole group what a member says."""
