"""What is told of comings and goings, without any socket."""

from typing import Any

from django.test import SimpleTestCase

from chat.people import Person
from chat.presence import comings_and_goings

ADA: Person = {"id": 1, "name": "Ada", "initial": "A", "hue": 1}
MEI: Person = {"id": 2, "name": "Mei", "initial": "M", "hue": 2}


class PresenceTests(SimpleTestCase):
    """From Fairway's diffs to the page's events."""

    def test_people_and_not_sockets(self) -> None:
        """A person with two tabs comes once; one more or one less is no news."""
        diff = {
            "type": "presence.diff",
            "group": "room.7",
            "joins": {"1": [{"person": ADA}, {"person": ADA}]},
            "updates": {"3": [{"person": ADA}]},
            "leaves": {"2": [{"person": MEI}]},
        }
        assert list(comings_and_goings(diff)) == [
            {"type": "joined", "person": ADA},
            {"type": "left", "person": MEI},
        ]

    def test_a_glimpse(self) -> None:
        """Of somebody who was gone before anything was said nothing need be said now."""
        diff: dict[str, Any] = {"joins": {}, "updates": {}, "leaves": {"1": []}}
        assert list(comings_and_goings(diff)) == []
