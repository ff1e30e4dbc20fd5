"""The streams that a server has reset, on which the client speaks until it knows (RFC 9113 §5.1).

"An endpoint MUST minimally process and then discard any frames it receives in this state", and
"SHOULD NOT send more than one RST_STREAM frame for any stream" (§5.4.2). So who is reset has to be
remembered: the same frames on a stream that ended otherwise are an error of the client's.
"""

from typing import Final

#: Streams that are remembered, the last ones: more than a client can have on the way at once, and
#: 100 KB for one that makes the server reset them all.
REMEMBERED: Final = 1024


class ResetStreams:
    """Which streams were reset, and what their clients may have sent before they knew."""

    __slots__ = ("_rooms",)

    def __init__(self) -> None:
        self._rooms: dict[int, int] = {}

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._rooms

    def __len__(self) -> int:
        return len(self._rooms)

    def add(self, stream_id: int, room: int) -> None:
        """A stream is reset.

        Args:
            stream_id: One that was not reset before.
            room: Bytes of a body that its client might still send; 0 if it had sent all of it.
        """
        if len(self._rooms) == REMEMBERED:
            del self._rooms[next(iter(self._rooms))]
        self._rooms[stream_id] = room

    def explain(self, stream_id: int, size: int) -> bool:
        """Whether a part of a body can have been on its way: the window of its stream had room.

        Args:
            stream_id: One that was reset.
            size: In bytes, with padding. The room is smaller by them afterwards.
        """
        room = self._rooms[stream_id] - size
        self._rooms[stream_id] = max(room, 0)
        return room >= 0
