"""Another process with a channel layer, for tests of what layers do between processes.

Run as ``python -m fairway.testing.peer "module:function"``, it calls that function without
arguments for its layer, and does what its standard input says: a JSON object in each line, with the
``verb`` of the layer to call, its ``arguments`` and a ``number`` for the answer.
"""

import asyncio
import itertools
import json
import sys
from typing import Any, Final, Self

from django.utils.module_loading import import_string

from fairway.layers import BaseChannelLayer

#: Seconds in which another process answers, however busy the machine is.
PATIENCE: Final = 60.0


class PeerError(Exception):
    """What the layer in the other process raised, as text."""


class Peer:
    """A handle on such a process; use it with ``async with``.

    Args:
        factory: ``"module:function"`` that makes the layer there.
    """

    def __init__(self, factory: str) -> None:
        self._factory = factory
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fairway.testing.peer",
            self._factory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), PATIENCE)
            except TimeoutError:
                self.kill()
                await self.process.wait()
        await self._reading

    def kill(self) -> None:
        """End it without a chance to say so."""
        self.process.kill()

    def call(self, verb: str, *arguments: Any, **options: Any) -> "asyncio.Future[Any]":
        """Begin a call there; await the result for its answer.

        Raises:
            PeerError: It raised; when awaited.
        """
        assert self.process.stdin is not None
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        request = {"number": number, "verb": verb, "arguments": arguments, "options": options}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        return asyncio.ensure_future(asyncio.wait_for(answer, PATIENCE))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            found = json.loads(line)
            answer = self._answers.pop(found["number"])
            if answer.done():
                continue
            if "error" in found:
                answer.set_exception(PeerError(found["error"]))
            else:
                answer.set_result(found["result"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(PeerError("The process has ended."))


async def serve(layer: BaseChannelLayer) -> None:
    """Do what standard input says, until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    async for line in reader:
        task = asyncio.create_task(_answer(layer, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for task in tasks:
        task.cancel()
    if hasattr(layer, "close"):
        await layer.close()


async def _answer(layer: Any, request: dict[str, Any]) -> None:
    answer: dict[str, Any] = {"number": request["number"]}
    try:
        verb = getattr(layer, request["verb"])
        answer["result"] = await verb(*request["arguments"], **request["options"])
    except Exception as error:  # noqa: BLE001  it is the other process's to handle
        answer["error"] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(import_string(sys.argv[1].replace(":", "."))()))
