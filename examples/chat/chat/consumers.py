"""What is live: one WebSocket per page.

Every page hears what concerns its reader wherever they are (`SiteConsumer`). The page of a room
(`RoomConsumer`) or of a private conversation (`PrivateConsumer`) hears what is said there too,
on the same socket, so a page has one connection to look after and one moment when it is back.

What a page sends, and what it hears; both are JSON objects with a `type`:

    ping                   → pong
    load                   → messages   the last ones
    load before=id         → messages   older than one that it has
    load after=id          → messages   newer than one that it has, so that after a lost
                                        connection nothing is missing
    say text= key=         → message (to the whole room) or private (to both people)
                             or refused (to the sender alone)
    read                   → unread     a private conversation has been seen

and unasked: `welcome`, `people`, `joined`, `left`, `private`, `unread`, `room`, and after an
outage `missed`, when the page should load what it may lack, and `rooms`. Anything else is
`refused`, and who sends too much has to wait; see flood.py.
"""

import asyncio
import random
import time
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from fairway.auth import get_user
from fairway.exceptions import DenyConnection
from fairway.generic.websocket import AsyncJsonWebsocketConsumer

from .flood import allowance_of
from .forms import message_text
from .live import EVERYONE, personal_group, room_group, tell
from .models import Message, PrivateMessage, Room, RoomMessage
from .people import User, describe
from .presence import comings_and_goings, enter
from .signals import fingerprint
from .unread import tell_unread, unread_by

PAGE = 50  # messages in one answer to `load`
# Close codes; 4000 to 4999 are the application's own. Either way the page loads itself anew.
SESSION_OVER = 4401  # log in again
GONE = 4404  # what the page is about was deleted
SPREAD = 1.0  # seconds over which all pages load what they may have missed, not all at once


class SiteConsumer(AsyncJsonWebsocketConsumer):
    """The socket of a page without messages of its own, and the base of the others."""

    async def connect(self) -> None:
        """Let in those who are logged in; refuse the handshake of anyone else."""
        self.me: User = self.scope["user"]
        if not self.me.is_authenticated:
            raise DenyConnection
        self.allowance = allowance_of(self.me.pk)
        await self.find()
        for group in self.hears():
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()
        await self.greet()

    async def find(self) -> None:
        """Look up what the page is about; refuse the handshake if it is not there."""

    def hears(self) -> list[str]:
        """Return the groups whose events the page receives. Fairway leaves them at the end."""
        return [EVERYONE, personal_group(self.me.pk)]

    async def greet(self) -> None:
        """Tell the page what it has to know before anything else."""
        unread = await unread_by(self.me)
        await self.send_json({"type": "welcome", "me": self.me.pk, "unread": unread})

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Take what the page sends, in measure; what is no JSON is refused like other nonsense."""
        await asyncio.sleep(self.allowance.take(time.monotonic()))
        try:
            content = await self.decode_json(text_data or "")
        except (ValueError, RecursionError):  # the latter for brackets nested a thousand deep
            content = None
        await self.receive_json(content, **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer what any page may send."""
        match content:
            case {"type": "ping"}:
                await self.send_json({"type": "pong"})
            case _:
                await self.send_json({"type": "refused", "error": "That was not understood."})

    async def layer_gap(self, event: dict[str, Any]) -> None:
        """Bring the page up to date: other machines, or Redis, were out of reach for a while."""
        await asyncio.sleep(random.uniform(0, SPREAD))
        if not await self.may_stay():
            return
        await self.send_json({"type": "missed"})
        await self.send_json({"type": "unread", "unread": await unread_by(self.me)})
        rooms = [room async for room in Room.objects.values("id", "name")]
        await self.send_json({"type": "rooms", "rooms": rooms})

    async def session_over(self, event: dict[str, Any]) -> None:
        """Close if it is this page's session that was logged out; see signals.py."""
        if event["session"] == fingerprint(self.scope["session"].session_key):
            await self.close(SESSION_OVER)

    async def look_again(self, event: dict[str, Any]) -> None:
        """Close if what let this page in is not so any more; see signals.py."""
        await self.may_stay()

    async def may_stay(self) -> bool:
        """Close the page of someone who has logged out or was barred, or of what is not there."""
        session = self.scope["session"]
        known = await session.aexists(session.session_key)
        if not known or not (await get_user(self.scope)).is_authenticated:
            await self.close(SESSION_OVER)
            return False
        try:
            await self.find()
        except DenyConnection:
            await self.close(GONE)
            return False
        return True


class ThreadConsumer(SiteConsumer):
    """A page with messages: loads them and takes new ones. Subclasses say which and to whom."""

    def messages(self) -> QuerySet[Any]:
        """Return all messages of this page."""
        raise NotImplementedError

    async def post(self, text: str, key: UUID) -> None:
        """Keep a message, once per `key`, and tell those whom it concerns."""
        raise NotImplementedError

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Answer what a page with messages may send."""
        match content:
            case {"type": "load", "after": int(after)}:
                await self.load("after", self.messages().filter(id__gt=after).order_by("id"))
            case {"type": "load", "before": int(before)}:
                await self.load("before", self.messages().filter(id__lt=before).order_by("-id"))
            case {"type": "load", **more} if not more:
                await self.load("latest", self.messages().order_by("-id"))
            case {"type": "say", "text": str(text), "key": str(key)}:
                await self.say(text, key)
            case _:
                await super().receive_json(content, **kwargs)

    async def load(self, part: str, messages: QuerySet[Any]) -> None:
        """Send one page of messages, oldest first, and whether there are more that way."""
        found: list[Message] = [message async for message in messages[: PAGE + 1]]
        events = [message.as_event() for message in found[:PAGE]]
        if part != "after":
            events.reverse()
        more = len(found) > PAGE
        await self.send_json({"type": "messages", "part": part, "messages": events, "more": more})

    async def say(self, text: str, key: str) -> None:
        """Post a message, or tell its sender what is wrong with it."""
        try:
            uuid = UUID(key)
        except ValueError:
            await self.send_json({"type": "refused", "error": "The key is not a UUID."})
            return
        try:
            text = message_text.clean(text)
        except ValidationError as error:
            refusal = {"type": "refused", "key": uuid.hex, "error": " ".join(error.messages)}
            await self.send_json(refusal)
            return
        try:
            await self.post(text, uuid)
        except IntegrityError:  # the room or the other person was deleted just now
            await self.close(GONE)


class RoomConsumer(ThreadConsumer):
    """The page of a room."""

    async def find(self) -> None:
        """Look up the room."""
        try:
            self.room = await Room.objects.aget(pk=self.scope["url_route"]["kwargs"]["room_id"])
        except Room.DoesNotExist:
            raise DenyConnection from None

    def hears(self) -> list[str]:
        """Add what is said in the room."""
        return [*super().hears(), room_group(self.room.pk)]

    async def greet(self) -> None:
        """Be one of those who are here, until the connection ends, and show them all."""
        await super().greet()
        people = await enter(self.room.pk, describe(self.me), self.channel_name)
        await self.send_json({"type": "people", "people": people})

    async def presence_diff(self, event: dict[str, Any]) -> None:
        """Tell the page who has come since, and who has gone."""
        for change in comings_and_goings(event):
            await self.send_json(change)

    def messages(self) -> QuerySet[Any]:
        """Return what was said in the room."""
        return RoomMessage.objects.filter(room=self.room).select_related("author")

    async def post(self, text: str, key: UUID) -> None:
        """Say it to the room."""
        message, _ = await RoomMessage.objects.select_related("author").aget_or_create(
            room=self.room, author=self.me, key=key, defaults={"text": text}
        )
        # Also when it had been kept before: the page asks again because it heard no answer.
        await tell(room_group(self.room.pk), {"type": "message", "message": message.as_event()})


class PrivateConsumer(ThreadConsumer):
    """The page of a conversation with one other person."""

    async def find(self) -> None:
        """Look up the other; nobody has a conversation with themselves."""
        others = User.objects.exclude(pk=self.me.pk)
        try:
            self.other = await others.aget(pk=self.scope["url_route"]["kwargs"]["user_id"])
        except User.DoesNotExist:
            raise DenyConnection from None

    def messages(self) -> QuerySet[Any]:
        """Return what the two have written to each other."""
        return PrivateMessage.objects.between(self.me, self.other)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Take note, besides, that the reader has seen what is there."""
        match content:
            case {"type": "read"}:
                await self.mark_read()
            case _:
                await super().receive_json(content, **kwargs)

    async def post(self, text: str, key: UUID) -> None:
        """Tell every page that either of the two has open, and nobody else."""
        pair = PrivateMessage.objects.select_related("author", "recipient")
        message, _ = await pair.aget_or_create(
            author=self.me, recipient=self.other, key=key, defaults={"text": text}
        )
        event = {"type": "private", "message": message.as_event()}
        # At once: while other machines are out of reach, `tell` waits for them and then fails, but
        # who is connected to this process has heard it.
        await asyncio.gather(
            tell(personal_group(self.me.pk), event),
            tell(personal_group(self.other.pk), event),
        )
        await tell_unread(self.other)

    async def mark_read(self) -> None:
        """Clear the badge of this conversation on all of the reader's pages."""
        unread = PrivateMessage.objects.unread_by(self.me).filter(author=self.other)
        if await unread.aupdate(read_at=timezone.now()):
            await tell_unread(self.me)
