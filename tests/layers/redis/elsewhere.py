"""An event loop in a thread of its own, to which something may happen."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.layers.redis.servers import PATIENCE

T = TypeVar("T")


class Elsewhere:
    """An event loop in a thread of its own, which can be blocked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.interrupted = threading.Event()
        self._stay = True
        self._unblock = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._stay:
            try:
                self.loop.run_forever()
            except KeyboardInterrupt:  # as the user of a notebook, who goes on afterwards
                self.interrupted.set()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def block(self) -> None:
        """Let it do nothing else until :meth:`unblock`; it does not any more on return."""
        blocked = threading.Event()

        def wait() -> None:
            blocked.set()
            self._unblock.wait(PATIENCE)

        self.loop.call_soon_threadsafe(wait)
        assert blocked.wait(PATIENCE)

    def unblock(self) -> None:
        self._unblock.set()

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self._stay = False
        self.unblock()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
