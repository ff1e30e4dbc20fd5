"""Who is connected, until when, and what ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fairway.auth import Revalidation
from fairway.auth import connections as module
from fairway.auth.connections import Watch, current_watch, session_digest
from tests.auth.watching import Watched, watch_with
from tests.server.clock import Clock
from tests.server.running import Logs

BY_CLOCK = Revalidation(interval=100, at_once=False)
AT_ONCE = Revalidation(interval=None)


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
async def watch(clock: Clock) -> AsyncIterator[Watch]:
    """The watch of this loop."""
    watch = watch_with(clock)
    with watch.held():
        yield watch


class TestInterval:
    """Checks by the clock."""

    async def test_in_time(self, watch: Watch, clock: Clock) -> None:
        """A connection is checked once per interval, give or take a tenth."""
        somebody = Watched(watch, BY_CLOCK)
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7")
            clock.advance(89)
            await watch.settle()
            assert somebody.identity.checks == 0
            for count in range(1, 5):
                clock.advance(110)
                await watch.settle()
                assert somebody.identity.checks >= count
            assert somebody.identity.checks <= 5
        assert somebody.ending.reasons == []

    async def test_one_timer(self, watch: Watch, clock: Clock) -> None:
        """However many connections there are, one timer is set, and none when they are gone."""
        several = [Watched(watch, BY_CLOCK) for _ in range(50)]
        for somebody in several:
            await watch.watching(somebody.connection).__aenter__()
            somebody.connection.identify("7")
        assert len(clock.timers) == 1
        for somebody in several:
            somebody.connection.release()
        clock.advance(200)
        await watch.settle()
        assert clock.timers == []
        assert sum(somebody.identity.checks for somebody in several) == 0

    async def test_spread(self, watch: Watch, clock: Clock) -> None:
        """Connections that came together are not checked together."""
        several = [Watched(watch, BY_CLOCK) for _ in range(50)]
        for somebody in several:
            somebody.connection.watched = True
            somebody.connection.identify("7")
        moments = {somebody.connection.due() for somebody in several}
        assert len(moments) > 25
        assert all(1090 <= (moment or 0) <= 1110 for moment in moments)

    async def test_gone(self, watch: Watch, clock: Clock) -> None:
        """A connection whose user is gone is ended, once."""
        somebody = Watched(watch, BY_CLOCK)
        somebody.identity.reason = "Gone."
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7")
            clock.advance(1000)
            await watch.settle()
            assert somebody.ending.reasons == ["Gone."]
            assert somebody.connection.ended == "Gone."
            clock.advance(1000)
            await watch.settle()
        assert somebody.identity.checks == 1
        assert await somebody.connection.check() is False

    async def test_anonymous(self, watch: Watch, clock: Clock) -> None:
        """Nobody is never checked and never ended."""
        nobody = Watched(watch, BY_CLOCK)
        nobody.identity.reason = "Gone."
        async with watch.watching(nobody.connection):
            nobody.connection.identify(None)
            clock.advance(1000)
            await watch.settle()
            assert await nobody.connection.check() is True
        assert nobody.identity.checks == 0
        assert nobody.ending.reasons == []

    async def test_failing_checks(self, watch: Watch, logs: Logs) -> None:
        """A database that cannot be asked ends nothing; the log says it once per burst."""
        somebody = Watched(watch, BY_CLOCK)
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7")
            somebody.identity.reason = OSError("down")
            assert await somebody.connection.check() is True
            assert await somebody.connection.check() is True
            message = (
                "ERROR Users of open connections cannot be checked; they stay open and are "
                "checked again later: OSError: down"
            )
            assert logs.take() == [message]
            somebody.identity.reason = None
            assert await somebody.connection.check() is True
            somebody.identity.reason = OSError("down")
            assert await somebody.connection.check() is True
            assert logs.take() == [message]

    async def test_few_at_once(self, watch: Watch) -> None:
        """Checks wait for each other, so that they do not take all threads and connections."""
        several = [Watched(watch, AT_ONCE) for _ in range(20)]
        for somebody in several:
            somebody.identity.gate.clear()
            somebody.connection.watched = True
            somebody.connection.identify("7")
            watch.check_soon(somebody.connection)
            watch.check_soon(somebody.connection)
        for _ in range(5):
            await asyncio.sleep(0)
        assert sum(somebody.identity.checks for somebody in several) == module.CHECKS_AT_ONCE
        for somebody in several:
            somebody.identity.gate.set()
        await watch.settle()
        assert [somebody.identity.checks for somebody in several] == [1] * 20


class TestExpiry:
    """Connections that end by themselves."""

    async def test_in_time(self, watch: Watch, clock: Clock) -> None:
        """It ends at its moment, whatever its policy."""
        somebody = Watched(watch, clock=clock.time)
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7", expires_at=clock.now + 3600)
            clock.advance(3599)
            assert somebody.ending.reasons == []
            clock.advance(1.1)
            assert somebody.ending.reasons == ["The token has expired."]
        assert somebody.identity.checks == 0

    async def test_renewed(self, watch: Watch, clock: Clock) -> None:
        """A later moment takes the place of the first."""
        somebody = Watched(watch, clock=clock.time)
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7", expires_at=clock.now + 10)
            somebody.connection.identify("7", expires_at=clock.now + 100)
            clock.advance(50)
            assert somebody.ending.reasons == []
            clock.advance(51)
            assert somebody.ending.reasons == ["The token has expired."]

    async def test_wall_clock(self, watch: Watch, clock: Clock) -> None:
        """What counts is the clock on the wall, which may be set."""
        wall = [5000.0]
        somebody = Watched(watch, clock=lambda: wall[0])
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7", expires_at=5010)
            clock.advance(20)
            assert somebody.ending.reasons == []
            wall[0] = 5010
            clock.advance(20)
            assert somebody.ending.reasons == ["The token has expired."]


def news(user: str | None = None, session: str | None = None, *, certain: bool = False) -> dict:  # type: ignore[type-arg]  # an event
    """A message about somebody."""
    return {"type": "auth.revoked", "user": user, "session": session, "certain": certain}


class TestNews:
    """What other processes tell."""

    async def test_user(self, watch: Watch) -> None:
        """The connections of a user are checked, and no others."""
        ada, again, eve = (Watched(watch, AT_ONCE) for _ in range(3))
        for somebody, key in ((ada, "7"), (again, "7"), (eve, "8")):
            somebody.connection.watched = True
            somebody.connection.identify(key)
        watch.heard(news("7"))
        await watch.settle()
        assert [each.identity.checks for each in (ada, again, eve)] == [1, 1, 0]
        assert ada.ending.reasons == []

    async def test_certain(self, watch: Watch) -> None:
        """Where a check could find nothing else, there is none."""
        ada, eve = Watched(watch, AT_ONCE), Watched(watch, AT_ONCE)
        for somebody, session in ((ada, "abc"), (eve, "def")):
            somebody.connection.watched = True
            somebody.connection.identify("7", session)
        watch.heard(news(session="abc", certain=True))
        await watch.settle()
        assert (ada.ending.reasons, eve.ending.reasons) == (["Access was revoked."], [])
        assert ada.identity.checks == 0

    async def test_unwanted(self, watch: Watch) -> None:
        """A policy without ``at_once`` does not hear them."""
        somebody = Watched(watch, BY_CLOCK)
        somebody.connection.watched = True
        somebody.connection.identify("7", "abc")
        watch.heard(news("7", certain=True))
        await watch.settle()
        assert (somebody.ending.reasons, somebody.identity.checks) == ([], 0)

    @pytest.mark.parametrize("message", [news("7"), news("8"), news(session="xyz")])
    async def test_while_the_user_is_looked_up(self, watch: Watch, message: dict) -> None:  # type: ignore[type-arg]  # an event
        """What comes before it is known whose the connection is may be about that one."""
        somebody = Watched(watch, AT_ONCE)
        somebody.connection.watched = True
        somebody.connection.expect("abc")
        watch.heard(message)
        somebody.connection.identify("7", "abc")
        await watch.settle()
        assert somebody.identity.checks == 1

    async def test_logout_while_the_user_is_looked_up(self, watch: Watch) -> None:
        """A session that is over by then ends the connection."""
        somebody = Watched(watch, AT_ONCE)
        somebody.connection.watched = True
        somebody.connection.expect("abc")
        watch.heard(news(session="abc", certain=True))
        assert somebody.ending.reasons == []
        somebody.connection.identify("7", "abc")
        assert somebody.ending.reasons == ["Access was revoked."]

    async def test_while_it_changes(self, watch: Watch) -> None:
        """A login or logout of the connection itself does not end it, whatever it does."""
        somebody = Watched(watch, AT_ONCE)
        somebody.identity.reason = "Gone."
        somebody.connection.watched = True
        somebody.connection.identify("7", "abc")
        somebody.identity.gate.clear()
        watch.check_soon(somebody.connection)
        await asyncio.sleep(0)
        with somebody.connection.changing():
            watch.heard(news("7", certain=True))
            watch.heard(news(session="abc", certain=True))
            somebody.identity.gate.set()
            await watch.settle()  # of a check that began before
            somebody.connection.identify("8", "def")
        watch.heard(news(session="abc", certain=True))
        assert somebody.ending.reasons == []
        watch.heard(news(session="def", certain=True))
        assert somebody.ending.reasons == ["Access was revoked."]

    async def test_gap(self, watch: Watch) -> None:
        """Where some may have been missed, all who want them are checked."""
        ada, eve, joe = Watched(watch, AT_ONCE), Watched(watch, BY_CLOCK), Watched(watch, AT_ONCE)
        for somebody, key in ((ada, "7"), (eve, "8"), (joe, None)):
            somebody.connection.watched = True
            somebody.connection.identify(key)
        watch.check_all()
        await watch.settle()
        assert [each.identity.checks for each in (ada, eve, joe)] == [1, 0, 0]


async def test_change_from_another_loop(watch: Watch) -> None:
    """A login may run in another event loop than the connection."""
    somebody = Watched(watch, BY_CLOCK)
    async with watch.watching(somebody.connection):
        change = somebody.connection.change
        await asyncio.to_thread(lambda: asyncio.run(change("7", "abc")))
        assert somebody.connection in watch._by_user["7"]
        assert somebody.connection in watch._by_session["abc"]
        await somebody.connection.change(None)
        assert watch._by_user == {}


async def test_nothing_is_left() -> None:
    """A loop without connections has no watch."""
    watch = current_watch()
    assert current_watch() is watch
    with watch.held():
        somebody = Watched(watch, BY_CLOCK)
        async with watch.watching(somebody.connection):
            somebody.connection.identify("7", "abc")
            assert (len(watch._by_user), len(watch._by_session)) == (1, 1)
        assert (watch._by_user, watch._by_session) == ({}, {})
        assert asyncio.get_running_loop() in module._watches
    assert asyncio.get_running_loop() not in module._watches


def test_closed_loops_are_forgotten() -> None:
    """A loop that was closed with its connections does not stay."""
    held = contextlib.ExitStack()

    async def begin() -> None:
        held.enter_context(current_watch().held())

    asyncio.run(begin())
    closed = [loop for loop in module._watches if loop.is_closed()]
    assert len(closed) == 1
    asyncio.run(begin())
    assert not set(closed) & set(module._watches)
    held.close()
    assert not module._watches


def test_session_digest() -> None:
    """A session's key does not leave the process."""
    assert session_digest(None) is None
    assert session_digest("") is None
    assert session_digest("abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
