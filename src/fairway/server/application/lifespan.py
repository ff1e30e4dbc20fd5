"""The ASGI lifespan protocol: the application's own start and end.

See https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import asyncio
import logging
from typing import Any, Final

from fairway._types import ASGIApplication, Event, Scope
from fairway.exceptions import WrongState
from fairway.later import create_task_later
from fairway.server.application.stacks import format_stack

logger = logging.getLogger("fairway.server")

#: Seconds that an application gets to end in, after its last answer or when it was cancelled.
LAST_WORDS: Final = 2.0


class LifespanFailed(Exception):
    """The application said that it cannot start; the message is the application's."""


class Lifespan:
    """Runs the application once for its lifespan, beside all its connections.

    Args:
        application: The application.
        mode: ``"auto"``: an application that raises before it has answered does not know the
            protocol, and the server goes on without it. ``"on"``: the same is a failure. ``"off"``:
            not tried at all.

    Attributes:
        state: What the application put into ``scope["state"]``; each connection gets a copy.
    """

    def __init__(self, application: ASGIApplication, mode: str) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._mode = mode
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._asked = ""  # "startup" or "shutdown" until that is answered
        self._answer: asyncio.Future[Event] | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Tell the application to start and wait until it has.

        Raises:
            LifespanFailed: It answered ``lifespan.startup.failed``, or does not know the protocol
                although the mode is ``"on"``.
        """
        if self._mode == "off":
            return
        # Later: that it returns before it was asked must not be missed.
        self._task = create_task_later(asyncio.get_running_loop(), self._run())
        answer = await self._ask("startup")
        if answer["type"] == "lifespan.startup.failed":
            await self._wait_for_end()
            raise LifespanFailed(answer.get("message") or "it gave no reason.")

    async def shutdown(self) -> None:
        """Tell the application to end and wait until it has; a failure is logged."""
        if self._task is None or self._task.done():
            return
        answer = await self._ask("shutdown")
        if answer["type"] == "lifespan.shutdown.failed":
            reason = answer.get("message") or "it gave no reason."
            logger.error("The application did not shut down cleanly: %s", reason)
        await self._wait_for_end()

    async def abandon(self, why: str) -> None:
        """Cancel the application's lifespan if it still runs, and log where it hung.

        Args:
            why: What it did, such as ``"did not end within 15 s"``.
        """
        task = self._task
        if task is None or task.done():
            return
        logger.warning(
            "The application's lifespan %s; it was cancelled. It was waiting here:\n%s",
            why,
            format_stack(task),
        )
        task.cancel()
        await asyncio.wait([task], timeout=LAST_WORDS)

    async def _ask(self, what: str) -> Event:
        self._asked = what
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": f"lifespan.{what}"})
        return await self._answer

    def _resolve(self, answer: Event) -> None:
        self._asked = ""
        if self._answer is not None and not self._answer.done():  # done: nobody waits any more
            self._answer.set_result(answer)

    async def _wait_for_end(self) -> None:
        assert self._task is not None
        await asyncio.wait([self._task], timeout=LAST_WORDS)
        await self.abandon(f"did not end within {LAST_WORDS:g} s after its last answer")

    async def _run(self) -> None:
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._application(scope, self._events.get, self._send)
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, it is logged
            self._ended(error)
        else:
            self._ended(None)

    def _ended(self, error: BaseException | None) -> None:
        """The application returned or raised: log what is no answer, and go on without one."""
        asked = self._asked
        unknown = not self._events.empty() or isinstance(error, WrongState)
        if asked == "startup" and self._mode == "auto" and unknown:
            # It did not look at the event, or answered as if it were a request: it does not know
            # the protocol. "the server must continue but not send any lifespan events"
            logger.debug("The application does not take part in the lifespan protocol: %r", error)
        elif error is not None:
            logger.error("Exception in the application's lifespan: %s", error, exc_info=error)
        if asked == "startup" and self._mode == "on":
            why = "it returned" if error is None else f"{type(error).__name__}: {error}"
            self._resolve({"type": "lifespan.startup.failed", "message": why})
        elif asked:
            self._resolve({"type": f"lifespan.{asked}.complete"})

    async def _send(self, event: Event) -> None:
        """The ASGI ``send`` of the lifespan."""
        kind, asked = event["type"], self._asked
        if not asked:
            raise WrongState(f"Cannot send {kind!r}: the lifespan takes nothing until it is asked.")
        answers = (f"lifespan.{asked}.complete", f"lifespan.{asked}.failed")
        if kind not in answers:
            raise WrongState(
                f"Cannot send {kind!r}: the lifespan was asked for its {asked} "
                f"and takes {answers[0]!r} or {answers[1]!r}."
            )
        self._resolve(event)
