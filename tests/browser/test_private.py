"""Two people have a word in private."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.browser


def test_reaches_the_other_anywhere_and_nobody_else(visit: Visit) -> None:
    """A private message finds its reader in another room; a third person sees nothing."""
    ada, mei, kofi = visit("Ada"), visit("Mei"), visit("Kofi")
    mei.enter("Harbour")
    kofi.enter("Harbour")
    ada.write_to("Mei")
    ada.say("Between us: the cake is lemon.")
    expect(ada.message("Between us: the cake is lemon.")).to_be_visible()
    expect(mei.toasts).to_contain_text("the cake is lemon")
    expect(mei.unread("Ada")).to_have_text("1")
    expect(mei.page).to_have_title("(1) Harbour · Harbour")
    mei.say("Ahem.")  # the room's next message has come to Kofi: so would the one before it have
    expect(kofi.message("Ahem.")).to_be_visible()
    expect(kofi.toasts).to_have_count(0)
    expect(kofi.page.locator("#partners li")).to_have_count(0)
    assert "lemon" not in kofi.page.content()

    mei.toasts.get_by_role("link").click()
    expect(mei.message("Between us: the cake is lemon.")).to_be_visible()
    expect(mei.unread("Ada")).to_be_hidden()
    mei.say("My favourite.")
    expect(ada.message("My favourite.")).to_be_visible()
    expect(ada.toasts).to_have_count(0)

    kofi.write_to("Mei")
    expect(kofi.page.get_by_text("Calm water.")).to_be_visible()


def test_reading_in_one_tab_clears_the_others(visit: Visit) -> None:
    """What is unread is announced on the room list too, until it has been read anywhere."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.write_to("Mei")
    ada.say("one")
    ada.say("two")
    expect(mei.unread("Ada")).to_have_text("2")
    other = mei.tab()
    other.goto("/")
    expect(other.locator("#partners .count")).to_have_text("2")
    other.get_by_role("navigation").get_by_role("link", name="Ada").click()
    expect(other.get_by_role("log").get_by_text("two")).to_be_visible()
    expect(mei.unread("Ada")).to_be_hidden()
    expect(mei.page).to_have_title("Harbour")


def test_from_the_list_of_people(visit: Visit) -> None:
    """A name in the room's list is the way to a private word."""
    ada, mei = visit("Ada"), visit("Mei")
    ada.enter("Harbour")
    mei.enter("Harbour")
    ada.here.get_by_role("link", name="Mei").click()
    expect(ada.page.get_by_text("Only the two of you see this")).to_be_visible()
