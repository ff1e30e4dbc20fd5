"""What the pages promise of the servers that they start: each function tries one address."""

import asyncio
import contextlib
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

__all__ = [
    "all_four_ways_bring_the_news",
    "crew_comes_and_goes",
    "everyone_hears_everyone",
    "it_is_healthy",
    "it_serves",
    "it_tells_its_health",
    "login_in_the_socket",
    "logout_ends_the_socket",
    "page_answers_what_one_types",
    "processes_reach_each_other",
    "rooms_are_apart",
    "the_old_chat_talks",
    "tokens_open_and_renew",
    "windows_hear_each_other",
]

#: Those that drive a real browser.
IN_A_BROWSER = {
    "all_four_ways_bring_the_news",
    "crew_comes_and_goes",
    "page_answers_what_one_types",
    "windows_hear_each_other",
}


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The Chromium of this machine; ``tools/system-packages`` has seen to it that there is one."""
    commands = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, commands)), None)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


async def say(page: Page, words: str) -> None:
    """Type into the page's one field and press Enter."""
    await page.wait_for_function("socket.readyState === WebSocket.OPEN")
    await page.get_by_label("Message").fill(words)
    await page.get_by_label("Message").press("Enter")


def socket(address: str, path: str) -> connect:
    """A WebSocket to a server, with the origin of its own pages."""
    return connect(address.replace("http", "ws", 1) + path, origin=address)  # type: ignore[arg-type] # a NewType of str


async def hears(client: ClientConnection, words: str) -> None:
    """The next message of a socket is this."""
    assert await client.recv() == words


async def windows_hear_each_other(address: str) -> None:
    """What one types into the console of a window is told in those of both."""
    script = Path(__file__).with_name("console.js").read_text(encoding="utf-8")
    async with chromium() as browser:
        anna, ben = await browser.new_page(), await browser.new_page()
        for page in (anna, ben):
            await page.goto(address)
        async with tells(anna, '"Ahoy"'):
            await anna.add_script_tag(content=script)
        async with tells(anna, '"Ahoy"'), tells(ben, '"Ahoy"'):
            await ben.add_script_tag(content=script)


@contextlib.asynccontextmanager
async def tells(page: Page, words: str) -> AsyncIterator[None]:
    """The next line that a page's own scripts log is this."""
    async with page.expect_console_message(lambda line: line.type == "log") as line:
        yield
    assert (await line.value).text == words


async def page_answers_what_one_types(address: str) -> None:
    """The page's own script sends what is typed and shows the answer, as text."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(address)
        await say(page, "<b>Ahoy</b>")
        await expect(page.locator("li")).to_have_text("You said: <b>Ahoy</b>")


async def everyone_hears_everyone(address: str) -> None:
    """What one socket says reaches it and the other one."""
    async with socket(address, "/ws/live/") as anna, socket(address, "/ws/live/") as ben:
        await anna.send("Ahoy")
        await hears(anna, "Someone said: Ahoy")
        await hears(ben, "Someone said: Ahoy")


async def rooms_are_apart(address: str) -> None:
    """A message is heard in its own room, whatever script the room's name is written in."""
    harbour, other = "/ws/live/harbour/", "/ws/live/H%C3%A4fen/"
    async with (
        socket(address, harbour) as anna,
        socket(address, harbour) as ben,
        socket(address, other) as carla,
    ):
        await carla.send("Moin")
        await hears(carla, "You: Moin")
        await ben.send("Here")
        await hears(ben, "You: Here")
        await anna.send("Ahoy")
        await hears(ben, "Someone: Ahoy")
        # Carla's next message is her own, so nothing of the harbour came in between.
        await carla.send("Still alone")
        await hears(carla, "You: Still alone")


async def the_old_chat_talks(address: str) -> None:
    """A project that was written for Channels carries a message from one to the other."""
    async with (
        socket(address, "/ws/chat/lobby/") as anna,
        socket(address, "/ws/chat/lobby/") as ben,
    ):
        await anna.send('{"message": "hello"}')
        for client in (anna, ben):
            assert json.loads(await client.recv()) == {"message": "hello"}


def untrusting() -> ssl.SSLContext:
    """TLS with whoever is there: the pages make certificates that nobody has signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def crew_comes_and_goes(address: str) -> None:
    """Two pages show who is there, whichever process they are at, and so does a view."""
    async with chromium() as browser, httpx.AsyncClient(base_url=address) as client:
        ada, mei, again = [await browser.new_page() for _ in range(3)]
        for page, name in ((ada, "Ada"), (mei, "Mei"), (again, "Mei")):
            await page.goto(f"{address}/?name={name}")
        for page in (ada, mei, again):
            await expect(page.locator("li")).to_have_count(2, timeout=60_000)
        assert (await client.get("/count/")).json() == {"count": 2}
        await again.close()
        await mei.reload()
        await expect(mei.locator("#count")).to_have_text("2")
        await mei.close()
        await expect(ada.locator("li")).to_have_text(["Ada"], timeout=60_000)
        while (await client.get("/count/")).json() != {"count": 1}:  # the other process's view
            await ada.wait_for_timeout(100)


async def it_serves(address: str) -> None:
    """A page comes, and a socket answers, with TLS or without."""
    context = untrusting()
    async with httpx.AsyncClient(base_url=address, verify=context) as client:
        assert (await client.get("/health/")).text == "fine"
    encrypted = context if address.startswith("https") else None
    async with connect(f"ws{address[4:]}/ws/echo/", ssl=encrypted) as echo:
        await echo.send("Ahoy")
        await hears(echo, "Ahoy")


async def it_tells_its_health(address: str) -> None:
    """The server answers for itself."""
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/-/health")).text == "healthy\n"
        assert (await client.get("/-/ready")).text == "ready\n"


async def it_is_healthy(address: str) -> None:
    """Both views for checks answer."""
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/health/")).text == "fine"
        assert "sent" in (await client.get("/ready/")).json()["layer"]


async def processes_reach_each_other(address: str) -> None:
    """What a view announces reaches the sockets of all workers."""
    async with contextlib.AsyncExitStack() as stack, httpx.AsyncClient(timeout=60) as client:
        sockets: list[ClientConnection] = []
        told = 0
        while told < 2:
            sockets.append(await stack.enter_async_context(socket(address, "/ws/board/")))
            answer = await client.get(f"{address}/announce/", params={"text": "Land"})
            told = answer.json()["processes"]
            for each in sockets:
                await hears(each, "Land")


@contextlib.asynccontextmanager
async def ada(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the administrator of the page's project is logged in."""
    async with httpx.AsyncClient(base_url=address, follow_redirects=True) as browser:
        await browser.get("/admin/login/")
        form = {"username": "ada", "password": "at-the-helm", "next": "/admin/"}
        await submit(browser, "/admin/login/", form)
        assert "sessionid" in browser.cookies
        yield browser


async def submit(browser: httpx.AsyncClient, path: str, form: dict[str, str]) -> None:
    """Send a form to a page of Django's."""
    answer = await browser.post(
        path, data={**form, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    )
    assert answer.status_code == 200


async def logout_ends_the_socket(address: str) -> None:
    """Who logs out on the site is closed with 4401; who did not log in is turned away."""
    url = address.replace("http", "ws", 1) + "/ws/desk/"
    origin: Any = address
    async with ada(address) as browser:
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
        async with connect(url, origin=origin, additional_headers=cookie) as client:
            await client.send("Ahoy")
            await hears(client, "ada says Ahoy")
            await submit(browser, "/admin/logout/", {})
            await client.wait_closed()
            assert client.close_code == 4401
    with pytest.raises(InvalidStatus, match="403"):
        await connect(url, origin=origin)


async def login_in_the_socket(address: str) -> None:
    """A socket becomes the administrator's, and nobody's again."""
    async with socket(address, "/ws/desk/") as client:
        login = {"type": "login", "username": "ada", "password": "at-the-helm"}
        await client.send(json.dumps({**login, "password": "wrong"}))
        await hears(client, '""')
        await client.send(json.dumps(login))
        await hears(client, '"ada"')
        await client.send(json.dumps({"type": "logout"}))
        await hears(client, '""')


async def tokens_open_and_renew(address: str) -> None:
    """A token of the site opens a socket and keeps it open; without one there is none."""
    url = address.replace("http", "ws", 1) + "/ws/desk/"
    async with ada(address) as browser:
        token, another = [(await browser.get("/token/")).json()["token"] for _ in range(2)]
    offered: Any = ["bearer", token]
    async with connect(url, subprotocols=offered) as client:
        assert client.subprotocol == "bearer"
        await client.send("Ahoy")
        await hears(client, "ada (mysite) says Ahoy")
        await client.send(json.dumps({"type": "auth.renew", "token": another}))
        assert json.loads(await client.recv())["type"] == "auth.renewed"
    with pytest.raises(InvalidStatus, match="401"):
        await connect(f"{url}?token=bad")


async def all_four_ways_bring_the_news(address: str) -> None:
    """What one types is in each of the page's lists, and completes a response that waits for it."""
    lists = ("short", "long", "stream", "socket")
    async with chromium() as browser, httpx.AsyncClient(timeout=60) as client:
        page = await browser.new_page()
        await page.goto(address)
        waiting = asyncio.ensure_future(client.get(f"{address}/news/next/"))
        field = page.get_by_label("Text")
        # Until everybody listens; what is said before is no news to a socket.
        while not (waiting.done() and all([await page.locator(f"#{x} li").count() for x in lists])):
            await field.fill("Ahoy")
            await field.press("Enter")
            await page.wait_for_timeout(100)
        assert (await waiting).text == "Ahoy"
        await field.fill("<b>Land</b>")
        await field.press("Enter")
        for name in lists:
            await expect(page.locator(f"#{name} li").last).to_have_text("<b>Land</b>")
