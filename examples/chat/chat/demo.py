"""People, rooms and a little talk to start with; `manage.py demo` puts them in the database."""

from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import transaction

from .models import PrivateMessage, Room, RoomMessage
from .people import User

PEOPLE = ["Ada", "Kofi", "Mei", "Zoë"]
PASSWORD = "fair-winds"  # shown on the login page, only while DEBUG is on

ROOMS = ["Harbour", "Καφενείο", "Кухня", "حديقة"]
TALK = [
    ("Harbour", "Kofi", "Morning all. The fog lifts, first boats are out."),
    ("Harbour", "Mei", "Morning! Tide tables are pinned in the office 🌊"),
    ("Harbour", "Ada", "Who has the key to the boathouse?"),
    ("Harbour", "Zoë", "Me, down there till noon. Come by."),
    ("Καφενείο", "Zoë", "Ποιος θέλει καφέ;"),
    ("Кухня", "Ada", "Сегодня борщ."),
]
PRIVATE = [("Mei", "Ada", "Psst: Kofi has his birthday on Friday. Cake?")]


@transaction.atomic
def fill() -> None:
    """Make what is not there yet; what is there stays as it is, so it can run at every start."""
    users = {name: _person(name) for name in PEOPLE}
    rooms = {name: Room.objects.get_or_create(name=name)[0] for name in ROOMS}
    for room, author, text in TALK:
        RoomMessage.objects.get_or_create(
            room=rooms[room], author=users[author], key=_key(text), defaults={"text": text}
        )
    for author, recipient, text in PRIVATE:
        PrivateMessage.objects.get_or_create(
            author=users[author],
            recipient=users[recipient],
            key=_key(text),
            defaults={"text": text},
        )


def _person(name: str) -> User:
    there = User.objects.filter(username=name).first()
    return there or User.objects.create_user(name, password=PASSWORD)


def _key(text: str) -> UUID:
    return uuid5(NAMESPACE_URL, text)  # the same at every start
