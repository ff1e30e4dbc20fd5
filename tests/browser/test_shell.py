"""What the docs have people type into `manage.py shell` reaches the browsers that are open."""

import contextlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.docs.snippets import ROOT, Snippet, snippets
from tests.docs.story import Story

pytestmark = pytest.mark.browser

#: Pages of the docs whose shell speaks to browsers, and the one that is open in a browser then.
OPEN = {"layers.md": "/announce/?text=First", "tutorial.md": "/"}

# The docs show no page for the board: its readers have one, such as this.
_BOARD = """() => {
  globalThis.socket = new WebSocket(`ws://${location.host}/ws/board/`);
  socket.onmessage = ({ data }) => {
    const item = document.createElement("li");
    item.textContent = data;
    document.body.append(item);
  };
}"""
_CONNECTED = """() => new Promise((resolve, reject) => {
  if (socket.readyState === WebSocket.OPEN) resolve();
  socket.addEventListener("open", () => resolve());
  socket.addEventListener("error", () => reject(new Error("The socket was refused.")));
})"""


def says(snippet: Snippet) -> list[str]:
    """What a snippet sends to browsers from the shell."""
    if snippet.verb != "run" or "group_send" not in snippet.text:
        return []
    return re.findall(r"manage\.py shell .*'text': '([^']*)'", snippet.text)


def up_to_the_shell(page: Path) -> list[Snippet]:
    """The snippets of a page, the last of them the one that speaks to browsers."""
    found = snippets(page)
    spoken = [number for number, snippet in enumerate(found) if says(snippet)]
    return found[: spoken[0] + 1] if spoken else []


def test_every_page_is_tried() -> None:
    """No page has a shell that speaks to browsers, and is not in the list above."""
    docs = (ROOT / "docs").glob("*.md")
    assert {page.name for page in docs if up_to_the_shell(page)} == set(OPEN)


@pytest.mark.pain(9)
@pytest.mark.parametrize("name", OPEN)
def test_shell_reaches_the_browser(name: str, browser: Browser, tmp_path: Path) -> None:
    """A page of the docs, played as far as its shell, while a browser looks at its server."""
    story = Story(tmp_path)
    *before, shell = up_to_the_shell(ROOT / "docs" / name)
    for snippet in before:
        if snippet.verb != "serve":
            story.play(snippet)
    server = next(snippet for snippet in reversed(before) if snippet.verb == "serve")
    with story.serve(server) as address, contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(address + OPEN[name])
        if name == "layers.md":
            page.evaluate(_BOARD)
        page.evaluate(_CONNECTED)
        story.play(shell)
        expect(page.locator("li")).to_have_text(says(shell))
