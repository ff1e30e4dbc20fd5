"""What a Django developer writes, and nothing that one would write for a benchmark only."""

from typing import TypedDict

from project.stack import AsyncWebsocketConsumer, WebsocketConsumer

GROUP = "bench"


class BenchMessage(TypedDict):
    type: str
    text: str


class EchoConsumer(AsyncWebsocketConsumer):
    """Sends back what it receives."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class SyncEchoConsumer(WebsocketConsumer):
    """The same in sync code."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class GroupConsumer(AsyncWebsocketConsumer):
    """Tells the whole group what it receives; each member's handler passes it on to its client."""

    groups = [GROUP]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(GROUP, {"type": "bench.message", "text": text_data})

    async def bench_message(self, event: BenchMessage) -> None:
        await self.send(text_data=event["text"])


class BroadcastConsumer(AsyncWebsocketConsumer):
    """The same without a handler: the message is what the clients receive (Fairway only)."""

    groups = [GROUP]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(GROUP, {"type": "websocket.send", "text": text_data})
