"""Which version a server has, and whether it is enough.

An old one would say of some command that it does not know it; but a script that stops there may
have taken from a queue what nobody gets then.
"""

import re
from typing import Final

from fairway.layers.redis.connection import Connection, ServerError

#: The oldest version that has all that the scripts use: ``SET … KEEPTTL`` came last.
OLDEST: Final = 6

# Valkey and others tell with it which version of Redis they can stand for.
_VERSION: Final = re.compile(rb"redis_version:((\d+)[\d.]*)")


async def require_version(connection: Connection, least: int, because: str) -> None:
    """Refuse a server that is too old; one that may not say how old it is passes.

    Args:
        connection: Where it is asked.
        least: The oldest major version that will do.
        because: What needs that, for the error.

    Raises:
        ServerError: It is older.
        ConnectionError: The connection ended.
    """
    try:
        told: bytes = await connection.ask("INFO", "server")
    except ServerError as error:
        # Hosting providers may forbid to ask, or call it something else.
        if error.code in {"NOPERM", "ERR"}:
            return
        raise
    found = _VERSION.search(told)
    if found is not None and int(found[2]) < least:
        raise ServerError(f"ERR it is Redis {found[1].decode()}; {because}")
