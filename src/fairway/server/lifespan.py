"""The ASGI lifespan protocol: the application's own start and end.

See https://asgi.readthedocs.io/en/latest/specs/lifespan.html.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

from fairway._types import ASGIApplication, Event, Scope
from fairway.exceptions import WrongState

logger = logging.getLogger("fairway.server")

_ANSWERS: Final = frozenset(
    f"lifespan.{phase}.{outcome}"
    for phase in ("startup", "shutdown")
    for outcome in ("complete", "failed")
)


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
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        self._task = asyncio.create_task(
            self._run(self._application(scope, self._events.get, self._send))
        )
        answer = await self._ask("startup")
        if answer["type"] == "lifespan.startup.failed":
            await self._task
            raise LifespanFailed(answer.get("message") or "the application gave no reason")

    async def shutdown(self) -> None:
        """Tell the application to end and wait until it has; a failure is logged."""
        if self._task is None or self._task.done():
            return
        answer = await self._ask("shutdown")
        if answer["type"] == "lifespan.shutdown.failed":
            logger.error("Application shutdown failed: %s", answer.get("message", ""))
        await self._task

    async def _ask(self, what: str) -> Event:
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": f"lifespan.{what}"})
        return await self._answer

    async def _run(self, application: Awaitable[None]) -> None:
        why = "it returned"
        try:
            await application
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            if self._mode == "on" or self._answered:
                logger.exception("Exception in the application's lifespan")
        if not self._answered:
            # "If an exception is raised when calling the application callable with a
            # lifespan.startup message … the server must continue but not send any lifespan events."
            logger.debug("The application does not answer lifespan events (%s)", why)
            outcome = "failed" if self._mode == "on" else "complete"
            self._resolve({"type": f"lifespan.startup.{outcome}", "message": why})

    @property
    def _answered(self) -> bool:
        return self._answer is None or self._answer.done()

    def _resolve(self, answer: Event) -> None:
        if self._answer is not None:
            self._answer.set_result(answer)

    async def _send(self, event: Event) -> None:
        if event["type"] not in _ANSWERS:
            raise WrongState(
                f"Cannot send {event['type']!r} in a lifespan, which takes {sorted(_ANSWERS)}."
            )
        if self._answered:
            raise WrongState(f"Cannot send {event['type']!r}: nothing was asked or it is answered.")
        self._resolve(event)
