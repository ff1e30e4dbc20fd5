"""The chat over Redis, which goes away and comes back while people talk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import ChatServer, Prepared
from tests.browser.test_workers import enter_apart, part
from tests.layers.redis.servers import PATIENCE, RedisServer

pytestmark = pytest.mark.browser


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with RedisServer() as redis:
        yield redis


@pytest.fixture
def server(redis: RedisServer, prepared: Prepared, tmp_path: Path) -> Iterator[ChatServer]:
    """The chat in two processes, which reach each other by Redis alone."""
    address = f"redis://127.0.0.1:{redis.port}"
    with ChatServer(prepared, tmp_path, "telling", CHAT_REDIS=address).serving() as server:
        yield server


@pytest.mark.pain(1)
def test_redis_is_shut_down_and_started_again(
    visit: Visit, redis: RedisServer, server: ChatServer
) -> None:
    """No socket closes, nobody leaves, and what was said meanwhile is caught up with."""
    ada, mei = visit("Ada"), visit("Mei")
    enter_apart(ada, mei)
    ada.say("before")
    expect(mei.message("before")).to_be_visible()

    shut_down(redis)
    ada.say("from Ada, meanwhile")
    mei.say("from Mei, meanwhile")
    # Each process goes on by itself: it keeps what is said, and tells its own people.
    for speaker, listener in ((ada, mei), (mei, ada)):
        text = f"from {speaker.name}, meanwhile"
        expect(speaker.message(text)).to_be_visible()
        expect(speaker.waiting).to_have_count(0)
        expect(listener.message(text)).to_have_count(0)
        expect(speaker.notice).to_be_hidden()
        expect(speaker.here).to_have_count(2)

    redis.start()
    for speaker, listener in ((ada, mei), (mei, ada)):
        expect(listener.message(f"from {speaker.name}, meanwhile")).to_be_visible()
    for speaker, listener in ((ada, mei), (mei, ada)):
        speaker.say(f"from {speaker.name}, afterwards")
        expect(listener.message(f"from {speaker.name}, afterwards")).to_be_visible()
    assert [server.count(f"from {name}, meanwhile") for name in ("Ada", "Mei")] == [1, 1]
    for person in (ada, mei):
        expect(person.here).to_have_count(2)
        texts = person.messages.all_text_contents()
        assert len(texts) == len(set(texts))
        assert person.sockets == (1, 0)


def test_private_messages_while_redis_is_away(visit: Visit, redis: RedisServer) -> None:
    """They are announced when it is back, and both see them in the end."""
    mei, kofi = visit("Mei"), visit("Kofi")
    for person in (mei, kofi):
        person.watch()
    kofi.write_to("Mei")
    mei.enter("Harbour")
    part(kofi, mei)
    shut_down(redis)
    kofi.say("Are you there?")
    expect(kofi.message("Are you there?")).to_be_visible()
    expect(mei.unread("Kofi")).to_be_hidden()
    redis.start()
    expect(mei.unread("Kofi")).to_have_text("1")
    for person in (mei, kofi):
        assert person.sockets == (1, 0)
    mei.write_to("Kofi")
    expect(mei.message("Are you there?")).to_be_visible()
    mei.say("I am")
    expect(kofi.message("I am")).to_be_visible()


def test_room_that_is_opened_while_redis_is_away(visit: Visit, redis: RedisServer) -> None:
    """Everybody has it in the list when it is back, without loading the page again."""
    mei, kofi = visit("Mei"), visit("Kofi")
    enter_apart(mei, kofi)
    shut_down(redis)
    mei.page.goto("/")
    mei.page.get_by_label("Its name, in any script").fill("Lighthouse")
    mei.page.get_by_role("button", name="Open").click()
    expect(mei.page.get_by_role("heading", name="Lighthouse", level=1)).to_be_visible()
    redis.start()  # nobody but the process that opened it has been told
    expect(kofi.page.locator("#rooms").get_by_text("Lighthouse")).to_be_visible()


def test_logout_while_redis_is_away(visit: Visit, redis: RedisServer) -> None:
    """It takes place, and the tab on the other machine asks who they are when Redis is back."""
    ada, mei = visit("Ada"), visit("Mei")
    enter_apart(ada, mei)
    tab = mei.tab()
    tab.goto("/")
    shut_down(redis)
    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_role("heading", name="Come aboard")).to_be_visible()
    redis.start()
    expect(mei.page.get_by_role("heading", name="Come aboard")).to_be_visible()
    expect(ada.here).to_have_count(1)


def shut_down(redis: RedisServer) -> None:
    """Send what `redis-cli shutdown` sends, and wait until the server has ended."""
    with pytest.raises(ConnectionError):
        redis.ask("SHUTDOWN")
    assert redis.process is not None
    assert redis.process.wait(PATIENCE) == 0
