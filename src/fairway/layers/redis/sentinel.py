"""Where the master is now: Redis Sentinel knows.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

import asyncio

from fairway.layers.redis.connection import connect
from fairway.layers.redis.hosts import Server


async def locate(server: Server) -> Server:
    """The server at its present address; itself, unless Sentinels are to be asked.

    Raises:
        OSError: None of them knows it.
    """
    if not server.sentinels:
        return server
    reasons: list[str] = []
    for sentinel in server.sentinels:
        try:
            found = await _ask(sentinel, server.master_name)
        except (OSError, TimeoutError) as error:
            reasons.append(f"Sentinel {sentinel}: {str(error) or type(error).__name__}")
            continue
        if found is not None:
            return server.at(*found)
        reasons.append(f"Sentinel {sentinel} knows no master {server.master_name!r}")
    raise OSError("; ".join(reasons))


async def _ask(sentinel: Server, master_name: str) -> tuple[str, int] | None:
    connection = await connect(sentinel)
    try:
        async with asyncio.timeout(sentinel.connect_timeout):
            found = await connection.ask("SENTINEL", "get-master-addr-by-name", master_name)
    finally:
        connection.abort("it was asked")
    return None if found is None else (found[0].decode(), int(found[1]))
