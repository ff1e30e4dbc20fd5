"""What a payload looks like at the server: encoded as the layer says, encrypted if it says so."""

import logging
import struct
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from fairway._types import Event
from fairway.layers import codec
from fairway.layers.envelope import Kind, for_channel, read_channel
from fairway.layers.serializers import MsgPackSerializer
from fairway.layers.unreadable import Unreadable

logger = logging.getLogger("fairway.layers.redis")

#: Before what is published: the process that did, and the number of its command.
HEADER: Final = struct.Struct("!8sQ")
_ADVICE: Final = (
    "Do all processes have the same 'symmetric_encryption_keys' and 'serializer_format', and is "
    "nobody else's 'prefix' the same?"
)


class Serializer(Protocol):
    """What turns messages into bytes and back."""

    def serialize(self, message: Event) -> bytes:
        """The bytes that stand for a message."""

    def deserialize(self, message: bytes) -> Event:
        """The message again."""


class Wire:
    """The form of a layer's payloads at the server.

    Args:
        serializer: What messages are encoded with. Within a process they are always MessagePack.
        keys: Secrets; the first encrypts, all of them decrypt. Everything is encrypted but names.
        expiry: Seconds after which a published payload is not read any more when it is encrypted.

    Raises:
        ValueError: The keys are no list, or ``cryptography`` is not installed.
    """

    def __init__(
        self, serializer: Serializer, keys: Iterable[str | bytes] | None, expiry: float
    ) -> None:
        # What messages are in a process is what MsgPackSerializer makes: nothing to be done.
        self._serializer = None if type(serializer) is MsgPackSerializer else serializer
        self._crypter = MsgPackSerializer(symmetric_encryption_keys=keys).crypter
        self._lifetime = int(expiry) + _GRACE
        self._unreadable = Unreadable(logger, _ADVICE)

    @property
    def unreadable(self) -> int:
        """How many payloads were dropped, as they could not be decrypted or decoded."""
        return self._unreadable.count

    def check(self, message: Event) -> None:
        """Refuse a message that the format cannot carry.

        Raises:
            MessageNotSerializable: Or whatever its serializer raises.
        """
        if self._serializer is not None:
            self._serializer.serialize(message)

    # ------------------------------------------------------------------ queues

    def seal(self, payload: bytes) -> bytes:
        """A message as it is in a queue."""
        if self._serializer is not None:
            payload = self._serializer.serialize(codec.decode(payload))
        return payload if self._crypter is None else self._crypter.encrypt(payload)

    def open(self, data: bytes, queue: str) -> bytes | None:
        """The message again; None if it is not for this layer, which is logged."""
        if self._crypter is None and self._serializer is None:
            return data
        return self._try(lambda: self._opened(data, None), f"in channel {queue}")

    def _opened(self, data: bytes, lifetime: int | None) -> bytes:
        if self._crypter is not None:
            data = self._crypter.decrypt(data, lifetime)
        return data if self._serializer is None else _recode(self._serializer, data)

    # ------------------------------------------------------------------ topics

    def seal_envelope(self, envelope: bytes) -> bytes:
        """What is published, without its header."""
        if self._serializer is not None:
            serializer = self._serializer
            envelope = _map_message(
                envelope, lambda payload: serializer.serialize(codec.decode(payload))
            )
        return envelope if self._crypter is None else self._crypter.encrypt(envelope)

    def open_envelope(self, data: bytes, topic: str) -> bytes | None:
        """The envelope again; None if it is not for this layer, which is logged."""
        if self._crypter is None and self._serializer is None:
            return data
        return self._try(lambda: self._opened_envelope(data), f"to {topic}")

    def _opened_envelope(self, data: bytes) -> bytes:
        if self._crypter is not None:
            data = self._crypter.decrypt(data, self._lifetime)
        serializer = self._serializer
        if serializer is None:
            return data
        return _map_message(data, lambda body: _recode(serializer, body))

    def _try(self, read: Callable[[], bytes], where: str) -> bytes | None:
        try:
            return read()
        except Exception as error:  # noqa: BLE001  anybody can write to a server, and any format
            self._unreadable.drop(where, type(error).__name__)
            return None


#: Seconds for which clocks of machines may differ, as docs/redis.md says. Fernet allows as much for
#: what comes from the future.
_GRACE: Final = 60

_MESSAGES: Final = (Kind.GROUP, Kind.WEBSOCKET_SEND)


def _map_message(envelope: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The envelope with another form of the message in it, if there is one."""
    kind = envelope[0]
    if kind in _MESSAGES:
        return envelope[:1] + change(envelope[1:])
    if kind == Kind.CHANNEL:
        channel, payload = read_channel(memoryview(envelope)[1:])
        return for_channel(channel, change(payload))
    return envelope


def _recode(serializer: Serializer, data: bytes) -> bytes:
    return codec.encode(serializer.deserialize(data))
