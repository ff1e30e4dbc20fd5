"""People talk in a room, and see who is there."""

import os
import re
import signal

import pytest
from playwright.sync_api import Browser, Error, Playwright, expect

from tests.browser.conftest import Visit, launch
from tests.browser.server import COMMANDS

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("server", COMMANDS, indirect=True)
def test_two_people_talk(visit: Visit) -> None:
    """What one says, the other sees, under our server, `runserver` and uvicorn alike."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    ada.say("Is the tide in?")
    expect(mei.message("Is the tide in?")).to_be_visible()
    mei.say("Nearly.")
    expect(ada.message("Nearly.")).to_be_visible()
    expect(ada.message("Is the tide in?")).to_have_count(1)
    expect(ada.waiting).to_have_count(0)


def test_what_was_said_before(visit: Visit) -> None:
    """Who comes later reads the last messages, and the ones before them on request."""
    ada = visit("Ada")
    ada.enter("Καφενείο")
    for number in range(60):
        ada.say(f"wave {number}")
    expect(ada.waiting).to_have_count(0)
    mei = visit("Mei")
    mei.enter("Καφενείο")
    expect(mei.messages).to_have_count(50)
    expect(mei.messages.last).to_have_text("wave 59")
    expect(mei.messages.last).to_be_in_viewport()
    mei.page.get_by_role("button", name="Earlier messages").click()
    expect(mei.messages).to_have_count(61)  # with the one of the demo
    expect(mei.messages).to_have_text([re.compile("καφέ"), *(f"wave {n}" for n in range(60))])
    expect(mei.page.get_by_role("button", name="Earlier messages")).to_be_hidden()


def test_reading_is_not_interrupted(visit: Visit) -> None:
    """Who reads further up stays there, and is told that there is something new."""
    ada, mei = visit("Ada"), visit("Mei")
    for person in (ada, mei):
        person.enter("Harbour")
    for number in range(30):
        ada.say(f"wave {number}")
    expect(mei.message("wave 29")).to_be_in_viewport()
    mei.message("wave 0").scroll_into_view_if_needed()
    ada.say("the last one")
    expect(mei.message("the last one")).to_be_attached()
    expect(mei.message("the last one")).not_to_be_in_viewport()
    mei.page.get_by_role("button", name="New messages").click()
    expect(mei.message("the last one")).to_be_in_viewport()


def test_a_new_room_in_any_script(visit: Visit) -> None:
    """A room may have any name; it appears on everyone's page, and can be entered from there."""
    ada, mei = visit("Ada"), visit("Mei")
    for name in ("茶室", "غرفة الشاي", "100 % / <b>café</b> ?#&"):
        ada.page.goto("/")
        ada.page.get_by_label("Its name, in any script").fill(name)
        ada.page.get_by_role("button", name="Open").click()
        expect(ada.page.get_by_role("heading", name=name, level=1)).to_be_visible()
        mei.enter(name)
        mei.say("So this is it.")
        expect(ada.message("So this is it.")).to_be_visible()


def test_three_tabs_are_one_person(visit: Visit) -> None:
    """The list shows people; tabs more or less make no difference."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    expect(ada.here).to_have_text([re.compile(r"Ada \(you\)"), re.compile("Mei")])
    tabs = [mei.tab(), mei.tab()]
    for tab in tabs:
        tab.goto(mei.page.url)
        expect(tab.locator("#people li")).to_have_count(2)
    expect(ada.here).to_have_count(2)
    for tab in tabs:
        tab.close()
    mei.say("Still here.")
    expect(ada.message("Still here.")).to_be_visible()
    expect(ada.here).to_have_count(2)
    mei.page.goto("/")
    expect(ada.here).to_have_text([re.compile(r"Ada \(you\)")])


def test_a_killed_browser_is_gone(visit: Visit, playwright: Playwright) -> None:
    """Nobody has to say goodbye: who is killed disappears from the list."""
    ada = visit("Ada")
    ada.enter("Harbour")
    other = launch(playwright)
    mei = visit("Mei", chromium=other)
    mei.enter("Harbour")
    expect(ada.here).to_have_count(2)
    kill(other)
    expect(ada.here).to_have_text([re.compile(r"Ada \(you\)")])
    expect(ada.page.locator("#people li")).to_have_count(1)


def kill(browser: Browser) -> None:
    """End a browser's main process without a chance to tidy up; the others of it follow."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    (main,) = (each["id"] for each in processes if each["type"] == "browser")
    os.kill(main, signal.SIGKILL)
    with pytest.raises(Error, match="closed"):
        session.send("Browser.getVersion")


def test_hostile_text_is_text(visit: Visit) -> None:
    """Whatever a message contains, it is shown as it was written, and does nothing."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    for hostile in (
        "<script>alert('script')</script>",
        "<img src=x onerror=alert('img')>",
        "</p></li></ol><h1>Owned</h1>",
        "{{ user.password }} {% debug %} &lt;b&gt;",
        "javascript:alert('link')",
        "\u202eesrever",
    ):
        ada.say(hostile)
        expect(mei.messages.last).to_have_text(hostile)
    expect(mei.page.locator(".text *")).to_have_count(0)
    expect(mei.page.get_by_role("heading", name="Owned")).to_have_count(0)
    ada.page.reload()
    expect(ada.message("<script>alert('script')</script>")).to_be_visible()


def test_empty_and_too_long(visit: Visit) -> None:
    """What cannot be sent is explained to the writer, who gets the text back; nobody sees it."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    expect(mei.messages).not_to_have_count(0)  # what the demo says is there
    count = mei.messages.count()
    problem = ada.page.get_by_role("alert")
    ada.page.get_by_label("Message to").fill("Twice?")
    ada.page.get_by_role("button", name="Send").dblclick()
    expect(mei.messages).to_have_count(count + 1)
    expect(problem).to_have_text("")
    ada.say("   ")
    expect(problem).to_have_text("Write something first.")
    ada.say("\u200b")
    expect(problem).to_have_text("Write something first.")
    ada.say("x" * 2001)
    expect(problem).to_have_text("That is too long: 2001 characters, and 2000 fit.")
    expect(ada.page.get_by_label("Message to")).to_have_value("x" * 2001)
    expect(ada.page.locator(".left")).to_have_text("-1")
    ada.say("x" * 1_100_000)  # more than the server would take in one message
    expect(problem).to_have_text("That is too long: 1100000 characters, and 2000 fit.")
    ada.say("x" * 2000)
    expect(mei.message("x" * 2000)).to_be_visible()
    expect(problem).to_have_text("")
    expect(mei.messages).to_have_count(count + 2)
