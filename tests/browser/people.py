"""What a person does with the chat in a browser."""

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

#: Everything a person does waits for its effect this long at most, in milliseconds.
PATIENCE = 30_000

# What becomes of the sockets of a page, written where a test can wait for it: on the root element.
_WATCH = """
window.WebSocket = class extends WebSocket {
  constructor(...address) {
    super(...address);
    const seen = document.documentElement.dataset;
    const count = (what) => (seen[what] = Number(seen[what] ?? 0) + 1);
    count("opened");
    this.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "worker") seen.worker = event.pid;
    });
    this.addEventListener("close", () => {
      count("closed");
      delete seen.worker;
    });
  }
};
"""


class Person:
    """One of the demo's people, in a browser of their own, on the home page.

    Args:
        context: A browser context whose base URL is the chat's.
        address: The chat's address.
        name: Who it is.
        session: The key of the session in which they are logged in.

    Attributes:
        page: The tab that is looked at.
        complaints: What the browser has complained about: errors in scripts, violations of the
            Content Security Policy, dialogs that a hostile message has opened.
    """

    def __init__(self, context: BrowserContext, address: str, name: str, session: str) -> None:
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
        self.context = context
        self.name = name
        self.complaints: list[str] = []
        self.page = self.tab()
        self.page.goto("/")
        expect(self.page.get_by_role("heading", name=f"Ahoy, {name}")).to_be_visible()

    def tab(self) -> Page:
        """Open one more tab, empty."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        return page

    def _console(self, message: ConsoleMessage) -> None:
        # A server that is away is no fault of the page; the browser reports it all the same.
        away = re.search(r"WebSocket connection|ERR_CONNECTION|ERR_EMPTY_RESPONSE", message.text)
        if message.type == "error" and not away:
            self.complaints.append(message.text)

    def watch(self) -> None:
        """Let the pages that are loaded from now on tell what becomes of their sockets."""
        self.context.add_init_script(_WATCH)

    @property
    def worker(self) -> int:
        """The process that serves the page's socket, of a server that tells; see where.py."""
        root = self.page.locator("html")
        expect(root).to_have_attribute("data-worker", re.compile(r"^\d+$"))
        return int(root.get_attribute("data-worker") or "")

    @property
    def sockets(self) -> tuple[int, int]:
        """How many sockets the page has opened since it was loaded, and how many are closed."""
        root = self.page.locator("html")
        opened, closed = (root.get_attribute(f"data-{what}") for what in ("opened", "closed"))
        return int(opened or 0), int(closed or 0)

    def enter(self, room: str) -> None:
        """Go into a room of the sidebar, and wait until one is there."""
        self.page.locator("#rooms").get_by_role("link", name=room, exact=True).click()
        expect(self.page.get_by_role("heading", name=room, level=1)).to_be_visible()
        expect(self.here.filter(has_text="(you)")).to_have_count(1)

    def write_to(self, name: str) -> None:
        """Open the private conversation with someone."""
        self.page.get_by_role("link", name="Harbour").first.click()
        self.page.get_by_role("main").get_by_role("link", name=name).click()
        expect(self.page.get_by_role("heading", name=name, level=1)).to_be_visible()

    def say(self, text: str) -> None:
        """Write a message and send it."""
        self.page.get_by_label("Message to").fill(text)
        self.page.get_by_label("Message to").press("Enter")

    @property
    def messages(self) -> Locator:
        """What is said on the page, one element for each message that the server has."""
        return self.page.get_by_role("log").locator(".text")

    @property
    def waiting(self) -> Locator:
        """Messages that the server has not confirmed yet."""
        return self.page.get_by_role("list", name="On the way").locator(".text")

    def message(self, text: str) -> Locator:
        """The messages whose whole text this is."""
        return self.messages.filter(has_text=re.compile(f"^{re.escape(text)}$"))

    @property
    def here(self) -> Locator:
        """The people in the room, those who are just leaving left out."""
        return self.page.locator("#people li:not(.leaving)")

    @property
    def toasts(self) -> Locator:
        """Private messages announced on another page than their own."""
        return self.page.get_by_role("status", name="New private messages").locator(".toast")

    def unread(self, name: str) -> Locator:
        """The badge that counts what is unread from someone."""
        return self.page.locator("#partners li").filter(has_text=name).locator(".count")

    @property
    def notice(self) -> Locator:
        """The strip that is there while the connection is not."""
        return self.page.locator("#notice")

    def photograph(self, path: Path) -> None:
        """Keep what the page looks like."""
        self.page.screenshot(path=path)
