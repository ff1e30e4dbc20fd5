"""Stand-ins for users."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, User

from fairway.auth.users import Nobody, TokenUser, user_key


def test_token_user() -> None:
    """It is the user, and another one when that is exchanged inside."""
    user = TokenUser(User(username="ada"))
    copy = user
    assert copy == User(username="ada") or copy.username == "ada"
    assert isinstance(copy, User)
    user._wrapped = User(username="eve")
    assert copy.username == "eve"


def test_nobody() -> None:
    """It is anonymous."""
    assert Nobody() == AnonymousUser()
    assert Nobody().is_authenticated is False


@pytest.mark.parametrize(
    ("user", "key"),
    [
        (None, None),
        (AnonymousUser(), None),
        (Nobody(), None),
        (User(), None),
        (User(pk=7), "7"),
        (TokenUser(User(pk=7)), "7"),
        (SimpleNamespace(pk="a"), "a"),
    ],
)
def test_user_key(user: object, key: str | None) -> None:
    """Who is logged in has a key, as text, whatever kind of user it is."""
    assert user_key(user) == key
