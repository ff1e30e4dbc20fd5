"""What a layer's keys and channels are called at the server.

Everything begins with the layer's prefix and a colon. The name of the queue or topic is the hash
tag of all that belongs to it, so that it is in one slot of a cluster.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
"""

from fairway.layers.redis.scripts import QUEUE_KEYS


class Keys:
    """The names of one layer.

    Args:
        prefix: What they begin with; layers with another one share nothing.
        process: The name of this process among those of the layer: sixteen characters.
    """

    def __init__(self, prefix: str, process: str) -> None:
        self.prefix = prefix
        self.process = process
        self._before_topic = len(f"{prefix}:topic:{{".encode())

    def channel(self, topic: str) -> str:
        """Where a topic is published."""
        return f"{self.prefix}:topic:{{{topic}}}"

    def topic(self, channel: bytes) -> str:
        """The topic that is published there."""
        return channel[self._before_topic : -1].decode()

    def members(self, topic: str) -> str:
        """The queues that are members of a topic."""
        return f"{self.prefix}:members:{{{topic}}}"

    def queue(self, queue: str) -> tuple[str, ...]:
        """The keys of a queue, in the order of its scripts."""
        key = f"{self.prefix}:queue:{{{queue}}}"
        return tuple(key + suffix for suffix in QUEUE_KEYS)

    def changed(self, queue: str) -> str:
        """The last command with which this process changed a queue."""
        return f"{self.prefix}:queue:{{{queue}}}:from:{self.process}"

    def taken(self, queue: str) -> str:
        """What this process took last."""
        return f"{self.prefix}:queue:{{{queue}}}:taken:{self.process}"

    def wake(self, queue: str) -> str:
        """What the channels begin with by which processes are woken for a queue."""
        return f"{self.prefix}:wake:{{{queue}}}:"

    def call(self, publish: str, queue: str) -> str:
        """What scripts call a process for a queue with: a command, a space, how channels begin."""
        return f"{publish} {self.wake(queue)}"

    def patterns(self) -> tuple[str, ...]:
        """Globs for all keys that are stored."""
        prefix = "".join(f"\\{char}" if char in "*?[]\\^" else char for char in self.prefix)
        return (f"{prefix}:queue:*", f"{prefix}:members:*")
