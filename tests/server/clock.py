"""An event loop's clock that the test moves."""

import contextvars
from collections.abc import Callable
from typing import Any


class Timer:
    """What the loop would call at a moment."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call it."""
        self.callback = None


class Clock:
    """The part of an event loop that deals with time.

    Attributes:
        now: The moment that it shows.
        timers: Those that are neither due nor cancelled.
        errors: What was given to the exception handler.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.errors: list[dict[str, Any]] = []
        self._timers: list[Timer] = []

    def time(self) -> float:
        """This moment."""
        return self.now

    def call_at(
        self, when: float, callback: Callable[[], None], *, context: contextvars.Context
    ) -> Timer:
        """Call something when the clock gets there."""
        timer = Timer(when, callback)
        self._timers.append(timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what went wrong."""
        self.errors.append(context)

    @property
    def timers(self) -> list[Timer]:
        """Those that are neither due nor cancelled."""
        self._timers = [timer for timer in self._timers if timer.callback is not None]
        return self._timers

    def advance(self, seconds: float) -> None:
        """Let time pass, calling what becomes due at its moment."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.when <= end]:
            timer = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, timer.when)
            callback, timer.callback = timer.callback, None
            assert callback is not None
            callback()
        self.now = end
