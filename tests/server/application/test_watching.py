"""Work that is done for a client, and given up when the client goes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from fairway._types import Event, Receive
from fairway.delivery import Mailbox
from fairway.server.application.watching import while_connected

GONE: Event = {"type": "http.disconnect"}

Work = Callable[[], Coroutine[Any, Any, None]]


async def until_gone(receive: Receive) -> None:
    """Ask another server for the end of its client."""
    event = await receive()
    if event != GONE:
        raise ValueError(event)


class Client:
    """A client of our server, or of another one.

    Attributes:
        receive: What its server gives the application.
    """

    def __init__(self, *, ours: bool) -> None:
        self.receive: Any
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        if ours:
            self.receive = Mailbox(asyncio.get_running_loop())
        else:
            self.receive = self._events.get

    def go(self) -> None:
        """It goes."""
        if isinstance(self.receive, Mailbox):
            self.receive.put_disconnect(GONE)
        else:
            self._events.put_nowait(GONE)

    def work(self, work: Work) -> "asyncio.Task[None]":
        """Have something done for it, in a task of its own."""
        return asyncio.create_task(while_connected(work(), self.receive, until_gone))


@pytest.fixture(params=[True, False], ids=["ours", "another"])
async def client(request: pytest.FixtureRequest) -> Client:
    """Of either server."""
    return Client(ours=request.param)


class Labour:
    """What is done for a client, for as long as the test wants.

    Attributes:
        begun: Set when it has.
        end: Set by the test.
        log: What happened to it.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()
        self.log: list[str] = []

    async def __call__(self) -> None:
        """Work, and take notice of a cancellation."""
        self.begun.set()
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        self.log.append("done")

    async def stubbornly(self) -> None:
        """Work, and take none."""
        try:
            await self()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.log.append("went on")


@pytest.fixture
async def labour() -> Labour:
    """Something to do."""
    return Labour()


async def test_done(client: Client, labour: Labour) -> None:
    """A client that stays gets what is done for it; what it does later is nobody's concern."""
    working = client.work(labour)
    await labour.begun.wait()
    labour.end.set()
    await working
    client.go()
    await asyncio.sleep(0)
    assert labour.log == ["done"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_client_goes(client: Client, labour: Labour) -> None:
    """When it goes, the work is cancelled, and nobody is told of an error."""
    working = client.work(labour)
    await labour.begun.wait()
    client.go()
    await working
    assert labour.log == ["cancelled"]
    assert working.cancelling() == 0


async def test_client_was_gone(client: Client, labour: Labour) -> None:
    """Work for a client that has gone is begun nonetheless, and cancelled where it waits."""
    client.go()
    await client.work(labour)
    assert labour.log == ["cancelled"]


async def test_client_goes_at_the_end(client: Client) -> None:
    """The task that goes on afterwards is not cancelled any more."""

    async def quick() -> None:
        client.go()

    async def all_of_it() -> str:
        await while_connected(quick(), client.receive, until_gone)
        await asyncio.sleep(0)
        return "went on"

    client.go()
    assert await asyncio.create_task(all_of_it()) == "went on"


async def test_stubborn(client: Client, labour: Labour) -> None:
    """Work that takes no notice is left to end."""
    working = client.work(labour.stubbornly)
    await labour.begun.wait()
    client.go()
    await working
    assert labour.log == ["cancelled", "went on"]
    assert working.cancelling() == 0


@pytest.mark.parametrize("goes", [False, True])
@pytest.mark.parametrize("stubborn", [False, True])
async def test_cancelled_by_others(
    client: Client, labour: Labour, *, goes: bool, stubborn: bool
) -> None:
    """A task that is cancelled by anybody else ends so, whatever the work makes of it."""
    working = client.work(labour.stubbornly if stubborn else labour)
    await labour.begun.wait()
    if goes:
        client.go()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert labour.log == ["cancelled", "went on"] if stubborn else ["cancelled"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_failure(client: Client) -> None:
    """What the work raises is raised."""

    async def fail() -> None:
        raise LookupError("in the work")

    with pytest.raises(LookupError, match=r"^in the work$"):
        await client.work(fail)


async def test_wrong_event(labour: Labour) -> None:
    """Another server that says something else than the end breaks it off, and the error is told."""

    async def receive() -> Event:
        return {"type": "http.request"}

    with pytest.raises(ValueError, match=r"http\.request"):
        await while_connected(labour(), receive, until_gone)
    assert labour.log == ["cancelled"]


async def test_end_of_what_is_sent() -> None:
    """Our server says that a request is over once its response is: that cancels no one."""
    client = Client(ours=True)

    async def send_all() -> None:
        client.go()
        await asyncio.sleep(0)

    working = client.work(send_all)
    await working
    assert working.cancelling() == 0
