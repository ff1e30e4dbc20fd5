"""What to do about answers of a server that will not change by waiting."""

import re
from typing import Final

#: By the first word of an error.
ADVICE: Final = {
    "WRONGPASS": "Correct the user name and password in 'hosts'.",
    "NOAUTH": "Give it the password: \"redis://:password@host:6379\" in 'hosts'.",
    "ERR": "See whether 'hosts' names the right server.",
    "NOPERM": "Let its user do this, see `ACL SETUSER`.",
    "READONLY": "Name the master in 'hosts', or its Sentinels.",
    "DENIED": "Set a password for it, or `protected-mode no` where its network is private.",
    "MOVED": "It is part of a cluster: add \"cluster\": True to it in 'hosts'.",
    "SENTINEL": "Name it in 'sentinels', with 'master_name', in 'hosts'.",
}

#: By what stands in an error whose first word says nothing.
_BY_TEXT: Final = (
    ("The user executing the script can't", ADVICE["NOPERM"]),  # up to Redis 7.0
    ("ACL failure in script", ADVICE["NOPERM"]),  # since then
    ("invalid bulk length", "Send less at once, or raise its `proto-max-bulk-len`."),
)

_CODE: Final = re.compile(r"[A-Z]+\b")


def code_of(text: str) -> str:
    """The first word of what a server answered, such as ``WRONGPASS``.

    Args:
        text: An answer; of any other reason, such as ``Connection refused``, there is none.
    """
    found = _CODE.match(text)
    return found[0] if found else ""


def advice_on(code: str, text: str) -> str:
    """What to do about an error; nothing is known about some.

    Args:
        code: Its first word.
        text: All of it.
    """
    for part, advice in _BY_TEXT:
        if part in text:
            return advice
    return ADVICE.get(code, "")
