"""What the log says is to be done about an error, and not about another one."""

import pytest

from fairway.layers.redis.advice import ADVICE, advice_on, code_of


@pytest.mark.parametrize(
    "text",
    [
        "NOPERM this user has no permissions to run the 'ping' command",
        # Redis 6
        (
            "ERR Error running script (call to f_1): @user_script:12: @user_script: 12: The user "
            "executing the script can't publish to the channel mentioned in the command"
        ),
        # Redis 7.0
        (
            "ERR The user executing the script can't run this command or subcommand script: 1a6a, "
            "on @user_script:82"
        ),
        # Redis since 7.2, and Valkey
        (
            "ERR ACL failure in script: User alice has no permissions to run the 'set' command "
            "script: 1a6a, on @user_script:82"
        ),
        "ERR ACL failure in script: No permissions to access a channel script: on @user_script:12",
    ],
)
def test_rights(text: str) -> None:
    """A right is missing, in the words of every version."""
    assert advice_on(text.partition(" ")[0], text) == ADVICE["NOPERM"]


def test_too_large() -> None:
    """A message is larger than the server takes in one piece."""
    text = "ERR Protocol error: invalid bulk length"
    assert advice_on("ERR", text) == "Send less at once, or raise its `proto-max-bulk-len`."


def test_others() -> None:
    """The first word decides; there may be nothing to advise."""
    assert advice_on("ERR", "ERR unknown command") == ADVICE["ERR"]
    assert advice_on("READONLY", "READONLY it is a replica") == ADVICE["READONLY"]
    assert advice_on("CROSSSLOT", "CROSSSLOT Keys do not hash to the same slot") == ""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("LOADING", "LOADING"),
        ("Connection refused", ""),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", ""),
        ("no answer within 5 s", ""),
        ("", ""),
    ],
)
def test_code(text: str, code: str) -> None:
    """What a server answers begins with one; what the network or Python says does not."""
    assert code_of(text) == code
