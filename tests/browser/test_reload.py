"""The chat under ``manage.py runserver`` while somebody works on it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import CHAT, ChatServer, Prepared

pytestmark = pytest.mark.browser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the chat, to work on."""
    folder = tmp_path / "chat"
    shutil.copytree(CHAT, folder, ignore=shutil.ignore_patterns("*.sqlite3*", "__pycache__"))
    return folder


@pytest.fixture
def server(prepared: Prepared, tmp_path: Path, folder: Path) -> Iterator[ChatServer]:
    """The chat from that copy, under the command that starts anew when a file changes."""
    with ChatServer(prepared, tmp_path, "reloading", folder).serving() as server:
        server.stop()
        server.start()  # at a port of its own now, which it keeps when it reloads
        yield server


def test_saved(visit: Visit, server: ChatServer, folder: Path) -> None:
    """A saved file is served, and the page that was open is connected again by itself."""
    ada, mei = visit("Ada"), visit("Mei")
    for person in (ada, mei):
        person.enter("Harbour")
    before = len(server.output)
    consumers = folder / "chat" / "consumers.py"
    draft = consumers.with_suffix(".draft")
    draft.write_text(consumers.read_text() + "\nprint('The new code runs')\n")
    draft.replace(consumers)

    expect(ada.notice).to_be_visible()
    for person in (ada, mei):
        expect(person.notice).to_be_hidden()
        expect(person.here).to_have_count(2)
    ada.say("Still there?")
    expect(mei.message("Still there?")).to_be_visible()
    assert "The new code runs\n" in server.output[before:]
    expect(ada.here).to_have_text([re.compile(r"Ada \(you\)"), re.compile("Mei")])
