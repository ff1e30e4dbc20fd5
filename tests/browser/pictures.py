"""Take the pictures of the chat that README and docs show.

    python -m tests.browser.pictures docs/images

Two sizes, with the same talk in both: four people in a room, and a private message for the reader.
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.conftest import launch
from tests.browser.people import Person
from tests.browser.server import ChatServer, prepare

ROOM = "Harbour"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TALK = [
    ("Kofi", "Anyone up for a row round the island after work? The water is like glass."),
    ("Ada", "Yes! The lemon cake is on me 🍋"),
    ("Mei", "In. Which boat?"),
    ("Kofi", "The blue one, she only leaks a little."),
    (
        "Kofi",
        "Six at the slip, then. Bring a jumper, it gets cold when the sun is behind the hill.",
    ),
    ("Zoë", "Room for one more?"),
    ("Ada", "Always. Six it is."),
]


class Crew:
    """The demo's people, each in the room."""

    def __init__(self, browser: Browser, server: ChatServer, sessions: dict[str, str]) -> None:
        self._browser, self._server, self._sessions = browser, server, sessions

    def visit(self, name: str, **options: Any) -> Person:
        """Bring someone into the room."""
        context = self._browser.new_context(base_url=self._server.address, **options)
        person = Person(context, self._server.address, name, self._sessions[name])
        person.enter(ROOM)
        return person


@contextlib.contextmanager
def crew() -> Iterator[Crew]:
    """Start all that it takes."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        prepared = prepare(Path(name))
        with ChatServer(prepared, Path(name)).serving() as server:
            yield Crew(launch(playwright), server, dict(prepared.sessions))


def main(directory: Path) -> None:
    """Take both."""
    with crew() as people:
        there = {name: people.visit(name) for name in ("Ada", "Kofi", "Mei", "Zoë")}
        pictures = {
            "chat-desktop.png": people.visit("Ada", device_scale_factor=2, **DESKTOP),
            "chat-phone.png": people.visit(
                "Ada", device_scale_factor=2, color_scheme="dark", **PHONE
            ),
        }
        for name, text in TALK:
            there[name].say(text)
            for reader in pictures.values():
                expect(reader.message(text)).to_be_visible()
        there["Mei"].page.goto("/people/1/")
        there["Mei"].say("Shall we tell Kofi about the cake, or surprise him?")
        for reader in pictures.values():
            expect(reader.toasts).to_have_count(1)
        there["Mei"].page.goto("/rooms/1/")
        for file, reader in pictures.items():
            expect(reader.here).to_have_count(4)
            reader.page.screenshot(path=directory / file, animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
