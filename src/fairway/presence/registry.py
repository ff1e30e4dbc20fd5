"""The trackers of this process: one for each layer, until its end, and anew after a fork."""

import atexit
import contextlib
from typing import Final

from fairway import forks, native
from fairway.layers.base import ChannelLayer
from fairway.layers.io import io
from fairway.presence.tracker import GOODBYE, Tracker


class Trackers:
    """Makes trackers, each on first use; one that was stopped, with its layer, is made anew."""

    def __init__(self) -> None:
        self._making = native.Lock()
        self._found: dict[ChannelLayer, Tracker] = {}

    def of(self, layer: ChannelLayer) -> Tracker:
        """The tracker of a layer, made if need be."""
        with self._making:
            tracker = self._found.get(layer)
            if tracker is None or tracker.stopped:
                self._found = {key: t for key, t in self._found.items() if not t.stopped}
                tracker = self._found[layer] = Tracker(layer)
            return tracker

    def forget_the_gone(self, layer: ChannelLayer) -> None:
        """Whoever lingers in groups of a layer is gone now, for the next test not to see them.

        Blocks; not for the I/O thread.
        """
        tracker = self._found.get(layer)
        if tracker is not None and not tracker.stopped:
            io.run_sync(tracker.forget_the_gone(), 2 * GOODBYE)

    def discard(self, layer: ChannelLayer) -> None:
        """Forget a layer that nobody uses any more; does not wait."""
        with self._making:
            tracker = self._found.pop(layer, None)
        if tracker is not None:
            io.submit(tracker.stop())

    def stop(self) -> None:
        """Let the other processes know that this one ends."""
        for tracker in list(self._found.values()):
            with contextlib.suppress(Exception):
                io.run_sync(tracker.stop(), 2 * GOODBYE)

    def forget_parent(self) -> None:
        """In a forked child nobody is present yet."""
        self._making = native.Lock()
        found, self._found = self._found, {}
        for tracker in found.values():
            tracker.unhook()


#: The trackers of this process.
trackers: Final = Trackers()
# Before the I/O thread ends, as that was imported, and so registered, earlier.
atexit.register(trackers.stop)
forks.in_child(trackers.forget_parent)
