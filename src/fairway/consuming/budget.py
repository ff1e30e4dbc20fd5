"""How many layer messages may wait for a consumer, and what happens to those beyond."""

from typing import Any, NamedTuple

from fairway.delivery import Mailbox, Overflow
from fairway.delivery.mailbox import MAX_MESSAGE_BYTES, MAX_MESSAGES
from fairway.layers.codec import decode


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
            mailbox.key_of = lambda payload: consumer.latest_key(decode(payload))


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
