"""The channel layer for every machine that reaches the same Redis."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from fairway._types import Event
from fairway.delivery import Hub
from fairway.layers.base import ChannelLayer
from fairway.layers.codec import encode
from fairway.layers.contract import Reached
from fairway.layers.names import ChannelPattern, require_numbers
from fairway.layers.redis.bus import RedisBus
from fairway.layers.redis.clients import Clients
from fairway.layers.redis.hosts import parse_hosts
from fairway.layers.redis.node import shard_of
from fairway.layers.redis.wire import Wire
from fairway.layers.serializers import registry

#: A message type that consumers get, or a function that is called.
Notice: TypeAlias = str | Callable[[], object] | None


class RedisChannelLayer(ChannelLayer):
    """Processes on every machine that reaches the same Redis or Valkey, version 6 or later.

    It takes the options of both layers of ``channels_redis``.

    Args:
        hosts: A list of servers: URLs (``redis://``, ``rediss://``, ``unix://``), pairs of host and
            port, and dictionaries of what ``redis.asyncio.Connection`` takes, with ``address`` for
            a URL, ``sentinels`` and ``master_name``, or ``"cluster": True``. Several servers share
            the load. Default: ``redis://localhost:6379``.
        prefix: What all keys and channels begin with: layers with another one share nothing.
        expiry: Seconds after which a message in a named channel that nobody took is dropped.
        group_expiry: Seconds after its last ``group_add`` that a named channel stays in a group.
        capacity: Messages that a named channel may hold.
        channel_capacity: Other capacities by glob or compiled regular expression.
        symmetric_encryption_keys: Secrets, text or bytes: everything but names is encrypted with
            the first, and read with all of them. Needs ``fairway[encryption]``.
        random_prefix_length: Accepted as of ``channels_redis``; messages need no such prefix here.
        serializer_format: ``"msgpack"``, ``"json"``, or one that is registered in
            :mod:`fairway.layers.serializers`.
        send_timeout: Seconds that ``send`` and ``group_send`` wait for a server that is away.
        on_disconnect: A message type that every consumer of this process gets when the connection
            is lost by which messages come; or a function, called on a thread of the layer's own.
        on_reconnect: The same for when it is back. See also the handler ``layer.gap``.

    Raises:
        SerializerDoesNotExist: Nobody registered ``serializer_format``.
        ValueError: ``hosts``, ``prefix`` or ``symmetric_encryption_keys`` cannot be used.
    """

    def __init__(
        self,
        hosts: object = None,
        prefix: str = "asgi",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[ChannelPattern, int] | None = None,
        symmetric_encryption_keys: Iterable[str | bytes] | None = None,
        random_prefix_length: int = 12,
        serializer_format: str = "msgpack",
        send_timeout: float = 3.0,
        on_disconnect: Notice = None,
        on_reconnect: Notice = None,
    ) -> None:
        assert isinstance(prefix, str), "Prefix must be unicode"
        require_numbers(send_timeout=send_timeout)
        found = parse_hosts(hosts)
        if found.cluster and ("{" in prefix or "}" in prefix):
            raise ValueError(f"prefix must not contain braces in a cluster: {prefix!r}")
        self.prefix = prefix
        self._serializer = registry.get_serializer(serializer_format)
        ours = RedisChannelLayer.serialize, RedisChannelLayer.deserialize
        changed = (type(self).serialize, type(self).deserialize) != ours
        self._wire = Wire(self if changed else self._serializer, symmetric_encryption_keys, expiry)
        bus = RedisBus(
            found,
            prefix=prefix,
            expiry=expiry,
            send_timeout=send_timeout,
            wire=self._wire,
        )
        super().__init__(
            bus,
            Hub(),
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
        )
        self._clients = Clients(hosts)
        self._server_count = len(found.servers)
        self._on_reconnect = on_reconnect
        if on_disconnect is not None:
            bus.interrupted = lambda: self._notify(on_disconnect)

    @property
    def client_prefix(self) -> str:
        """What :attr:`process` is called in ``channels_redis``."""
        return self.process

    def connection(self, index: int) -> Any:
        """A ``redis.asyncio.Redis`` of the running event loop, for a project's own commands.

        Its keys are the server's, without the layer's prefix; the layer's own are no business of
        others. Await :meth:`close_pools` before the loop ends.

        Args:
            index: The number of the server among ``hosts``, from 0; see :meth:`consistent_hash`.

        Raises:
            ValueError: There are fewer servers, or they are a cluster.
        """
        return self._clients.at(index)

    def consistent_hash(self, value: str | bytes) -> int:
        """The number of the server that a name belongs to, the same in every process."""
        return shard_of(value if isinstance(value, str) else value.decode(), self._server_count)

    async def close_pools(self) -> None:
        """Close what :meth:`connection` has made for the running event loop.

        The layer's own connections belong to no event loop, and :meth:`close` ends them.
        """
        await self._clients.close()

    async def wait_received(self) -> None:
        """Do nothing: no task of ``receive`` goes on after it here, as in ``channels_redis``."""

    async def send(self, channel: str, message: Event, *, delay: float = 0.0) -> None:
        """Send a message to one channel; see :meth:`ChannelLayer.send`."""
        self._wire.check(message)
        await super().send(channel, message, delay=delay)

    async def group_send(self, group: str, message: Event) -> Reached:
        """Send a message to every channel of a group; see :meth:`ChannelLayer.group_send`."""
        self._wire.check(message)
        return await super().group_send(group, message)

    def serialize(self, message: Event) -> bytes:
        """What stands for a message at the server, before it is encrypted.

        A subclass may encode messages in its own way, here and in :meth:`deserialize`. What a
        message may hold stays the same: in a process, it has its form of MessagePack.

        Raises:
            MessageNotSerializable: It holds a value that the format cannot carry.
        """
        return self._serializer.serialize(message)

    def deserialize(self, message: bytes) -> Event:
        """The message again, from bytes of :meth:`serialize`.

        Raises:
            ValueError: The bytes are no message.
        """
        return self._serializer.deserialize(message)

    def _tell_gap(self) -> None:
        self._notify(self._on_reconnect)
        super()._tell_gap()

    def _notify(self, notice: Notice) -> None:
        if callable(notice):
            notice()
        elif notice is not None:
            payload = encode({"type": notice})
            for channel in list(self._hub.channels):
                self._remote.put(channel, payload)
