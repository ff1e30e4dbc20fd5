"""``ChannelsLiveServerTestCase`` with a real browser, in both manners of Playwright."""

import shutil
from pathlib import Path

import pytest

from tests.testing.projects import run

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

TESTS = """
from django.contrib.auth.models import User
from fairway.testing import ChannelsLiveServerTestCase
from playwright.async_api import async_playwright
from playwright.sync_api import sync_playwright

TALK = '''url => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('["browser", "default"]');
    socket.onmessage = (event) => resolve(event.data);
    socket.onclose = () => reject("closed");
})'''
LAUNCH = {"executable_path": EXECUTABLE, "args": ["--no-sandbox", "--disable-gpu"]}

class AsyncTests(ChannelsLiveServerTestCase):
    async def test_page_and_socket(self):
        await User.objects.acreate(username="test")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(**LAUNCH)
            page = await browser.new_page()
            await page.goto(self.live_server_url + "/names/default/")
            assert await page.inner_text("body") == "test"
            heard = await page.evaluate(TALK, self.live_server_ws_url + "/ws/sync/")
            assert heard == '["browser", "test"]'
            await browser.close()
        assert await User.objects.acount() == 2

class SyncTests(ChannelsLiveServerTestCase):
    def test_page_and_socket(self):
        User.objects.create(username="test")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**LAUNCH)
            page = browser.new_page()
            page.goto(self.live_server_url + "/names/default/")
            assert page.inner_text("body") == "test"
            heard = page.evaluate(TALK, self.live_server_ws_url + "/ws/async/")
            assert heard == '["browser", "test"]'
            assert User.objects.count() == 2
            # The socket is still open when the test case ends.
"""


@pytest.mark.browser
@pytest.mark.row("1.9 ChannelsLiveServerTestCase")
def test_playwright(tmp_path: Path) -> None:
    """Pages and sockets share the test's in-memory database, and the end is quiet."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert executable, 'No Chromium found: install it, or run pytest with -m "not browser".'
    # Playwright's sync manner keeps an event loop running in the very thread of the test's ORM.
    settings = "import os\nos.environ['DJANGO_ALLOW_ASYNC_UNSAFE'] = '1'\n"
    tests = TESTS.replace("EXECUTABLE", repr(executable))
    run(tmp_path, tests, passed=2, conftest_py=settings)
