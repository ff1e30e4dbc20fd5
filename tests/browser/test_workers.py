"""The chat in two processes, as `make chat` runs it, that find each other without a setting."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.people import Person
from tests.browser.server import ChatServer

pytestmark = pytest.mark.browser

telling = pytest.mark.parametrize("server", ["telling"], indirect=True)


def enter_apart(first: Person, *others: Person, room: str = "Harbour") -> None:
    """Let people into a room, the first on one worker and the others on another one."""
    for person in (first, *others):
        person.watch()
        person.enter(room)
    for other in others:
        part(first, other)


def part(first: Person, other: Person) -> None:
    """Have another worker for the other one.

    The system chooses the worker by the number of the connection's port, so one who came to the
    wrong one loads the page anew.
    """
    for _ in range(100):
        if other.worker != first.worker:
            break
        other.page.reload()
    else:
        raise AssertionError("All of a hundred connections came to the same worker.")
    expect(other.here.filter(has_text="(you)")).to_have_count(1)


@telling
def test_hear_each_other(visit: Visit) -> None:
    """Who is on another worker is there, is heard, and may be written to in private."""
    ada, mei = visit("Ada"), visit("Mei")
    enter_apart(ada, mei)
    for person in (ada, mei):
        expect(person.here).to_have_count(2)
    ada.say("Can you hear me?")
    expect(mei.message("Can you hear me?")).to_be_visible()
    mei.say("Loud and clear")
    expect(ada.message("Loud and clear")).to_be_visible()
    ada.write_to("Mei")
    ada.say("psst")
    expect(mei.toasts).to_have_count(1)
    expect(mei.here).to_have_text([re.compile(r"Mei \(you\)")])
    assert mei.sockets == (1, 0)


@telling
def test_a_worker_is_killed(visit: Visit, server: ChatServer) -> None:
    """Its people come back by themselves; who left meanwhile is gone; the others notice nothing."""
    ada, mei, kofi = visit("Ada"), visit("Mei"), visit("Kofi")
    enter_apart(ada, mei, kofi)
    for person in (ada, mei, kofi):
        expect(person.here).to_have_count(3)
    killed = mei.worker
    os.kill(killed, signal.SIGSTOP)  # nothing can tell the others that Kofi leaves
    kofi.context.close()
    os.kill(killed, signal.SIGKILL)

    for person, other in ((ada, "Mei"), (mei, "Ada")):
        expect(person.here).to_have_text([re.compile(rf"{person.name} \(you\)"), re.compile(other)])
        expect(person.notice).to_be_hidden()
    assert mei.worker != killed
    mei.say("What was that?")
    expect(ada.message("What was that?")).to_be_visible()
    ada.say("What do you mean?")
    expect(mei.message("What do you mean?")).to_be_visible()
    assert ada.sockets == (1, 0)
    assert f"Worker {killed} was ended by SIGKILL" in "".join(server.output)


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
