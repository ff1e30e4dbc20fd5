"""What happens in a room."""

import time
from collections.abc import Callable
from unittest.mock import patch
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import AsyncClient, TestCase

from chat.consumers import GONE, SESSION_OVER
from chat.live import room_group, send
from chat.models import MAX_TEXT, Room, RoomMessage
from chat.people import User, describe
from fairway.presence import presence
from fairway.testing import use_channel_layer

from .pages import open_page, socket


class RoomTestCase(TestCase):
    """Ada and Mei, and a room."""

    def setUp(self) -> None:
        """Put them into the database."""
        self.ada = User.objects.create_user("Ada")
        self.mei = User.objects.create_user("Mei")
        self.room = Room.objects.create(name="Καφενείο")
        self.path = f"/ws/rooms/{self.room.pk}/"
        # Nobody of another test is there still, and whoever leaves is missed at once.
        self.enterContext(use_channel_layer())
        self.enterContext(patch.object(presence, "linger", 0.0))


class TalkTests(RoomTestCase):
    """Saying something."""

    async def test_reaches_all_and_is_kept(self) -> None:
        """A message goes to everyone in the room, and into the database."""
        async with open_page(self.ada, self.path) as ada, open_page(self.mei, self.path) as mei:
            await ada.say("  Ποιος θέλει καφέ;\n")
            event = await mei.next("message")
            assert event == await ada.next("message")
        message = await RoomMessage.objects.select_related("author", "room").aget()
        assert (message.room, message.author) == (self.room, self.ada)
        assert event["message"] == message.as_event()
        assert message.text == "Ποιος θέλει καφέ;"

    async def test_stays_in_the_room(self) -> None:
        """Another room hears nothing."""
        other = await Room.objects.acreate(name="Кухня")
        async with (
            open_page(self.ada, self.path) as ada,
            open_page(self.mei, f"/ws/rooms/{other.pk}/") as mei,
        ):
            await ada.say("hello")
            await ada.next("message")
            await mei.hears_nothing_of("message")

    async def test_sent_twice_is_kept_once(self) -> None:
        """A message repeated after a lost connection gets its answer, and no second copy."""
        key = uuid4().hex
        async with open_page(self.ada, self.path) as ada:
            await ada.say("hello", key)
            await ada.say("hello", key)
            assert await ada.next("message") == await ada.next("message")
        assert await RoomMessage.objects.acount() == 1

    async def test_refusals_go_to_the_sender_alone(self) -> None:
        """Empty, invisible, too long or impossible text is refused with a reason, and not kept."""
        reasons = {
            "": "Write something first.",
            " \n ": "Write something first.",
            "\u200b\u2060": "Write something first.",
            "\u3164\u2800\ufe0f": "Write something first.",
            "x" * (MAX_TEXT + 1): "That is too long: 2001 characters, and 2000 fit.",
            "a\x00b": "Null characters are not allowed.",
            "a\ud800b": "That is not text.",
        }
        async with open_page(self.ada, self.path) as ada, open_page(self.mei, self.path) as mei:
            for text, reason in reasons.items():
                key = uuid4().hex
                await ada.say(text, key)
                refusal = {"type": "refused", "key": key, "error": reason}
                assert await ada.next("refused") == refusal
            await mei.hears_nothing_of("message", "refused")
        assert await RoomMessage.objects.acount() == 0

    async def test_nonsense_is_refused(self) -> None:
        """What is no event of ours gets an answer and changes nothing."""
        async with open_page(self.ada, self.path) as ada:
            refusal = {"type": "refused", "error": "That was not understood."}
            for nonsense in (
                {"type": "websocket.disconnect"},
                {"type": ["say"]},
                {"type": "say"},
                {"type": "say", "text": 1, "key": uuid4().hex},
                {"type": "load", "after": "1"},
                {"type": "load", "before": 1.5},
                {"text": "hi"},
            ):
                await ada.send(**nonsense)
                assert await ada.next("refused") == refusal
            for frame in (
                "",
                "{",
                "null",
                "[" * 100_000,
                "9" * 5000,
                "\ufeff{}",
                b'{"type":"load"}',
            ):
                await ada.send_frame(frame)
                assert await ada.next("refused") == refusal
            await ada.say("hello", key="no uuid")
            refusal = {"type": "refused", "error": "The key is not a UUID."}
            assert await ada.next("refused") == refusal

    async def test_a_flood_takes_its_time(self) -> None:
        """Who sends too much is answered in full and in order, but slowly, in all tabs alike."""
        zoe = await User.objects.acreate(pk=4711)  # with an allowance that no other test has used
        with patch("chat.flood.BURST", 10), patch("chat.flood.RATE", 1000.0):
            async with open_page(zoe, self.path) as one, open_page(zoe) as other:
                started = time.monotonic()
                for page in (one, other):
                    for number in range(30):
                        await page.send(type="load", before=number)
                        await page.next("messages" if page is one else "refused")
                assert time.monotonic() - started >= 0.049  # 50 events beyond 10, 1 ms each


class HistoryTests(RoomTestCase):
    """Loading what was said."""

    def setUp(self) -> None:
        """Say more than one page of messages."""
        super().setUp()
        for number in range(1, 121):
            RoomMessage.objects.create(
                room=self.room, author=self.mei, text=str(number), key=uuid4()
            )
        self.ids = list(RoomMessage.objects.values_list("id", flat=True))

    async def test_latest_and_earlier(self) -> None:
        """A page loads the last messages, then the ones before them, to the first."""
        async with open_page(self.ada, self.path) as ada:
            await ada.send(type="load")
            event = await ada.next("messages")
            assert [each["id"] for each in event["messages"]] == self.ids[70:]
            assert (event["part"], event["more"]) == ("latest", True)
            await ada.send(type="load", before=self.ids[20])
            event = await ada.next("messages")
            assert [each["id"] for each in event["messages"]] == self.ids[:20]
            assert (event["part"], event["more"]) == ("before", False)

    async def test_what_was_missed(self) -> None:
        """After a lost connection a page loads all that came after what it has, in steps."""
        async with open_page(self.ada, self.path) as ada:
            await ada.send(type="load", after=self.ids[49])
            event = await ada.next("messages")
            assert [each["id"] for each in event["messages"]] == self.ids[50:100]
            assert (event["part"], event["more"]) == ("after", True)
            await ada.send(type="load", after=self.ids[99])
            event = await ada.next("messages")
            assert [each["id"] for each in event["messages"]] == self.ids[100:]
            assert (event["part"], event["more"]) == ("after", False)


class PresenceTests(RoomTestCase):
    """Who is in the room."""

    async def test_comings_and_goings(self) -> None:
        """Who comes sees who is here; who is here sees who comes and goes."""
        ada, mei = describe(self.ada), describe(self.mei)
        async with open_page(self.ada, self.path) as page:
            assert (await page.next("people"))["people"] == [ada]
            async with open_page(self.mei, self.path) as other:
                assert (await other.next("people"))["people"] == [ada, mei]
                assert (await page.next("joined"))["person"] == ada
                assert (await page.next("joined"))["person"] == mei
            assert (await page.next("left"))["person"] == mei

    async def test_three_tabs_are_one_person(self) -> None:
        """More tabs of a person neither join, nor leave while one is left."""
        async with open_page(self.ada, self.path) as page:
            await page.next("joined")
            async with open_page(self.mei, self.path):
                await page.next("joined")
                async with open_page(self.mei, self.path), open_page(self.mei, self.path):
                    pass
                await page.hears_nothing_of("joined", "left")
            await page.next("left")


class GapTests(RoomTestCase):
    """Processes that could not reach each other for a while."""

    async def test_pages_load_what_they_may_have_missed(self) -> None:
        """A page is told to, and learns what is unread and which rooms there are."""
        async with open_page(self.mei, self.path) as page:
            await page.next("people")
            await send(room_group(self.room.pk), {"type": "layer.gap"})
            await page.next("missed")
            assert (await page.next("unread"))["unread"] == []
            rooms = (await page.next("rooms"))["rooms"]
            assert {"id": self.room.pk, "name": self.room.name} in rooms


class DoorTests(RoomTestCase):
    """Who may open a socket, and who may keep it."""

    @sync_to_async
    def commit(self, change: Callable[[], object]) -> None:
        """Change the database, with what follows once that is certain."""
        with self.captureOnCommitCallbacks(execute=True):
            change()

    async def test_anonymous(self) -> None:
        """Nobody gets in without being logged in."""
        for path in ("/ws/", self.path, f"/ws/people/{self.mei.pk}/"):
            assert not (await socket(path).connect())[0]

    async def test_foreign_origin(self) -> None:
        """A page of another site gets no socket with our visitor's cookies."""
        client = AsyncClient()
        await client.aforce_login(self.ada)
        foreign = socket(self.path, client, origin="http://elsewhere.example")
        with self.assertLogs("fairway.security", "WARNING"):
            assert not (await foreign.connect())[0]

    async def test_unknown_room(self) -> None:
        """A room that does not exist cannot be entered."""
        client = AsyncClient()
        await client.aforce_login(self.ada)
        assert not (await socket("/ws/rooms/999999/", client).connect())[0]

    async def test_logging_out_closes_the_pages_of_that_session(self) -> None:
        """Other tabs of the session end with it; another browser of the same person does not."""
        client = AsyncClient()
        await client.aforce_login(self.ada)
        async with (
            open_page(self.ada, self.path, client) as here,
            open_page(self.ada, self.path) as elsewhere,
        ):
            await client.post("/logout/")
            assert await here.closed() == SESSION_OVER
            await elsewhere.hears_nothing_of("left")

    async def test_deleting_the_room_closes_its_pages(self) -> None:
        """What a moderator deletes in the admin is not there any more for those inside either."""
        other = await Room.objects.acreate(name="Кухня")
        async with (
            open_page(self.ada, self.path) as here,
            open_page(self.mei, f"/ws/rooms/{other.pk}/") as elsewhere,
        ):
            await self.commit(self.room.delete)
            assert await here.closed() == GONE
            await elsewhere.hears_nothing_of("left")

    async def test_a_new_password_or_a_bar_closes_all_pages(self) -> None:
        """Who may not log in any more, or has to anew, is out at once; others notice nothing."""
        for change in ("password", "is_active"):
            async with (
                open_page(self.ada, self.path) as ada,
                open_page(self.mei, self.path) as mei,
            ):
                setattr(self.ada, change, "" if change == "password" else False)
                await self.commit(self.ada.save)
                assert await ada.closed() == SESSION_OVER
                await mei.hears_nothing_of("refused")

    async def test_deleting_a_person_closes_their_pages_and_conversations(self) -> None:
        """Nobody is left talking to someone who does not exist."""
        async with (
            open_page(self.ada) as ada,
            open_page(self.mei, f"/ws/people/{self.ada.pk}/") as talking_to_ada,
            open_page(self.mei, self.path) as mei,
        ):
            await self.commit(User.objects.filter(pk=self.ada.pk).delete)
            assert await ada.closed() == SESSION_OVER
            assert await talking_to_ada.closed() == GONE
            await mei.hears_nothing_of("refused")
