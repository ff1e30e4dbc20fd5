"""Formats of messages on a wire that others may read too, and their encryption.

The names are those of ``channels_redis``, whose ``serializer_format`` and
``symmetric_encryption_keys`` a layer takes; ``channels_redis.serializers`` is this module where
:func:`fairway.compat.install` gives it that name.
"""

import abc
import base64
import functools
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, cast

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable
from fairway.layers import codec

__all__ = [
    "BaseMessageSerializer",
    "JSONSerializer",
    "MissingSerializer",
    "MsgPackSerializer",
    "SerializerDoesNotExist",
    "SerializersRegistry",
    "registry",
]

#: Seconds that an encrypted message is still read after it has expired: clocks of machines differ.
_GRACE: Final = 10


class _Crypter(Protocol):
    """What ``cryptography.fernet.MultiFernet`` does."""

    def encrypt(self, msg: bytes) -> bytes:
        """Hide it, with the first key."""

    def decrypt(self, msg: bytes, ttl: int | None = None) -> bytes:
        """Show it, with any of the keys, unless it is older than that many seconds."""


class SerializerDoesNotExist(KeyError):
    """No serializer is registered for a format."""


class BaseMessageSerializer(abc.ABC):
    """Turns a message into bytes and back: encoded, then encrypted, then behind a random prefix.

    Args:
        symmetric_encryption_keys: Secrets, text or bytes. The first encrypts, all of them decrypt:
            to change it, put the new one in front and take the old one away later.
        random_prefix_length: Random bytes in front of the result, so that equal messages differ.
        expiry: Seconds after which an encrypted message is refused; None for never.

    Raises:
        ValueError: The keys are no list, or ``cryptography`` is not installed.
    """

    def __init__(
        self,
        symmetric_encryption_keys: Iterable[str | bytes] | None = None,
        random_prefix_length: int = 0,
        expiry: float | None = None,
    ) -> None:
        self.random_prefix_length = max(0, random_prefix_length)
        self.expiry = expiry
        self.crypter = self._make_crypter(symmetric_encryption_keys)

    @abc.abstractmethod
    def as_bytes(self, message: Event) -> bytes:
        """Encode a message.

        Raises:
            MessageNotSerializable: It holds a value that the format cannot carry.
        """

    @abc.abstractmethod
    def from_bytes(self, message: bytes) -> Event:
        """Decode what :meth:`as_bytes` has made.

        Raises:
            ValueError: The bytes are no message.
        """

    def serialize(self, message: Event) -> bytes:
        """The bytes that cross the wire.

        Raises:
            MessageNotSerializable: As for :meth:`as_bytes`.
        """
        payload = self.as_bytes(message)
        if self.crypter is not None:
            payload = self.crypter.encrypt(payload)
        return random.randbytes(self.random_prefix_length) + payload  # no secret  # noqa: S311

    def deserialize(self, message: bytes) -> Event:
        """The message again, from bytes of :meth:`serialize`.

        Raises:
            ValueError: The bytes are no message, were not encrypted with one of the keys, or have
                expired.
        """
        payload = message[self.random_prefix_length :]
        if self.crypter is not None:
            payload = _decrypt(self.crypter, payload, self.expiry)
        return self.from_bytes(payload)

    def make_fernet(self, key: str | bytes) -> object:
        """What encrypts with one secret: Fernet over its SHA-256, as ``channels_redis`` does it.

        Raises:
            ValueError: ``cryptography`` is not installed.
        """
        secret = key.encode() if isinstance(key, str) else key
        return _fernet().Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest()))

    def _make_crypter(self, keys: Iterable[str | bytes] | None) -> _Crypter | None:
        if not keys:
            return None
        if isinstance(keys, (str, bytes)):
            raise ValueError("symmetric_encryption_keys must be a list of possible keys")
        crypter = _fernet().MultiFernet([self.make_fernet(key) for key in keys])
        return cast("_Crypter", crypter)


def _decrypt(crypter: _Crypter, payload: bytes, expiry: float | None) -> bytes:
    ttl = None if expiry is None else int(expiry) + _GRACE
    try:
        return crypter.decrypt(payload, ttl)
    except _fernet().InvalidToken:
        raise ValueError(
            "A message was not encrypted with any of the symmetric_encryption_keys, or has expired."
        ) from None


@functools.cache
def _fernet() -> Any:
    """The module with Fernet, which an installation without encryption does not need."""
    try:
        from cryptography import fernet  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ValueError(
            "Cannot run with encryption without 'cryptography' installed: "
            "pip install 'fairway[encryption]'."
        ) from None
    return fernet


class MsgPackSerializer(BaseMessageSerializer):
    """MessagePack, with every type of :mod:`fairway.layers.codec`."""

    def as_bytes(self, message: Event) -> bytes:
        """Encode a message."""
        return codec.encode(message)

    def from_bytes(self, message: bytes) -> Event:
        """Decode a message."""
        return codec.decode(message)


class JSONSerializer(BaseMessageSerializer):
    """JSON as UTF-8: text, numbers, booleans, None, lists and dictionaries with texts as keys."""

    def as_bytes(self, message: Event) -> bytes:
        """Encode a message.

        Raises:
            MessageNotSerializable: It holds what JSON cannot carry; other keys than text it would
                turn into text.
        """
        try:
            _refuse_strange_keys(message, "$")
            return json.dumps(message).encode()
        except MessageNotSerializable:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise MessageNotSerializable(*_culprit(message, "$")) from error

    def from_bytes(self, message: bytes) -> Event:
        """Decode a message."""
        found: Event = json.loads(message)
        if not isinstance(found, dict):
            raise ValueError(f"A layer message must be a dictionary, not {type(found).__name__}.")
        return found


def _refuse_strange_keys(value: object, path: str) -> None:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise MessageNotSerializable(f"{path}[{key!r}]", key)
    for place, item in _items(value, path):
        if isinstance(item, (dict, list, tuple)):
            _refuse_strange_keys(item, place)


def _culprit(value: object, path: str) -> tuple[str, object]:
    """The place and the value that JSON cannot carry: the innermost of those that cannot."""
    for place, item in _items(value, path):
        try:
            json.dumps(item)
        except TypeError:
            return _culprit(item, place)
        except (ValueError, RecursionError):  # a circle, which has no innermost value
            return place, item
    return path, value


def _items(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield codec.place_in(path, key), item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item


class MissingSerializer(BaseMessageSerializer):
    """Stands for a format whose library is not installed; a subclass says which in ``exception``.

    Attributes:
        exception: What to raise when a layer wants the format.
    """

    exception: BaseException | None = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise self.exception or ImportError(f"{type(self).__name__} is not installed.")

    def as_bytes(self, message: Event) -> bytes:
        """Never reached: there are no instances."""
        raise NotImplementedError

    def from_bytes(self, message: bytes) -> Event:
        """Never reached: there are no instances."""
        raise NotImplementedError


class SerializersRegistry:
    """The formats that ``serializer_format`` may name."""

    def __init__(self) -> None:
        self._registry: dict[str, Callable[..., BaseMessageSerializer]] = {}

    def register_serializer(
        self,
        format: str,  # noqa: A002  the word that is known
        serializer_class: type[BaseMessageSerializer],
    ) -> None:
        """Give a format a serializer, in place of the one that it may have.

        Raises:
            AssertionError: It is no class with the methods ``serialize`` and ``deserialize``.
        """
        for method in ("serialize", "deserialize"):
            if not callable(getattr(serializer_class, method, None)):
                # An AssertionError, as channels_redis raises it, but under `python -O`, too.
                raise AssertionError(f"{serializer_class!r} is no class with a method {method}().")
        self._registry[format] = serializer_class

    def get_serializer(
        self,
        format: str,  # noqa: A002  the word that is known
        symmetric_encryption_keys: Iterable[str | bytes] | None = None,
        random_prefix_length: int | None = None,
        expiry: float | None = None,
    ) -> BaseMessageSerializer:
        """A new serializer for a format.

        Args:
            format: One that is registered.
            symmetric_encryption_keys: As for :class:`BaseMessageSerializer`, like the others.
            random_prefix_length: As there.
            expiry: As there.

        Raises:
            SerializerDoesNotExist: The format is not registered; the message names those that are.
            ValueError: As for :class:`BaseMessageSerializer`.
        """
        found = self._registry.get(format)
        if found is None:
            known = ", ".join(map(repr, self._registry))
            raise SerializerDoesNotExist(
                f"There is no serializer for serializer_format={format!r}, only {known}."
            )
        # Only what is asked for: a serializer of a project's own may know none of the options.
        options = {
            "symmetric_encryption_keys": symmetric_encryption_keys,
            "random_prefix_length": random_prefix_length,
            "expiry": expiry,
        }
        return found(**{name: value for name, value in options.items() if value is not None})


#: The formats of this process: ``"json"`` and ``"msgpack"``, and what it registers itself.
registry: Final = SerializersRegistry()
registry.register_serializer("json", JSONSerializer)
registry.register_serializer("msgpack", MsgPackSerializer)
