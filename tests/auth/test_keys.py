"""Keys of tokens."""

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from fairway.auth.keys import Key, Keys, KeySet
from tests.auth.signing import ANOTHER, PRIVATE, PUBLIC, SECRET, jwk, secret_jwk

HS256 = {"alg": "HS256"}


def too_short(algorithm: str, wanted: int, found: int) -> str:
    """What is said of a secret."""
    return (
        f"A secret for {algorithm} must have {wanted} bytes or more (RFC 7518 §3.2), not {found}."
    )


async def candidates(keys: Keys, header: Mapping[str, Any], algorithm: str = "HS256") -> list[Any]:
    """The keys to try for a token."""
    return await KeySet(keys, [algorithm]).candidates({"alg": algorithm, **header})


class TestByKid:
    """Which keys are tried."""

    async def test_one(self) -> None:
        """One key without a name is tried with every token."""
        assert await candidates(SECRET, {}) == [SECRET.encode()]
        assert await candidates(SECRET.encode(), {"kid": "any"}) == [SECRET.encode()]

    async def test_several(self) -> None:
        """A token that names a key is checked with no other, and one that does not with all."""
        keys = {"old": ANOTHER, "new": SECRET}
        assert await candidates(keys, {"kid": "new"}) == [SECRET.encode()]
        assert await candidates(keys, {"kid": "other"}) == []
        assert await candidates(keys, {}) == [ANOTHER.encode(), SECRET.encode()]

    async def test_jwk(self) -> None:
        """A JSON Web Key."""
        assert await candidates(secret_jwk("a"), {"kid": "a"}) == [SECRET.encode()]
        assert await candidates(secret_jwk("a"), {"kid": "b"}) == []

    async def test_jwk_set(self) -> None:
        """A set of them; those for something else are not used."""
        keys = {
            "keys": [
                secret_jwk("a"),
                secret_jwk("b", use="enc"),
                secret_jwk("c", alg="HS512"),
                jwk("d"),
                {"kty": "oct", "kid": "e"},
                "no key",
            ]
        }
        assert await candidates(keys, {}) == [SECRET.encode()]

    async def test_public_key_is_no_secret(self) -> None:
        """Who knows a public key cannot sign with it."""
        assert await candidates(PUBLIC, {}) == []

    async def test_prepared_once(self) -> None:
        """A key in PEM is parsed for the first token."""
        keys = KeySet(PUBLIC, ["RS256"])
        (first,) = await keys.candidates({"alg": "RS256"})
        (second,) = await keys.candidates({"alg": "RS256"})
        assert first is second


class TestFile:
    """Keys in a file."""

    async def test_pem(self, tmp_path: Path) -> None:
        """A public key."""
        path = tmp_path / "key.pem"
        path.write_text(PUBLIC)
        (key,) = await candidates(path, {}, "RS256")
        assert key.key_size == 2048

    async def test_changes(self, tmp_path: Path) -> None:
        """A file that was replaced is read again, and one that is broken is not taken."""
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps({"keys": [secret_jwk("a")]}))
        keys = KeySet(path, ["HS256"])
        assert len(await keys.candidates({**HS256, "kid": "a"})) == 1
        for text in ("{", '{"keys": []}'):
            path.write_text(text)
            os.utime(path, ns=(0, len(text)))
            assert len(await keys.candidates({**HS256, "kid": "a"})) == 1
        path.unlink()
        assert len(await keys.candidates({**HS256, "kid": "a"})) == 1
        path.write_text(json.dumps({"keys": [secret_jwk("b")]}))
        os.utime(path, ns=(0, 1000))
        assert await keys.candidates({**HS256, "kid": "a"}) == []
        assert len(await keys.candidates({**HS256, "kid": "b"})) == 1

    def test_missing(self, tmp_path: Path) -> None:
        """A file that cannot be read is a mistake."""
        with pytest.raises(ImproperlyConfigured, match=r"^No keys can be read from .*: .*No such"):
            KeySet(tmp_path / "none", ["HS256"])


class TestFunction:
    """Keys that are found when they are needed."""

    @pytest.mark.parametrize("found", [SECRET, [SECRET], secret_jwk("a")])
    async def test_finds(self, found: Any) -> None:
        """A function gets the header, and runs where it may block."""
        headers = []

        def find(header: Mapping[str, Any]) -> Any:
            headers.append(header)
            return found

        assert await candidates(find, {"kid": "a"}) == [SECRET.encode()]
        assert headers == [{"alg": "HS256", "kid": "a"}]

    async def test_async(self) -> None:
        """It may be async."""

        async def find(header: Mapping[str, Any]) -> Key | None:
            return SECRET if header["kid"] == "a" else None

        assert await candidates(find, {"kid": "a"}) == [SECRET.encode()]
        assert await candidates(find, {"kid": "b"}) == []
        assert await candidates(functools.partial(find), {"kid": "a"}) == [SECRET.encode()]


@pytest.mark.parametrize(
    ("keys", "algorithm", "message"),
    [
        ("short", "HS256", too_short("HS256", 32, 5)),
        (32 * "x", "HS512", too_short("HS512", 64, 32)),
        ({"a": b""}, "HS384", too_short("HS384", 48, 0)),
        ({}, "HS256", "There is no key to check tokens with."),
        ({"keys": []}, "HS256", "There is no key to check tokens with."),
        (
            7,
            "HS256",
            (
                "Keys are a secret or PEM text, a dictionary of these by kid, a JWK Set, a path "
                "to a file or a function, not int."
            ),
        ),
    ],
)
def test_mistakes(keys: Any, algorithm: str, message: str) -> None:
    """What cannot work is refused at the start."""
    with pytest.raises(ImproperlyConfigured) as caught:
        KeySet(keys, [algorithm])
    assert str(caught.value) == message


def test_private_key() -> None:
    """The keys of these tests belong together."""
    assert "PRIVATE" in PRIVATE
    assert "PUBLIC" in PUBLIC
