"""How a person is shown: the same few facts for the templates and for the browser's code."""

from typing import TypedDict

# With a user model of your own, import it here; the rest of the app takes it from this module.
from django.contrib.auth.models import User

__all__ = ["HUES", "Person", "User", "describe"]

HUES = 12  # as many as css/avatar.css has colours


class Person(TypedDict):
    """What everyone may know about a user."""

    id: int
    name: str
    initial: str
    hue: int


def describe(user: User) -> Person:
    """Return what the site shows of `user`."""
    name = user.get_username()
    return {"id": user.pk, "name": name, "initial": name[:1].upper(), "hue": user.pk % HUES}
