"""Says where an event loop is stuck: one call that blocks it stops every connection, silently."""

import asyncio
import logging
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

logger = logging.getLogger("fairway.server")

#: Seconds after which an event loop should have had a turn for others.
PATIENCE: Final = 2.0

_HOUSE: Final = Path(__file__).parents[2]


class LoopWatch:
    """A thread that asks an event loop for a turn, and logs what it is doing if there is none.

    For development, where somebody looks at the log. Each time that the loop is stuck is told of
    once, while it is.

    Args:
        loop: The one that runs in the thread that calls this.
        patience: Seconds between two questions, and until an answer is overdue.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float = PATIENCE) -> None:
        self._loop = loop
        self._patience = patience
        self._watched = threading.get_ident()
        self._turn = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fairway-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._turn.set()  # nothing is waited for
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._patience):
            self._turn.clear()
            try:
                self._loop.call_soon_threadsafe(self._turn.set)
            except RuntimeError:  # it is closed
                return
            if self._stopped.is_set():  # stop() may have been before clear()
                return
            if not self._turn.wait(self._patience):
                self._tell()
                self._turn.wait()

    def _tell(self) -> None:
        # The interpreter's own debugging aid: the one way to look into another thread.
        stack = traceback.extract_stack(sys._current_frames().get(self._watched))  # noqa: SLF001
        ours = [at for at, place in enumerate(stack) if _HOUSE in Path(place.filename).parents]
        logger.warning(
            "Nobody has been served for %g s, as the event loop waits for the call below. Await "
            "what takes time, or leave it to a thread (sync_to_async).\n%s",
            self._patience,
            "".join(traceback.format_list(stack[ours[-1] if ours else 0 :])).rstrip(),
        )
