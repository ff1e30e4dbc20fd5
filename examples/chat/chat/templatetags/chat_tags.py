"""`{% load chat_tags %}`: faces, and the two lists of the sidebar."""

from typing import TypedDict

from django import template
from django.db.models import Count, Q, QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.models import PrivateMessage, Room
from chat.people import User, describe

MAX_ROOMS = 200  # as many as fit a list that people still read

register = template.Library()


class Partner(TypedDict):
    """Someone with whom one has talked in private."""

    user: User
    unread: int


@register.simple_tag
def avatar(user: User) -> SafeString:
    """Return a coloured disc with an initial; js/dom.js makes the same.

    It says nothing to screen readers, since the name stands beside it.
    """
    person = describe(user)
    return format_html(
        '<span class="avatar hue-{}" aria-hidden="true">{}</span>', person["hue"], person["initial"]
    )


@register.simple_tag
def all_rooms() -> QuerySet[Room]:
    """Return the rooms by name."""
    return Room.objects.all()[:MAX_ROOMS]


@register.simple_tag
def partners_of(me: User) -> list[Partner]:
    """Return the people with whom `me` has talked in private, and what is unread from them."""
    messages = PrivateMessage.objects.order_by()
    unread = messages.unread_by(me).values_list("author").annotate(Count("id"))
    counts = dict(unread)
    partners = User.objects.filter(
        Q(pk__in=messages.filter(author=me).values("recipient"))
        | Q(pk__in=messages.filter(recipient=me).values("author"))
    )
    return [
        {"user": user, "unread": counts.get(user.pk, 0)} for user in partners.order_by("username")
    ]
