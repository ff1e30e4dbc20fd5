"""Heads of whole responses that were sent before, kept to be sent again.

An application says mostly what it said before: the same fields with a body of the same size. With
the two fields of a small service a response takes 0.7 µs instead of 2.0, with the six of Django 0.7
instead of 2.6, or 1.1 instead of 2.6 where the values are made anew. One that never comes again, as
it has an ``ETag`` of its own, takes 0.6 µs more.
"""

from typing import Final

__all__ = ["heads", "keep"]

#: What a response says, to what stands in its head before and behind the value of ``Date``. Only of
#: responses with a body that keep their connection, in HTTP/1.1.
heads: Final[dict[tuple[object, ...], tuple[bytes, bytes]]] = {}

#: Most heads that are kept, and most bytes in one: 256 KiB in all, and as much again for the keys.
MAX_HEADS: Final = 256
MAX_SIZE: Final = 1024

#: Hashes of what was said once. Only what comes a second time is kept: most of what does not come
#: at once never does, and to keep it would take as long as to put it together.
_once: Final[set[int]] = set()
_MAX_ONCE: Final = 1024


def keep(key: tuple[object, ...], head: bytes, date: bytes) -> None:
    """Keep a head that was put together and checked, if that happens for the second time.

    Cookies are not kept: they are secrets, and each of them goes out once.

    Args:
        key: All that the head depends on, but for the date.
        head: As it is sent.
        date: The value of its ``Date``, which is not from the application.
    """
    hashed = hash(key)
    if hashed not in _once:
        if len(_once) >= _MAX_ONCE:
            _once.clear()
        _once.add(hashed)
        return
    # The field is looked for with what precedes it: no value holds a CRLF.
    before, found, behind = head.partition(b"\r\nDate: %b\r\n" % date)
    if not found or len(head) > MAX_SIZE or b"\r\nset-cookie:" in head.lower():
        return
    if len(heads) >= MAX_HEADS:
        heads.clear()  # whoever has so many has no usual ones
    heads[key] = before + b"\r\nDate: ", b"\r\n" + behind
