"""The channel layer that needs nothing: every process of one machine."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fairway.delivery import Hub
from fairway.layers.base import ChannelLayer
from fairway.layers.local.bus import LocalBus
from fairway.layers.local.directory import PRIVATE, Directory, default_path
from fairway.layers.names import ChannelPattern


class LocalChannelLayer(ChannelLayer):
    """A channel layer for the processes of one machine, with no server and no configuration.

    Processes of one project that run as one user find each other in a directory of theirs, under
    ``/tmp``, and are connected by Unix sockets. Messages for named channels wait in an SQLite file
    beside them.

    Args:
        expiry: Seconds after which a message in a queue that nobody took is dropped.
        group_expiry: Seconds after its last ``group_add`` that a named channel stays in a group.
        capacity: Messages that a queue may hold.
        channel_capacity: Other capacities by glob or compiled regular expression.
        path: The directory in which the processes meet, made if need be; None for the usual one. It
            may begin with ``~``.
        mode: Its permissions. ``0o770`` lets in the users of its group, who then need a ``path``
            with the setgid bit (``chmod g+s``), so that files in it belong to the group.
        project: What tells this project from others on the machine; ``CHANNEL_LAYERS`` fills it in.
        clock: Seconds since the epoch; for tests.
    """

    names_project = True

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[ChannelPattern, int] | None = None,
        *,
        path: str | Path | None = None,
        mode: int = PRIVATE,
        project: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(mode, int):
            raise TypeError(f"'mode' is {mode!r}; it must be a number, such as 0o770.")
        # Absolute, as a process may go elsewhere.
        chosen = None if path is None else Path(path).expanduser().absolute()
        self.directory = Directory(chosen or default_path(project), mode, shared=chosen is not None)
        super().__init__(
            LocalBus(self.directory, expiry, clock),
            Hub(),
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            clock=clock,
        )
