"""How many layer messages may wait for a consumer, and what happens to those beyond."""

import functools
import logging
import weakref
from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from fairway.delivery import Mailbox, Overflow
from fairway.delivery.mailbox import MAX_MESSAGE_BYTES, MAX_MESSAGES
from fairway.layers.codec import decode

logger = logging.getLogger("fairway.consumer")

#: Classes whose mistake the log knows.
_mistaken: Final["weakref.WeakSet[type]"] = weakref.WeakSet()


class Budget(NamedTuple):
    """What a consumer class asks for, where that is not what every mailbox has.

    Attributes:
        overflow: The policy.
        max_messages: A count.
        max_bytes: Of encoded messages.
    """

    overflow: Overflow
    max_messages: int
    max_bytes: int

    def apply(self, mailbox: Mailbox, consumer: Any) -> None:
        """Give a consumer's mailbox this budget."""
        mailbox.set_budget(self.overflow, self.max_messages, self.max_bytes)
        if self.overflow is Overflow.LATEST:
            mailbox.key_of = functools.partial(_key_of, consumer)


def _key_of(consumer: Any, payload: bytes) -> Hashable:
    """What a message is about; a mistake of the consumer's is not to be met by who has sent it."""
    try:
        key: Hashable = consumer.latest_key(decode(payload))
        hash(key)
    except Exception:
        kind = type(consumer)
        if kind not in _mistaken:
            _mistaken.add(kind)
            logger.exception(
                "%s.latest_key() failed; such messages make room when they have waited longest.",
                kind.__qualname__,
            )
        return object()  # like no other
    return key


def make_budget(consumer_class: Any) -> Budget | None:
    """The budget of a consumer class by its attributes; None for the usual one.

    Raises:
        ValueError: One of them has no such value.
    """
    name = consumer_class.__qualname__
    try:
        overflow = Overflow(consumer_class.overflow)
    except ValueError:
        known = ", ".join(repr(policy.value) for policy in Overflow)
        raise ValueError(
            f"{name}.overflow is {consumer_class.overflow!r}; it can be {known}."
        ) from None
    for attribute in ("max_waiting_messages", "max_waiting_bytes"):
        number = getattr(consumer_class, attribute)
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}.{attribute} is {number!r}; it must be a number from 1 on.")
    budget = Budget(overflow, consumer_class.max_waiting_messages, consumer_class.max_waiting_bytes)
    return None if budget == _USUAL else budget


_USUAL = Budget(Overflow.DISCONNECT, MAX_MESSAGES, MAX_MESSAGE_BYTES)
