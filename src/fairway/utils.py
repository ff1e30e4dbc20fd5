"""Small helpers that need neither Django nor a channel layer."""

import asyncio
import contextlib
import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from fairway._types import Event
from fairway.exceptions import StopConsumer

#: Channel layers take names shorter than 100 characters.
MAX_GROUP_NAME_LENGTH = 99

_SEPARATOR = "."
_EMPTY_PART = "_0_"  # an odd number of hexadecimal digits, so never the escape of some text
_DIGEST_MARK = "_x"  # "x" is no hexadecimal digit, so no escape starts like this
_DIGEST_LENGTH = 64
_TO_ESCAPE = re.compile(r"_|[^A-Za-z0-9_-]+")
_TOKEN = re.compile(r"_[0-9a-f]*_|[^_]")


def name_that_thing(thing: object) -> str:
    """Return a dotted name for a log line.

    Args:
        thing: A class, function or method, which is named itself; a module; or any other object,
            for which its class is named.
    """
    if inspect.ismodule(thing):
        return thing.__name__
    named = thing if inspect.isroutine(thing) or isinstance(thing, type) else type(thing)
    name = getattr(named, "__qualname__", named.__name__)
    module = getattr(named, "__module__", None)
    return f"{module}.{name}" if module else name


async def await_many_dispatch(
    consumer_callables: Iterable[Callable[[], Awaitable[Event]]],
    dispatch: Callable[[Event], Awaitable[object]],
) -> None:
    """Await several sources of messages at once, and dispatch one message after the other.

    It ends only by an exception: the first that ``dispatch`` or a source raises, or the
    cancellation of its task. When a source fails or the task is cancelled between two dispatches,
    every message that another source has already handed over (also one that it returns instead of
    honouring its cancellation) is dispatched first. Once ``dispatch`` itself has raised or was
    interrupted, nobody is left to take such messages and they are dropped.

    Args:
        consumer_callables: The sources. Each is called, and what it returns awaited, for one
            message at a time; it is called again once that message has been dispatched.
        dispatch: Takes each message.

    Raises:
        ValueError: There are no sources.
    """
    sources = list(consumer_callables)
    pending = [asyncio.ensure_future(_take(source)) for source in sources]
    dispatching = False
    try:
        while True:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for index, task in enumerate(pending):
                if task.done():
                    message = task.result()
                    dispatching = True
                    await dispatch(message)
                    dispatching = False
                    pending[index] = asyncio.ensure_future(_take(sources[index]))
    except asyncio.CancelledError:
        if not dispatching:
            # Ending by StopConsumer here would swallow the cancellation that is under way.
            with contextlib.suppress(StopConsumer):
                await _dispatch_rest(pending, dispatch)
        raise
    except Exception:
        if not dispatching:
            await _dispatch_rest(pending, dispatch)
        raise
    finally:
        await _stop(pending)


async def _take(source: Callable[[], Awaitable[Event]]) -> Event:
    """Take one message; a source that fails when it is called fails in its task, like any other."""
    return await source()


async def _dispatch_rest(
    pending: Sequence["asyncio.Future[Event]"], dispatch: Callable[[Event], Awaitable[object]]
) -> None:
    """Stop the sources, and dispatch what they had already produced."""
    for message in await _stop(pending):
        await dispatch(message)


async def _stop(pending: Sequence["asyncio.Future[Event]"]) -> list[Event]:
    """Cancel the futures, wait until each has ended, and return the results there are."""
    for task in pending:
        task.cancel()
    outcomes = await asyncio.gather(*pending, return_exceptions=True)
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


def group_name(*parts: object) -> str:
    """Turn texts into a valid group name that no other sequence of texts gives.

    Letters and digits of ASCII and hyphens stand for themselves, an underscore is doubled, parts
    are joined by a period: ``group_name("chat", "lobby") == "chat.lobby"``. Anything else is
    escaped, so untrusted text (a room's name from a URL, in any script and of any length) makes
    neither an invalid name nor another group's: ``("a.b",)`` and ``("a", "b")`` differ. A name that
    would be too long keeps a readable beginning and ends in a SHA-256 digest of the whole.

    Args:
        parts: What the group is for, each taken as ``str(part)``: ``7`` and ``"7"`` are the same.

    Returns:
        A name of 1 to 99 ASCII letters, digits, hyphens, underscores and periods.

    Raises:
        TypeError: There are no parts.
    """
    if not parts:
        raise TypeError("group_name() needs at least one part, such as group_name('chat', room).")
    name = _SEPARATOR.join(_escape(str(part)) for part in parts)
    return name if len(name) <= MAX_GROUP_NAME_LENGTH else _shorten(name)


def _escape(text: str) -> str:
    """Escape one part; no part's escape is the beginning of another's followed by a period."""
    return _TO_ESCAPE.sub(_escape_run, text) if text else _EMPTY_PART


def _escape_run(match: re.Match[str]) -> str:
    run = match.group()
    if run == "_":
        return "__"
    # Lone surrogates have no UTF-8, and two texts must not meet for the lack of it.
    return f"_{run.encode('utf-8', 'surrogatepass').hex()}_"


def _shorten(name: str) -> str:
    """Cut an escaped name between two tokens, and append the mark and the digest of the whole."""
    room = MAX_GROUP_NAME_LENGTH - len(_DIGEST_MARK) - _DIGEST_LENGTH
    end = 0
    # Cut inside an escape, the mark would be read as a part of it.
    for token in _TOKEN.finditer(name):
        if token.end() > room:
            break
        end = token.end()
    return f"{name[:end]}{_DIGEST_MARK}{hashlib.sha256(name.encode('ascii')).hexdigest()}"
