"""The ordinary pages."""

import re
from io import StringIO

from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings

from chat.demo import PASSWORD, PEOPLE, ROOMS
from chat.models import PrivateMessage, Room, RoomMessage
from chat.people import User

from .pages import open_page


class PageTests(TestCase):
    """Visiting the site as Ada."""

    def setUp(self) -> None:
        """Log in."""
        self.ada = User.objects.create_user("Ada")
        self.client.force_login(self.ada)

    def test_strangers_are_sent_to_the_login(self) -> None:
        """Every page but the door asks who one is, and comes back to where one wanted to go."""
        room = Room.objects.create(name="Harbour")
        self.client.logout()
        for path in ("/", f"/rooms/{room.pk}/", f"/people/{self.ada.pk}/"):
            self.assertRedirects(self.client.get(path), f"/login/?next={path}")

    def test_a_room_in_any_script(self) -> None:
        """A name may be anything that can be seen."""
        for name in (
            "Καφενείο",
            "茶室",
            "غرفة",
            "a/b?c#d%20 &amp;",
            "..",
            "🌊",
            "<script>alert(1)",
        ):
            self.client.post("/", {"name": name})
            room = Room.objects.get(name=name)
            page = self.client.get(f"/rooms/{room.pk}/")
            assert page.context["room"] == room
            self.assertNotContains(page, "<script>alert")

    def test_the_same_name_is_the_same_room(self) -> None:
        """Opening a room that is there enters it, also if its name is typed another way."""
        first = self.client.post("/", {"name": "Café  noir"})
        again = self.client.post("/", {"name": " Cafe\u0301 noir "})
        assert first["Location"] == again["Location"]
        assert Room.objects.get().created_by == self.ada

    def test_a_name_that_cannot_be_seen(self) -> None:
        """A room needs a name, and one that fits."""
        for name, reason in {
            "": "This field is required.",
            "\u200b": "This field is required.",
            "\u0301\ufe0f": "This field is required.",
            "x" * 61: "Ensure this value has at most 60 characters (it has 61).",
            # 60 as it comes, and 120 in the spelling that is kept
            "\u0958" * 60: "Ensure this value has at most 60 characters (it has 120).",
        }.items():
            self.assertContains(self.client.post("/", {"name": name}), reason)
        assert not Room.objects.exists()

    async def test_a_new_room_appears_on_open_pages(self) -> None:
        """Everyone sees at once that a room was opened."""
        async with open_page(self.ada) as page:
            await self.async_client.aforce_login(self.ada)
            await self.async_client.post("/", {"name": "Кухня"})
            room = await Room.objects.aget()
            assert await page.next("room") == {"type": "room", "id": room.pk, "name": "Кухня"}

    def test_nothing_inline_is_allowed(self) -> None:
        """Every page comes with the policy, and obeys it."""
        page = self.client.get("/")
        assert "default-src 'self'" in page["Content-Security-Policy"]
        assert not re.search(r"<script>|<style|\sstyle=|\son\w+=", page.content.decode())


class SignUpTests(TestCase):
    """Becoming somebody."""

    def test_signing_up_logs_in(self) -> None:
        """A name and a password are enough to be there."""
        password = "three-lamps-lit"
        data = {"username": "Zoë", "password1": password, "password2": password}
        self.assertRedirects(self.client.post("/sign-up/", data), "/")
        self.assertContains(self.client.get("/"), "Ahoy, <bdi>Zoë</bdi>")

    def test_not_twice(self) -> None:
        """Who is logged in is sent home: becoming another has to begin with logging out."""
        self.client.force_login(User.objects.create_user("Ada"))
        for method in (self.client.get, self.client.post):
            self.assertRedirects(method("/sign-up/"), "/")


class DemoTests(TestCase):
    """People and rooms to try the chat with."""

    @override_settings(DEBUG=True)
    def test_may_run_at_every_start(self) -> None:
        """A second run adds nothing, and takes nothing back."""
        call_command("demo", stdout=StringIO())
        before = [set(model.objects.all()) for model in (User, Room, RoomMessage, PrivateMessage)]
        call_command("demo", stdout=StringIO())
        after = [set(model.objects.all()) for model in (User, Room, RoomMessage, PrivateMessage)]
        assert before == after
        assert list(User.objects.values_list("username", flat=True)) == PEOPLE
        assert set(Room.objects.values_list("name", flat=True)) == set(ROOMS)

    @override_settings(DEBUG=True)
    def test_logging_in_takes_one_click(self) -> None:
        """The login page has what it takes to be a demo user."""
        call_command("demo", stdout=StringIO())
        self.assertContains(self.client.get("/login/"), PASSWORD)
        self.client.post("/login/", {"username": PEOPLE[0], "password": PASSWORD})
        self.assertContains(self.client.get("/"), f"Ahoy, <bdi>{PEOPLE[0]}</bdi>")

    def test_not_in_production(self) -> None:
        """Users with a known password are for development only."""
        with self.assertRaisesMessage(CommandError, "CHAT_DEBUG=1"):
            call_command("demo")
        self.assertNotContains(self.client.get("/login/"), PASSWORD)
