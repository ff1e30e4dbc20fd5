"""The server goes away and comes back, and so do the pages."""

import json
import re
import signal

import pytest
from playwright.sync_api import WebSocketRoute, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.browser.conftest import Visit
from tests.browser.people import Person
from tests.browser.server import ChatServer, Prepared

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_both_come_back(visit: Visit, server: ChatServer, sign: signal.Signals) -> None:
    """After a restart or a crash nothing is missing and nothing is there twice."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    ada.say("before")
    expect(mei.message("before")).to_be_visible()

    server.stop(sign)
    for person in (ada, mei):
        expect(person.notice).to_contain_text("Connection lost.")
    ada.say("meanwhile")
    expect(ada.waiting).to_have_text(["meanwhile"])
    server.say("Harbour", "Zoë", "from elsewhere")

    server.start()
    for person in (ada, mei):
        expect(person.notice).to_be_hidden()
        for text in ("before", "from elsewhere", "meanwhile"):
            expect(person.message(text)).to_have_count(1)
        expect(person.here).to_have_count(2)
    expect(ada.waiting).to_have_count(0)
    assert server.count("meanwhile") == 1

    mei.say("after")
    expect(ada.message("after")).to_be_visible()
    for person in (ada, mei):
        assert person.messages.all_text_contents()[-4:] == [
            "before",
            "from elsewhere",
            "meanwhile",
            "after",
        ]


def test_many_missed_messages(visit: Visit, server: ChatServer) -> None:
    """More than one answer's worth of messages is fetched in steps, in order."""
    ada = visit("Ada")
    ada.enter("Кухня")
    expect(ada.messages).to_have_count(1)
    server.stop(signal.SIGKILL)
    expect(ada.notice).to_be_visible()
    texts = [f"dish {number}" for number in range(120)]
    for text in texts:
        server.say("Кухня", "Mei", text)
    server.start()
    ada.page.get_by_role("button", name="Try now").click()
    expect(ada.messages).to_have_count(121)
    assert ada.messages.all_text_contents()[1:] == texts


def test_a_network_that_vanishes(visit: Visit) -> None:
    """A connection on which nothing comes any more is given up, although nobody has closed it."""
    ada = visit("Ada")
    ada.page.clock.install()
    ada.page.route_web_socket("**/ws/**", answer_once)
    ada.page.goto("/rooms/1/")
    expect(ada.page.get_by_text("Calm water.")).to_be_visible()
    ada.page.clock.fast_forward(25_000)  # the page asks whether anyone is there
    expect(ada.notice).to_be_hidden()
    ada.page.clock.fast_forward(8_000)
    expect(ada.notice).to_contain_text("Connection lost.")


def answer_once(socket: WebSocketRoute) -> None:
    """Be a server that vanishes when it has said that the room is empty."""
    empty = {"type": "messages", "part": "latest", "messages": [], "more": False}

    def answer(event: str | bytes) -> None:
        if json.loads(event)["type"] == "load":
            socket.send(json.dumps(empty))

    socket.on_message(answer)


def test_a_server_that_hangs(visit: Visit, server: ChatServer) -> None:
    """Who writes learns within seconds that nobody answers, and what they wrote is not lost."""
    ada = visit("Ada")
    ada.page.clock.install()
    ada.enter("Harbour")
    expect(ada.messages).not_to_have_count(0)
    server.hang()
    try:
        ada.say("Hello?")
        ada.page.clock.fast_forward(8_000)
        expect(ada.notice).to_contain_text("Connection lost.")
        expect(ada.waiting).to_have_text(["Hello?"])
        ada.page.clock.fast_forward(15_000)  # the next attempt hangs, too, and is given up
        expect(ada.notice).to_be_visible()
    finally:
        server.go_on()
    # In the page's own time: the browser may have connected already when it asks for it.
    ada.page.clock.fast_forward(15_000)
    expect(ada.notice).to_be_hidden()
    expect(ada.message("Hello?")).to_have_count(1)
    assert server.count("Hello?") == 1


def test_waits_grow_and_differ(visit: Visit) -> None:
    """Attempts are spread, and get rarer, up to a limit."""
    waits = visit("Ada").page.evaluate(
        """async () => {
            const { backOff } = await import("/static/chat/js/socket.js");
            const range = (n) => [backOff(n, () => 0), backOff(n, () => 1)];
            return [0, 1, 2, 5, 1000].map(range);
        }"""
    )
    assert waits == [[250, 500], [500, 1000], [1000, 2000], [7500, 15_000], [7500, 15_000]]


@pytest.mark.parametrize(
    ("reason", "least", "most"),
    [("The server is restarting. retry=2.5", 2500, 2500), ("The server is restarting.", 250, 500)],
)
def test_comes_back_when_it_is_asked_to(
    visit: Visit, reason: str, least: float, most: float
) -> None:
    """A server that restarts says when to come back, so that not all come at once."""
    delay = visit("Ada").page.evaluate(
        """async (reason) => {
            const { LiveSocket } = await import("/static/chat/js/socket.js");
            const opened = [];
            window.WebSocket = class { constructor() { opened.push(this); } close() {} };
            const socket = new LiveSocket("/ws/");
            const down = new Promise((resolve) => socket.addEventListener("down", resolve));
            socket.retry();
            opened[0].onopen();
            opened[0].onclose({ code: 1012, reason });
            return (await down).detail.delay;
        }""",
        reason,
    )
    assert least <= delay <= most


def test_a_session_that_ended_meanwhile(visit: Visit, server: ChatServer) -> None:
    """Who may not come back is asked to log in, instead of trying for ever."""
    ada = visit("Ada")
    ada.enter("Harbour")
    server.stop()
    server.end_sessions()
    server.start()
    expect(ada.page.get_by_role("heading", name="Come aboard")).to_be_visible()
    expect(ada.page).to_have_url(f"{server.address}/login/?next=/rooms/1/")


def test_a_logout_ends_the_other_tabs(visit: Visit) -> None:
    """Who logs out in one tab is asked who they are in the others."""
    ada = visit("Ada")
    other = ada.tab()
    other.goto("/")
    ada.enter("Harbour")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("heading", name="Come aboard")).to_be_visible()
    expect(ada.page.get_by_role("heading", name="Come aboard")).to_be_visible()


def test_back_to_the_page_of_someone_else(
    visit: Visit, server: ChatServer, prepared: Prepared
) -> None:
    """A page that the browser has kept does not speak for whoever has logged in since."""
    ada = visit("Ada")
    ada.enter("Harbour")
    ada.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    session = prepared.sessions["Mei"]
    ada.context.add_cookies([{"name": "sessionid", "value": session, "url": server.address}])
    ada.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(ada.here).to_have_text([re.compile(r"Mei \(you\)")])


def test_a_room_that_was_deleted(visit: Visit, server: ChatServer) -> None:
    """Who says something in a room that is gone is told so."""
    ada = visit("Ada")
    ada.enter("Кухня")
    expect(ada.messages).to_have_count(1)
    room = ada.page.url.rstrip("/").rpartition("/")[2]
    server.change("DELETE FROM chat_roommessage WHERE room_id = ?", room)
    server.change("DELETE FROM chat_room WHERE id = ?", room)
    with ada.page.expect_console_message(lambda message: "404 (Not Found)" in message.text):
        ada.say("Is there any soup left?")
    expect(ada.page.get_by_role("heading", name="Page not found")).to_be_visible()
    ada.page.close()  # it may be asking for the icon of that page still
    ada.complaints.clear()  # the browser calls an answer of 404 an error


def cookies(person: Person) -> str:
    """What the browser of someone would send with a handshake."""
    return "; ".join(f"{each['name']}={each['value']}" for each in person.context.cookies())


@pytest.fixture
def address(server: ChatServer) -> str:
    """The WebSocket address of a room that exists."""
    return server.address.replace("http", "ws", 1) + "/ws/rooms/1/"


def handshake(address: str, origin: str | None, cookies: str = "") -> ClientConnection:
    """Open a WebSocket as a page of `origin` would."""
    headers = {"Cookie": cookies} if cookies else {}
    return connect(
        address, origin=Origin(origin) if origin else None, additional_headers=headers, proxy=None
    )


def test_own_pages_only(visit: Visit, server: ChatServer, address: str) -> None:
    """A page of another site gets no socket, although the browser sends the visitor's cookies."""
    mine = cookies(visit("Ada"))
    for foreign in ("http://elsewhere.example", "https://127.0.0.1.elsewhere.example", "null"):
        with pytest.raises(InvalidStatus) as refusal:
            handshake(address, foreign, mine)
        assert refusal.value.response.status_code == 403
    with handshake(address, server.address, mine) as socket:
        assert json.loads(socket.recv())["type"] == "welcome"


def test_not_anonymous(server: ChatServer, address: str) -> None:
    """Who is not logged in gets no socket, and a forged session is no login."""
    for nobody in ("", "sessionid=forged"):
        with pytest.raises(InvalidStatus) as refusal:
            handshake(address, server.address, nobody)
        assert refusal.value.response.status_code == 403
