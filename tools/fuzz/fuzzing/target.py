"""What a thing to fuzz is, and what all of them need."""

import codecs
import dataclasses
import enum
import random
import zlib
from collections.abc import Callable

__all__ = ["Target", "held", "in_pieces", "octets"]


@dataclasses.dataclass(frozen=True)
class Target:
    """A parser, as the long run and the tests see it.

    Attributes:
        name: Of its directory in the corpus.
        check: Feeds the parser; raises whatever is wrong (mostly an AssertionError).
        seeds: Inputs to begin with.
        tokens: What such inputs are made of, for the mutator.
        modules: What is watched for coverage.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    modules: tuple[str, ...]


def octets(data: bytes) -> list[bytes]:
    """``data`` in pieces of one byte."""
    return [data[index : index + 1] for index in range(len(data))]


def in_pieces(data: bytes) -> list[bytes]:
    """``data`` in a few pieces, cut at places that follow from the data itself."""
    places = random.Random(zlib.crc32(data))
    cuts = sorted(places.randrange(len(data) + 1) for _ in range(places.randrange(1, 6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def held(thing: object) -> int:
    """Bytes of what came from the client and an object of ours still holds, directly or not."""
    return _held(thing, set())


def _held(thing: object, seen: set[int]) -> int:
    if id(thing) in seen or isinstance(thing, enum.Enum):
        return 0
    seen.add(id(thing))
    if isinstance(thing, bytes | bytearray | str):
        return len(thing)
    if isinstance(thing, memoryview):
        return thing.nbytes
    if isinstance(thing, codecs.IncrementalDecoder):
        return len(thing.getstate()[0])
    if isinstance(thing, dict):
        return sum(_held(part, seen) for pair in thing.items() for part in pair)
    if isinstance(thing, list | tuple | set | frozenset):
        return sum(_held(part, seen) for part in thing)
    if type(thing).__module__.startswith("fairway"):
        names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(thing, "__dict__", ()))
        return sum(_held(getattr(thing, name, None), seen) for name in names)
    return 0
