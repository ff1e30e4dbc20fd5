"""Presence: who is here, in any group, across processes and machines.

::

    from fairway.presence import presence

    await presence.join("lobby", self.channel_name, user.pk, {"name": user.username})
    await presence.count("lobby")

A pure, mergeable state (:mod:`fairway.presence.state`) under a thin shell that talks through the
channel layer (:mod:`fairway.presence.tracker`).
"""

from typing import Final

from fairway.presence.verbs import Presence, SyncPresence

__all__ = ["Presence", "SyncPresence", "presence"]

#: The presence of the default channel layer.
presence: Final = Presence()
