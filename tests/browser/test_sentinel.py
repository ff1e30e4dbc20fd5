"""The chat over a Redis that a Sentinel watches, while one server takes the place of another."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.people import Person
from tests.browser.server import ChatServer, Prepared
from tests.browser.test_workers import enter_apart
from tests.layers.redis.servers import RedisServer, until, watched

pytestmark = pytest.mark.browser

Watched = tuple[RedisServer, RedisServer, RedisServer]


@pytest.fixture
def redis() -> Iterator[Watched]:
    """A master, its replica, and a Sentinel that waits to be told that the master is dead."""
    with watched() as (master, replica, sentinel):
        sentinel.ask("SENTINEL", "SET", "main", "down-after-milliseconds", 600_000)
        yield master, replica, sentinel


@pytest.fixture
def server(redis: Watched, prepared: Prepared, tmp_path: Path) -> Iterator[ChatServer]:
    """The chat in two processes, which reach each other by whichever server is the master."""
    chat = ChatServer(
        prepared,
        tmp_path,
        "telling",
        DJANGO_SETTINGS_MODULE="tests.browser.sentinel",
        CHAT_SENTINEL=str(redis[2].port),
    )
    with chat.serving() as server:
        yield server


def talk(when: str, *people: Person) -> None:
    """Whatever one of them says, all of them hear."""
    for speaker in people:
        text = f"from {speaker.name}, {when}"
        speaker.say(text)
        for listener in people:
            expect(listener.message(text)).to_be_visible()


def role(server: RedisServer) -> str:
    """What it is now; nothing at the moment at which it changes, and ends all connections."""
    with contextlib.suppress(ConnectionError):
        return str(server.ask("ROLE")[0])
    return ""


def unharmed(*people: Person) -> None:
    """Nobody has lost the connection, missed anybody, or read anything twice."""
    for person in people:
        expect(person.here).to_have_count(len(people))
        expect(person.notice).to_be_hidden()
        texts = person.messages.all_text_contents()
        assert len(texts) == len(set(texts))
        assert person.sockets == (1, 0)


@pytest.mark.pain(1)
def test_the_master_dies(visit: Visit, redis: Watched) -> None:
    """No socket closes, nobody leaves, and what was said meanwhile is caught up with."""
    master, replica, sentinel = redis
    ada, mei = visit("Ada"), visit("Mei")
    enter_apart(ada, mei)
    talk("before", ada, mei)

    master.kill()
    for speaker, listener in ((ada, mei), (mei, ada)):
        text = f"from {speaker.name}, meanwhile"
        speaker.say(text)
        expect(speaker.message(text)).to_be_visible()
        expect(listener.message(text)).to_have_count(0)
    unharmed(ada, mei)

    sentinel.ask("SENTINEL", "FAILOVER", "main")
    for speaker, listener in ((ada, mei), (mei, ada)):
        expect(listener.message(f"from {speaker.name}, meanwhile")).to_be_visible()
    assert role(replica) == "master"
    talk("afterwards", ada, mei)

    master.start()  # as a master of nobody, until the Sentinel has told it
    until(lambda: role(master) == "slave")
    talk("in the end", ada, mei)
    unharmed(ada, mei)


def test_the_master_is_replaced(visit: Visit, redis: Watched) -> None:
    """The same where both servers live, and the one that was the master becomes a replica."""
    master, replica, sentinel = redis
    ada, mei = visit("Ada"), visit("Mei")
    enter_apart(ada, mei)
    talk("before", ada, mei)
    sentinel.ask("SENTINEL", "FAILOVER", "main")
    talk("meanwhile", ada, mei)
    until(lambda: (role(master), role(replica)) == ("slave", "master"))
    talk("afterwards", ada, mei)
    unharmed(ada, mei)
