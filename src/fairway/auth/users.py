"""Stand-ins for users in ``scope["user"]``, shared by all copies of a scope."""

from django.utils.functional import LazyObject


class TokenUser(LazyObject):  # type: ignore[type-arg]  # no generic at run time
    """The user that a token names; replaced inside when they are looked up again."""

    def __init__(self, user: object) -> None:
        super().__init__()
        self._wrapped = user

    def _setup(self) -> None:
        raise AssertionError("It is made with its user.")


class Nobody(LazyObject):  # type: ignore[type-arg]  # as above
    """An anonymous user, whom ``AuthMiddleware`` further in may still replace."""

    def _setup(self) -> None:
        from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415  # needs django.setup()

        self._wrapped = AnonymousUser()


def user_key(user: object) -> str | None:
    """Return the primary key of a user as text, and None for one who is not logged in."""
    if user is None or not getattr(user, "is_authenticated", True):
        return None
    key = getattr(user, "pk", None)
    return None if key is None else str(key)
