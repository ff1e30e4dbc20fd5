"""Chromium, the chat as a process of its own, and people who use it.

Playwright's synchronous API keeps an event loop running in this thread for as long as it is
started, so no asynchronous test may run meanwhile: its fixture ends with each module.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from tests.browser.people import PATIENCE, Person
from tests.browser.server import ChatServer, Prepared, prepare

Visit = Callable[..., Person]

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright itself."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as started:
        yield started


def launch(playwright: Playwright) -> Browser:
    """Start one more Chromium."""
    executable = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    assert executable, 'No Chromium found: install it, or run pytest with -m "not browser".'
    return playwright.chromium.launch(executable_path=executable, args=_FLAGS)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The Chromium that the people of a module share, each with a context of their own."""
    with contextlib.closing(launch(playwright)) as browser:
        yield browser


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The database and the sessions that each test starts with."""
    return prepare(tmp_path_factory.mktemp("chat"))


@pytest.fixture
def server(
    request: pytest.FixtureRequest, prepared: Prepared, tmp_path: Path
) -> Iterator[ChatServer]:
    """The chat on Fairway, or on what the test asks for by parametrising this fixture."""
    with ChatServer(prepared, tmp_path, getattr(request, "param", "fairway")).serving() as server:
        yield server


@pytest.fixture
def visit(browser: Browser, server: ChatServer, prepared: Prepared) -> Iterator[Visit]:
    """A function that lets someone in, with a browser context of their own.

    Its keyword arguments are those of Playwright's `new_context`, and `chromium` to use another
    browser than the module's. In the end no page may have had an error, broken the site's policy,
    or opened a dialog.
    """
    people: list[Person] = []

    def visit(name: str, chromium: Browser = browser, **options: Any) -> Person:
        context = chromium.new_context(base_url=server.address, **options)
        people.append(Person(context, server.address, name, prepared.sessions[name]))
        return people[-1]

    yield visit
    for person in people:
        if person.context.browser is None or person.context.browser.is_connected():
            person.context.close()
    assert {person.name: person.complaints for person in people if person.complaints} == {}
