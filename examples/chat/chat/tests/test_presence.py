"""Who is where, without any socket: `Presence` is plain Python."""

from django.test import SimpleTestCase

from chat.people import Person
from chat.presence import Presence

ADA: Person = {"id": 1, "name": "Ada", "initial": "A", "hue": 1}
MEI: Person = {"id": 2, "name": "Mei", "initial": "M", "hue": 2}


class PresenceTests(SimpleTestCase):
    """Counting people and not sockets."""

    def test_only_the_first_socket_brings_and_only_the_last_takes_away(self) -> None:
        """What is in between changes nothing for the others."""
        presence = Presence()
        assert presence.enter(7, ADA, "a")
        assert not presence.enter(7, ADA, "b")
        assert presence.enter(7, MEI, "c")
        assert presence.people(7) == [ADA, MEI]
        assert not presence.leave(7, ADA, "a")
        assert presence.leave(7, ADA, "b")
        assert presence.people(7) == [MEI]

    def test_leaving_without_having_come(self) -> None:
        """A socket that was refused may leave all the same."""
        presence = Presence()
        assert not presence.leave(7, ADA, "a")
        assert presence.people(7) == []
