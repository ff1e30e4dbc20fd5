"""What revalidation is made of: its policy, who a connection is, and how it is ended."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revalidation:
    """When the user of an open connection is looked up again.

    A connection whose user is not the same any more (logged out, deactivated, deleted, another
    password, an expired session) is closed with 4401. So that nobody has to be asked all the time,
    the ways complete each other: news from elsewhere act at once, and the interval finds what sends
    no news, such as ``QuerySet.update()`` or a session that was deleted by hand.

    Args:
        interval: Seconds between two checks of a connection; each takes up to a tenth more or less,
            so that connections do not come all at once. None for none.
        per_message: Also before each message of the client. That is a query or two for each.
        at_once: Also when ``user_logged_out`` is sent, the user is saved or deleted, or the session
            is deleted, in whatever process, over the layer that ``FAIRWAY_AUTH_CHANNEL_LAYER``
            names.

    Raises:
        ValueError: The interval is not positive.
    """

    interval: float | None = 300.0
    per_message: bool = False
    at_once: bool = True

    def __post_init__(self) -> None:
        if self.interval is not None and self.interval <= 0:
            raise ValueError(
                f"The interval of a revalidation must be seconds above 0, or None for no checks "
                f"by the clock, not {self.interval!r}."
            )

    @classmethod
    def of(cls, wanted: "Revalidation | float | bool | None") -> "Revalidation | None":
        """Return the policy that an argument ``revalidate`` stands for.

        True is the default policy, a number one with that interval, None and False stand for none.
        """
        if wanted is None or isinstance(wanted, Revalidation):
            return wanted
        if isinstance(wanted, bool):
            return cls() if wanted else None
        return cls(interval=wanted)


class Identity(Protocol):
    """Who a connection is, as its middleware knows it."""

    async def check(self) -> str | None:
        """Look the user up again, and refresh ``scope["user"]``; say why not if they are gone."""


class Ending(Protocol):
    """How a connection is ended from outside its application."""

    def end(self, reason: str) -> None:
        """End it with 4401, or as its protocol has it. Called once."""
