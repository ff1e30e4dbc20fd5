"""What is kept: rooms, what was said in them, and what was said in private."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from .people import User, describe

MAX_NAME = 60  # characters of a room's name
MAX_TEXT = 2_000  # characters of a message


class Room(models.Model):
    """A place with a name, in any script, open to everyone who is logged in."""

    name = models.CharField(max_length=MAX_NAME, unique=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Message(models.Model):
    """What both kinds of messages have; each kind has a table of its own.

    `key` is made by the browser. It lets a message whose answer was lost with the connection be
    sent again without being kept twice.
    """

    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    text = models.TextField(max_length=MAX_TEXT)
    key = models.UUIDField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["id"]

    def __str__(self) -> str:
        """Return who said what, shortened."""
        return f"{self.author}: {self.text[:40]}"

    def as_event(self) -> dict[str, Any]:
        """Return what the browser needs to show the message; needs `author` loaded."""
        return {
            "id": self.pk,
            "author": describe(self.author),
            "text": self.text,
            "key": self.key.hex,
            "at": self.sent_at.isoformat(),
        }


class RoomMessage(Message):
    """Said in a room, to everyone in it."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="messages")

    class Meta(Message.Meta):
        indexes = [models.Index(fields=["room", "id"], name="room_history")]
        constraints = [
            models.UniqueConstraint(fields=["room", "author", "key"], name="room_message_once")
        ]


class PrivateMessages(models.QuerySet["PrivateMessage"]):
    """The questions that a private conversation raises."""

    def between(self, one: User, other: User) -> "PrivateMessages":
        """Return the conversation of two people."""
        return self.filter(
            Q(author=one, recipient=other) | Q(author=other, recipient=one)
        ).select_related("author", "recipient")

    def unread_by(self, person: User) -> "PrivateMessages":
        """Return what `person` was sent and has not seen yet."""
        return self.filter(recipient=person, read_at=None)


class PrivateMessage(Message):
    """Said to one person, for nobody else's eyes."""

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    read_at = models.DateTimeField(null=True, blank=True)

    objects = PrivateMessages.as_manager()

    class Meta(Message.Meta):
        indexes = [
            models.Index(fields=["author", "recipient", "id"], name="private_history"),
            models.Index(fields=["recipient", "read_at"], name="private_unread"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["recipient", "author", "key"], name="private_message_once"
            )
        ]

    def as_event(self) -> dict[str, Any]:
        """Return the message with the person it is for; needs `recipient` loaded too."""
        return {**super().as_event(), "to": describe(self.recipient)}
