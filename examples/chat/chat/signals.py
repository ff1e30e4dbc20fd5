"""What the rest of Django tells us."""

from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from .live import personal_group, send_from_sync
from .people import User


def fingerprint(session_key: str | None) -> str:
    """Return what identifies a session without being able to open it, unlike its key."""
    return salted_hmac("chat.session", session_key or "").hexdigest()


@receiver(user_logged_out)
def close_sockets(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """Close the pages that this session still has open in other tabs."""
    if user is not None:
        over = {"type": "session.over", "session": fingerprint(request.session.session_key)}
        send_from_sync(personal_group(user.pk), over)
