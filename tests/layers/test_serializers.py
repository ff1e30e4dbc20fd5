"""Formats that others may read too, and their encryption."""

import base64
import datetime
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import ormsgpack
import pytest
from cryptography.fernet import Fernet

from fairway._types import Event
from fairway.exceptions import MessageNotSerializable
from fairway.layers import serializers
from fairway.layers.serializers import (
    BaseMessageSerializer,
    JSONSerializer,
    MissingSerializer,
    MsgPackSerializer,
    SerializerDoesNotExist,
    SerializersRegistry,
    registry,
)

MESSAGE: Event = {"type": "chat.message", "n": [1, 2.5, None, True], "deep": {"é": "ü"}}


CIRCLE: Event = {"type": "x"}
CIRCLE["self"] = [CIRCLE]


class Upper(BaseMessageSerializer):
    """A format of a project's own."""

    def as_bytes(self, message: Event) -> bytes:
        """Encode the type only."""
        return str(message["type"]).upper().encode()

    def from_bytes(self, message: bytes) -> Event:
        """Decode it."""
        return {"type": message.decode().lower()}


@pytest.mark.row("3.3 registry")
class TestRegistry:
    """Formats by name."""

    @pytest.mark.parametrize(
        ("name", "kind"), [("json", JSONSerializer), ("msgpack", MsgPackSerializer)]
    )
    def test_built_in(self, name: str, kind: type[BaseMessageSerializer]) -> None:
        """JSON and MessagePack are there."""
        assert type(registry.get_serializer(name)) is kind

    def test_own(self) -> None:
        """A project may register one of its own, and make another of a name that there is."""
        own = SerializersRegistry()
        own.register_serializer("upper", Upper)
        found = own.get_serializer("upper", random_prefix_length=3, expiry=5)
        assert type(found) is Upper
        assert (found.random_prefix_length, found.expiry) == (3, 5)
        assert found.deserialize(found.serialize(MESSAGE)) == {"type": "chat.message"}
        own.register_serializer("upper", JSONSerializer)
        assert type(own.get_serializer("upper")) is JSONSerializer

    def test_own_without_options(self) -> None:
        """A class with the two methods will do; options that nobody gives are not passed on."""

        class Plain:
            def serialize(self, message: object) -> object:
                return message

            deserialize = serialize

        own = SerializersRegistry()
        own.register_serializer("plain", Plain)  # type: ignore[arg-type]  # it has the methods
        serialized: object = own.get_serializer("plain").serialize(MESSAGE)
        assert serialized == MESSAGE

    @pytest.mark.parametrize("kind", [object, lambda message: message])
    def test_refuses_what_cannot_serialize(self, kind: Any) -> None:
        """What is no class, or lacks a method, is refused when it is registered."""
        with pytest.raises(AssertionError, match=r"is no class with a method serialize\(\)\.$"):
            SerializersRegistry().register_serializer("bad", kind)

    def test_unknown(self) -> None:
        """One that does not exist is a KeyError which names those that do."""
        with pytest.raises(SerializerDoesNotExist) as caught:
            registry.get_serializer("yaml")
        assert isinstance(caught.value, KeyError)
        assert caught.value.args == (
            "There is no serializer for serializer_format='yaml', only 'json', 'msgpack'.",
        )

    def test_missing(self) -> None:
        """A format whose library is missing says so when it is wanted."""

        class Missing(MissingSerializer):
            exception = ImportError("There is no library.")

        own = SerializersRegistry()
        own.register_serializer("missing", Missing)
        with pytest.raises(ImportError, match=r"^There is no library\.$"):
            own.get_serializer("missing")
        own.register_serializer("missing", MissingSerializer)
        with pytest.raises(ImportError, match=r"^MissingSerializer is not installed\.$"):
            own.get_serializer("missing")


def test_negative_prefix() -> None:
    """A negative length is none."""
    assert JSONSerializer(random_prefix_length=-1).serialize({"a": 1}) == b'{"a": 1}'


@pytest.mark.row("3.3 BaseMessageSerializer")
class TestBase:
    """What all formats share."""

    def test_abstract(self) -> None:
        """A format has to say how it encodes and decodes."""
        with pytest.raises(TypeError, match="abstract"):
            BaseMessageSerializer()  # type: ignore[abstract]  # the class has to refuse it, too

    @pytest.mark.parametrize("length", [0, 12])
    @pytest.mark.parametrize("keys", [None, ["secret"]])
    def test_round_trip(self, length: int, keys: list[str] | None) -> None:
        """What was serialized is deserialized, with a prefix and encryption or without."""
        both = JSONSerializer(keys, length), MsgPackSerializer(keys, length)
        for serializer in both:
            payload = serializer.serialize(MESSAGE)
            assert serializer.deserialize(payload) == MESSAGE

    def test_prefix(self) -> None:
        """Equal messages differ on the wire if they have a prefix."""
        serializer = JSONSerializer(random_prefix_length=12)
        first, second = (serializer.serialize(MESSAGE) for _ in range(2))
        assert first != second
        assert first[12:] == second[12:] == json.dumps(MESSAGE).encode()


@pytest.mark.row("3.3 encryption")
class TestEncryption:
    """``symmetric_encryption_keys``."""

    def test_fernet(self) -> None:
        """It is Fernet with the SHA-256 of the key, behind the prefix: others can read it."""
        payload = JSONSerializer(["secret"], random_prefix_length=4).serialize(MESSAGE)
        key = base64.urlsafe_b64encode(hashlib.sha256(b"secret").digest())
        assert json.loads(Fernet(key).decrypt(payload[4:])) == MESSAGE

    def test_rotation(self) -> None:
        """The first key encrypts, and every key decrypts."""
        lists: list[list[str | bytes]] = [["a"], [b"b", "a"], ["b"]]
        old, both, new = (JSONSerializer(keys) for keys in lists)
        assert both.deserialize(old.serialize(MESSAGE)) == MESSAGE
        assert new.deserialize(both.serialize(MESSAGE)) == MESSAGE
        with pytest.raises(ValueError, match="not encrypted with any of the symmetric_encryption"):
            old.deserialize(both.serialize(MESSAGE))

    def test_plain(self) -> None:
        """A message that is not encrypted is not taken for one that is."""
        with pytest.raises(ValueError, match="not encrypted with any of the symmetric_encryption"):
            JSONSerializer(["a"]).deserialize(JSONSerializer().serialize(MESSAGE))

    @pytest.mark.parametrize(("seconds", "read"), [(65, True), (75, False)])
    def test_expiry(self, seconds: float, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """A message is read for ten seconds longer than it lives, and not afterwards."""
        serializer = JSONSerializer(["a"], expiry=60)
        payload = serializer.serialize(MESSAGE)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + seconds)
        if read:
            assert serializer.deserialize(payload) == MESSAGE
        else:
            with pytest.raises(ValueError, match="or has expired"):
                serializer.deserialize(payload)

    @pytest.mark.parametrize("keys", ["secret", b"secret"])
    def test_no_list(self, keys: Any) -> None:
        """One key alone is a mistake that would make a key of each of its letters."""
        with pytest.raises(ValueError, match="must be a list of possible keys") as caught:
            JSONSerializer(keys)
        assert str(caught.value) == "symmetric_encryption_keys must be a list of possible keys"

    @pytest.fixture
    def without_library(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """As if ``cryptography`` were not installed."""
        serializers._fernet.cache_clear()
        monkeypatch.setitem(sys.modules, "cryptography", None)
        yield
        serializers._fernet.cache_clear()

    @pytest.mark.usefixtures("without_library")
    def test_no_library(self) -> None:
        """Without the library it says so, but only to those who want to encrypt."""
        JSONSerializer([])
        with pytest.raises(ValueError, match="cryptography") as caught:
            JSONSerializer(["a"])
        assert str(caught.value) == (
            "Cannot run with encryption without 'cryptography' installed: "
            "pip install 'fairway[encryption]'."
        )


@pytest.mark.row("3.3 json and msgpack")
class TestFormats:
    """The two that are built in."""

    def test_msgpack(self) -> None:
        """Plain messages are MessagePack that anybody reads; other types come back as they were."""
        serializer = MsgPackSerializer()
        assert ormsgpack.unpackb(serializer.serialize(MESSAGE)) == MESSAGE
        rare: Event = {
            "type": "x",
            "at": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
            "id": uuid.UUID(int=5),
            "by": {1: "a", 2: "b"},
            "set": {1, 2},
        }
        assert serializer.deserialize(serializer.serialize(rare)) == rare

    def test_json(self) -> None:
        """JSON is UTF-8 text."""
        assert json.loads(JSONSerializer().serialize(MESSAGE).decode()) == MESSAGE

    @pytest.mark.parametrize(
        ("message", "path"),
        [
            ({"type": "x", "at": datetime.date(2026, 1, 2)}, "$.at"),
            ({"type": "x", "a": [1, {"b": {1}}]}, "$.a[1].b"),
            ({"type": "x", "a": {5: b""}}, "$.a[5]"),
            ({"type": "x", "a": {"a\nb": b""}}, r"$.a['a\nb']"),
            (CIRCLE, "$.self"),
        ],
    )
    def test_json_refuses(self, message: Event, path: str) -> None:
        """What JSON cannot carry is refused with its place."""
        with pytest.raises(MessageNotSerializable) as caught:
            JSONSerializer().serialize(message)
        assert caught.value.path == path

    @pytest.mark.parametrize("serializer", [JSONSerializer(), MsgPackSerializer()])
    @pytest.mark.parametrize("payload", [b"", b"\xc1", b"[]", b"\x90", b"1"])
    def test_no_message(self, serializer: BaseMessageSerializer, payload: bytes) -> None:
        """Bytes that are no message are a ValueError."""
        with pytest.raises(ValueError):  # noqa: PT011  the libraries' texts
            serializer.deserialize(payload)


@pytest.mark.parametrize(("key", "kind"), [(1, "int"), (None, "NoneType"), (True, "bool")])
def test_keys_that_json_would_change(key: object, kind: str) -> None:
    """What would arrive as something else is refused at the sender, with its place."""
    with pytest.raises(MessageNotSerializable) as caught:
        JSONSerializer().as_bytes({"type": "x", "list": [{key: 2}]})
    assert str(caught.value).startswith(
        f"A value of type {kind} at $.list[0][{key!r}] cannot cross a channel layer."
    )
