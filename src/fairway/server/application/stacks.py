"""Where a task hangs: the stack of coroutines that await one another, innermost last."""

import asyncio
import linecache
import sys
import traceback
from types import CodeType
from typing import Any


def format_stack(task: "asyncio.Task[Any]") -> str:
    """The awaits of a suspended task as indented text, one ``file:line in function`` for each.

    ``Task.get_stack()`` shows only the outermost frame of a suspended coroutine; what people want
    to know stands at the other end.
    """
    lines: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            code: CodeType = frame.f_code
            source = linecache.getline(code.co_filename, frame.f_lineno).strip()
            lines.append(f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}')
            if source:
                lines.append(f"    {source}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return "\n".join(lines) or "  (no Python frame)"


def format_thread(identifier: int) -> str:
    """The calls of a running thread as indented text, innermost last; empty once it has ended.

    Args:
        identifier: What ``threading.get_ident()`` gave in that thread.
    """
    # The interpreter's own debugging aid: the one way to look into another thread.
    frame = sys._current_frames().get(identifier)  # noqa: SLF001
    return "".join(traceback.format_stack(frame)).rstrip() if frame is not None else ""
