"""What the rest of Django tells us, where it concerns pages that are open."""

from functools import partial
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from .live import EVERYONE, personal_group, room_group, send_from_sync
from .models import Room
from .people import User


def fingerprint(session_key: str | None) -> str:
    """Return what identifies a session without being able to open it, unlike its key."""
    return salted_hmac("chat.session", session_key or "", algorithm="sha256").hexdigest()


@receiver(user_logged_out)
def close_sockets(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """Close the pages that this session still has open in other tabs."""
    if user is not None:
        over = {"type": "session.over", "session": fingerprint(request.session.session_key)}
        request.session.flush()  # before pages load anew, which find it as it was until then
        send_from_sync(personal_group(user.pk), over)


@receiver(post_save, sender=User)
def check_person(instance: User, update_fields: frozenset[str] | None, **kwargs: Any) -> None:
    """Let the pages of someone with another password, or who was barred, look who they are."""
    if update_fields != frozenset({"last_login"}):  # which every login saves
        _look_again(personal_group(instance.pk))


@receiver(post_delete, sender=User)
def person_gone(**kwargs: Any) -> None:
    """Close the pages of a deleted person, and the conversations with them."""
    _look_again(EVERYONE)


@receiver(post_delete, sender=Room)
def room_gone(instance: Room, **kwargs: Any) -> None:
    """Close the pages of a deleted room."""
    _look_again(room_group(instance.pk))


def _look_again(group: str) -> None:
    transaction.on_commit(partial(send_from_sync, group, {"type": "look.again"}))
