"""Several processes serve the chat, and nobody notices."""

import os
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.server import ChatServer

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("server", ["workers"], indirect=True)
def test_killed_workers(visit: Visit, server: ChatServer) -> None:
    """Whichever worker is killed, everybody is back soon, sees everybody, and hears everybody."""
    people = [visit(name) for name in ("Ada", "Mei", "Kofi")]
    for person in people:
        person.enter("Harbour")
    for person in people:
        expect(person.here).to_have_count(3)
    workers = server.workers()
    assert len(workers) == 2
    for number, worker in enumerate(workers):
        os.kill(worker, signal.SIGKILL)
        people[number].say(f"after {number}")
        for person in people:
            expect(person.message(f"after {number}")).to_be_visible()
            expect(person.here).to_have_count(3)
            expect(person.notice).to_be_hidden()
    people.pop().context.close()
    for person in people:
        expect(person.here).to_have_count(2)
