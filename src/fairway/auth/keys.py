"""The keys that tokens may be signed with, from wherever they are kept."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable, iscoroutinefunction
from pathlib import Path
from typing import Any, Final, TypeAlias

from django.core.exceptions import ImproperlyConfigured

from fairway.db import database_sync_to_async

#: A secret or a public key in PEM, or a JSON Web Key (RFC 7517).
Key: TypeAlias = str | bytes | Mapping[str, Any]
#: Finds the key, or several to try, for the header of a token; None if it knows none.
KeyFinder: TypeAlias = Callable[
    [Mapping[str, Any]], "Key | Sequence[Key] | Awaitable[Key | Sequence[Key] | None] | None"
]
#: One key; keys by ``kid``; a JWK Set; a file with PEM or a JWK Set; or what finds them.
Keys: TypeAlias = Key | Mapping[str, Key] | os.PathLike[str] | KeyFinder

#: Bytes of a secret below which brute force is in reach: "a key of the same size as the hash
#: output […] or larger MUST be used" (RFC 7518 §3.2).
SECRET_SIZES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}


class KeySet:
    """Finds the keys that may have signed a token.

    Args:
        keys: See :data:`Keys`. A file is read again when it has changed.
        algorithms: What the keys are used with.

    Raises:
        ImproperlyConfigured: There is no key, a secret is too short, or a file cannot be read.
    """

    def __init__(self, keys: Keys, algorithms: Sequence[str]) -> None:
        self._algorithms = algorithms
        self._find: KeyFinder | None = None
        self._path: Path | None = None
        self._version: tuple[int, int] | None = None
        self._prepared: dict[tuple[int, str], Any] = {}
        self._named: list[tuple[str | None, Key]] = []
        if isinstance(keys, os.PathLike):
            self._path = Path(keys)
            try:
                self._read(self._path)
            except (OSError, ValueError) as error:
                raise ImproperlyConfigured(f"No keys can be read from {keys}: {error}") from error
        elif callable(keys):
            self._find = keys
        else:
            self._use(named_keys(keys))

    async def candidates(self, header: Mapping[str, Any]) -> list[Any]:
        """Return the keys to try for a token with this header, prepared for its algorithm."""
        algorithm: str = header["alg"]
        if self._find is not None:
            return [self._prepare(key, algorithm) for key in await self._ask(self._find, header)]
        if self._path is not None:
            self._read_again(self._path)
        kid = header.get("kid")
        # A token that names its key is checked with no other; a key without a name takes any.
        wanted = [
            (index, key)
            for index, (name, key) in enumerate(self._named)
            if kid is None or name is None or name == kid
        ]
        found = []
        for index, key in wanted:
            cached = (index, algorithm)
            if cached not in self._prepared:
                self._prepared[cached] = self._prepare(key, algorithm)
            found.append(self._prepared[cached])
        return [key for key in found if key is not None]

    @staticmethod
    async def _ask(find: KeyFinder, header: Mapping[str, Any]) -> Sequence[Key]:
        # A plain function may read the keys from the database.
        if iscoroutinefunction(find):
            found = await find(header)
        else:
            found = await database_sync_to_async(find)(header)
            if isawaitable(found):
                found = await found
        if found is None:
            return []
        return [found] if isinstance(found, (str, bytes, Mapping)) else list(found)

    def _use(self, named: list[tuple[str | None, Key]]) -> None:
        if not named:
            raise ImproperlyConfigured("There is no key to check tokens with.")
        for _, key in named:
            check_secret(key, self._algorithms)
        self._named = named
        self._prepared.clear()

    def _read(self, path: Path) -> None:
        stat = path.stat()
        self._version = stat.st_mtime_ns, stat.st_size
        text = path.read_text(encoding="utf-8")
        self._use(named_keys(json.loads(text) if text.lstrip().startswith("{") else text))

    def _read_again(self, path: Path) -> None:
        """Read a file that has changed; one that cannot be read leaves the keys as they are."""
        try:
            stat = path.stat()
            if (stat.st_mtime_ns, stat.st_size) != self._version:
                self._read(path)
        except (OSError, ValueError, ImproperlyConfigured):
            return  # it may be being replaced at this moment

    @staticmethod
    def _prepare(key: Key, algorithm: str) -> Any:
        """Return a key as PyJWT wants it; None if it is none for this algorithm."""
        import jwt  # noqa: PLC0415  an extra

        handler = jwt.get_algorithm_by_name(algorithm)
        try:
            if not isinstance(key, Mapping):
                return handler.prepare_key(key)
            if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
                return None
            return handler.from_jwk(dict(key))
        except (jwt.InvalidKeyError, LookupError, ValueError, TypeError):
            return None


def named_keys(keys: Any) -> list[tuple[str | None, Key]]:
    """Return all keys with their ``kid``, or None for one without."""
    if isinstance(keys, (str, bytes)):
        return [(None, keys)]
    if isinstance(keys, Mapping):
        if isinstance(keys.get("keys"), Sequence):
            return [(key.get("kid"), key) for key in keys["keys"] if isinstance(key, Mapping)]
        if isinstance(keys.get("kty"), str):
            return [(keys.get("kid"), keys)]
        return list(keys.items())
    raise ImproperlyConfigured(
        "Keys are a secret or PEM text, a dictionary of these by kid, a JWK Set, a path to a file "
        f"or a function, not {type(keys).__name__}."
    )


def check_secret(key: Key, algorithms: Sequence[str]) -> None:
    """Refuse a secret that is too short.

    Raises:
        ImproperlyConfigured: It is.
    """
    if isinstance(key, Mapping):
        return
    size = len(key.encode() if isinstance(key, str) else key)
    for algorithm in algorithms:
        if size < SECRET_SIZES.get(algorithm, 0):
            raise ImproperlyConfigured(
                f"A secret for {algorithm} must have {SECRET_SIZES[algorithm]} bytes or more "
                f"(RFC 7518 §3.2), not {size}."
            )
