"""The consumers: a room that is async, the same one sync, and a job that a worker does."""

from typing import Any

from asgiref.sync import async_to_sync

from talk.stack import AsyncConsumer, AsyncJsonWebsocketConsumer, JsonWebsocketConsumer


class Room(AsyncJsonWebsocketConsumer):
    """Says to the whole room what its client says, and hands out jobs."""

    async def connect(self) -> None:
        """Enter, and tell the client under which name the layer knows it."""
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send_json({"channel": self.channel_name})

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Say something to all, to one, or ask for a job."""
        match content:
            case {"say": text}:
                await self.channel_layer.group_send(self.room, {"type": "room.said", "text": text})
            case {"to": channel, "text": text}:
                await self.channel_layer.send(channel, {"type": "room.said", "text": text})
            case {"job": text}:
                job = {"type": "shout", "text": text, "reply": self.channel_name}
                await self.channel_layer.send("jobs", job)
            case {"leave": True}:
                await self.channel_layer.group_discard(self.room, self.channel_name)
                await self.send_json({"left": self.room})

    async def room_said(self, event: dict[str, Any]) -> None:
        """Pass on what the layer brought."""
        await self.send_json({"said": event["text"]})

    async def disconnect(self, code: int) -> None:
        """Tell those who stay."""
        await self.channel_layer.group_discard(self.room, self.channel_name)
        await self.channel_layer.group_send(self.room, {"type": "room.said", "text": "(gone)"})


class SyncRoom(JsonWebsocketConsumer):
    """The same room for those who write sync code."""

    def connect(self) -> None:
        """Enter."""
        self.room = self.scope["url_route"]["kwargs"]["room"]
        async_to_sync(self.channel_layer.group_add)(self.room, self.channel_name)
        self.accept()
        self.send_json({"channel": self.channel_name})

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Say something to all."""
        message = {"type": "room.said", "text": content["say"]}
        async_to_sync(self.channel_layer.group_send)(self.room, message)

    def room_said(self, event: dict[str, Any]) -> None:
        """Pass on what the layer brought."""
        self.send_json({"said": event["text"]})

    def disconnect(self, code: int) -> None:
        """Leave."""
        async_to_sync(self.channel_layer.group_discard)(self.room, self.channel_name)


class Worker(AsyncConsumer):
    """What ``manage.py runworker jobs`` does with the jobs."""

    async def shout(self, message: dict[str, Any]) -> None:
        """Do the job and send the result to whoever asked for it."""
        answer = {"type": "room.said", "text": message["text"].upper()}
        await self.channel_layer.send(message["reply"], answer)
