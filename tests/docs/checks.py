"""What the pages promise of the servers that they start: each function tries one address."""

import contextlib
import json
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, Page, async_playwright, expect
from websockets.asyncio.client import ClientConnection, connect

__all__ = [
    "everyone_hears_everyone",
    "json_reaches_everyone",
    "page_answers_what_one_types",
    "rooms_are_apart",
]

#: Those that drive a real browser.
IN_A_BROWSER = {"page_answers_what_one_types"}


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


async def json_reaches_everyone(address: str) -> None:
    """A JSON message comes back to its sender and to the other one."""
    async with socket(address, "/ws/talk/") as anna, socket(address, "/ws/talk/") as ben:
        await anna.send('{"word": "Ahoy"}')
        for client in (anna, ben):
            assert json.loads(await client.recv()) == {"word": "Ahoy"}


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
