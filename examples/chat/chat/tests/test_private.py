"""What two people write to each other."""

from django.test import AsyncClient, TestCase

from chat.models import PrivateMessage, Room
from chat.people import User, describe

from .pages import open_page, socket


class PrivateTests(TestCase):
    """Ada and Mei, and Kofi whom it does not concern."""

    def setUp(self) -> None:
        """Put them into the database."""
        self.ada = User.objects.create_user("Ada")
        self.mei = User.objects.create_user("Mei")
        self.kofi = User.objects.create_user("Kofi")
        self.room = Room.objects.create(name="Harbour")

    async def test_reaches_the_other_anywhere_and_nobody_else(self) -> None:
        """A private message comes to all pages of the two, and to no page of a third."""
        harbour = f"/ws/rooms/{self.room.pk}/"
        async with (
            open_page(self.ada, f"/ws/people/{self.mei.pk}/") as ada,
            open_page(self.mei, harbour) as mei,
            open_page(self.mei, "/ws/") as mei_at_home,
            open_page(self.kofi, harbour) as kofi,
            open_page(self.kofi, f"/ws/people/{self.mei.pk}/") as kofi_writing_to_mei,
        ):
            await ada.say("Cake?")
            event = await mei.next("private")
            assert event == await mei_at_home.next("private")
            assert event == await ada.next("private")
            unread = {"type": "unread", "unread": [{"person": describe(self.ada), "count": 1}]}
            assert await mei.next("unread") == unread
            await kofi.hears_nothing_of("private", "unread", "message")
            await kofi_writing_to_mei.send(type="load")
            assert (await kofi_writing_to_mei.next("messages"))["messages"] == []
            await kofi_writing_to_mei.hears_nothing_of("private", "unread")
        message = await PrivateMessage.objects.select_related("author", "recipient").aget()
        assert (message.author, message.recipient) == (self.ada, self.mei)
        assert event["message"] == message.as_event()

    async def test_is_unread_until_seen(self) -> None:
        """What arrived while someone was away is announced when they come, until they look."""
        async with open_page(self.ada, f"/ws/people/{self.mei.pk}/") as ada:
            await ada.say("Are you there?")
            await ada.next("private")
        async with open_page(self.mei) as home:
            expected = [{"person": describe(self.ada), "count": 1}]
            assert (await home.next("welcome"))["unread"] == expected
            async with open_page(self.mei, f"/ws/people/{self.ada.pk}/") as conversation:
                await conversation.send(type="load")
                messages = (await conversation.next("messages"))["messages"]
                assert [each["text"] for each in messages] == ["Are you there?"]
                await conversation.send(type="read")
                assert (await conversation.next("unread"))["unread"] == []
            assert (await home.next("unread"))["unread"] == []

    async def test_not_with_oneself(self) -> None:
        """Nobody writes to themselves, or to someone who is not there."""
        client = AsyncClient()
        await client.aforce_login(self.ada)
        for number in (self.ada.pk, 999_999):
            assert (await client.get(f"/people/{number}/")).status_code == 404
            assert not (await socket(f"/ws/people/{number}/", client).connect())[0]
