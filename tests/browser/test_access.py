"""The chat by keyboard, on a phone, in the dark, and for newcomers."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visit
from tests.browser.server import ChatServer

pytestmark = pytest.mark.browser


FOCUSED = """() => {
    const each = document.activeElement;
    return [(each.ariaLabel ?? each.textContent).trim(), getComputedStyle(each).outlineStyle];
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this accessible name has the focus, and shows it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        label, outline = page.evaluate(FOCUSED)
        if re.search(name, label) and page.locator(":focus").count():
            assert outline == "solid"
            expect(page.locator(":focus")).to_be_in_viewport()
            return
    raise AssertionError(f"Tab never comes to {name!r}")


def test_by_keyboard_alone(browser: Browser, server: ChatServer, visit: Visit) -> None:
    """From the login to a private word and out again without a mouse."""
    mei = visit("Mei")
    mei.enter("Harbour")
    context = browser.new_context(base_url=server.address)
    page = context.new_page()
    page.goto("/login/")
    tab_to(page, "Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Ahoy, Ada")).to_be_visible()
    tab_to(page, "Skip to the content")
    tab_to(page, "^Harbour$")  # the brand, and then the room
    tab_to(page, "^Harbour$")
    page.keyboard.press("Enter")

    field = page.get_by_label("Message to Harbour")
    expect(field).to_be_focused()
    page.keyboard.type("one line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and another")
    page.keyboard.press("Enter")
    expect(mei.messages.last).to_have_text("one line\nand another", use_inner_text=True)
    expect(field).to_be_focused()
    expect(field).to_have_value("")

    tab_to(page, "^Send$")
    tab_to(page, "Mei$")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Mei", level=1)).to_be_visible()
    page.keyboard.type("psst")
    page.keyboard.press("Enter")
    expect(mei.toasts).to_contain_text("psst")
    context.close()


def test_names_for_everything(visit: Visit) -> None:
    """Every control has a name to read out, and new messages are announced."""
    ada = visit("Ada")
    pages = ["/", "/rooms/1/", "/people/2/"]
    for path in pages:
        ada.page.goto(path)
        nameless = ada.page.locator(
            "a:visible, button:visible, textarea, input:visible"
        ).evaluate_all(
            """all => all.filter(each => !(each.ariaLabel || each.textContent.trim()
                || each.labels?.length)).map(each => each.outerHTML)"""
        )
        assert nameless == []
        expect(ada.page.get_by_role("heading", level=1)).to_have_count(1)
    expect(ada.page.get_by_role("log", name="Messages")).to_be_attached()


def test_on_a_phone(visit: Visit) -> None:
    """Nothing is wider than the screen; the way back and the people are a tap away."""
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    ada, mei = visit("Ada", **phone), visit("Mei")
    mei.enter("Harbour")
    ada.enter("Harbour")
    mei.say("long" * 200)
    expect(ada.message("long" * 200)).to_be_visible()
    ada.page.get_by_role("button", name=re.compile("2 here")).tap()
    expect(ada.here.get_by_role("link", name="Mei")).to_be_visible()
    for path in ("/", ada.page.url, "/people/3/"):
        ada.page.goto(path)
        width = ada.page.evaluate("document.documentElement.scrollWidth")
        assert width == 390
    ada.page.get_by_role("link", name="All rooms").tap()
    expect(ada.page.get_by_role("heading", name="Open a room")).to_be_visible()


def test_the_people_of_a_room_by_keyboard(visit: Visit) -> None:
    """Where the list is behind a button, Tab goes into it, and Escape back out."""
    ada, mei = visit("Ada", viewport={"width": 820, "height": 1180}), visit("Mei")
    mei.enter("Harbour")
    ada.enter("Harbour")
    button = ada.page.get_by_role("button", name=re.compile("2 here"))
    button.press("Enter")
    ada.page.keyboard.press("Tab")
    expect(ada.here.get_by_role("link", name="Mei")).to_be_focused()
    ada.page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(ada.here.first).to_be_hidden()


@pytest.mark.parametrize("width", [320, 1280])
def test_long_names_and_many_rooms(visit: Visit, server: ChatServer, width: int) -> None:
    """Names are cut to the width that there is; what is private is not below 200 rooms."""
    name = "W" * 150
    server.change("UPDATE auth_user SET username = ? WHERE username = 'Zoë'", name)
    server.change("UPDATE chat_room SET name = ? WHERE name = 'Harbour'", name[:60])
    server.say(name[:60], name, "Hello.")
    for number in range(200):
        server.change(
            "INSERT INTO chat_room (name, created_at) VALUES (?, '2026-01-01')", f"Room {number}"
        )
    ada = visit("Ada", viewport={"width": width, "height": 640})
    expect(ada.page.locator("#partners").get_by_role("link", name="Mei")).to_be_in_viewport()
    expect(ada.page.get_by_text("There are more")).to_be_in_viewport()
    for path in ("/rooms/1/", "/people/4/"):
        ada.page.goto(path)
        expect(ada.page.get_by_role("log")).to_have_attribute("aria-busy", "false")
        for part in ("html", "main", ".scroller"):
            widths = ada.page.locator(part).evaluate("each => [each.scrollWidth, each.clientWidth]")
            assert widths[0] == widths[1], part


def test_light_and_dark(visit: Visit) -> None:
    """The page follows the system, and then the reader's choice, also after a reload."""
    ada = visit("Ada", color_scheme="dark")
    dark = "getComputedStyle(document.documentElement).backgroundColor"
    in_the_dark = ada.page.evaluate(dark)
    ada.page.get_by_role("button", name="Switch between light and dark").click()
    assert ada.page.evaluate(dark) != in_the_dark
    ada.page.reload()
    assert ada.page.evaluate(dark) != in_the_dark
    ada.page.get_by_role("button", name="Switch between light and dark").click()
    assert ada.page.evaluate(dark) == in_the_dark


def test_signing_up(browser: Browser, server: ChatServer) -> None:
    """A newcomer with a name in any script makes an account, talks, and logs out."""
    context = browser.new_context(base_url=server.address)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("Username").fill("Ουρανία")
    page.get_by_label("Password:").fill("three-lamps-lit")
    page.get_by_label("Password confirmation").fill("three-lamps-lit")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="Ahoy, Ουρανία")).to_be_visible()
    page.locator("#rooms").get_by_role("link", name="Harbour").click()
    page.get_by_label("Message to Harbour").fill("Hello, all.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("Hello, all.")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Come aboard")).to_be_visible()
    context.close()
