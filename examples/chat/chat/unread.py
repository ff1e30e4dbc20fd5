"""What someone has been sent in private and has not seen yet."""

from typing import Any

from django.db.models import Count

from .live import personal_group, tell
from .models import PrivateMessage
from .people import User, describe


async def unread_by(person: User) -> list[dict[str, Any]]:
    """Return from whom `person` has unread messages, and how many."""
    unread = PrivateMessage.objects.unread_by(person).order_by()
    counts = {
        author: count async for author, count in unread.values_list("author").annotate(Count("id"))
    }
    authors = User.objects.filter(pk__in=counts)
    return [{"person": describe(author), "count": counts[author.pk]} async for author in authors]


async def tell_unread(person: User) -> None:
    """Tell all pages of `person` what is unread. The whole of it: pages never have to count."""
    await tell(personal_group(person.pk), {"type": "unread", "unread": await unread_by(person)})
