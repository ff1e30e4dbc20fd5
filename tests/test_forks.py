"""What begins anew in a forked child, whoever has forked it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")

#: Ends with status 1 in a child that has not begun anew, once and in order.
CHILD = """
import ctypes, os
from fairway import forks

begun = []
forks.in_child(lambda: begun.append(1))
forks.in_child(lambda: begun.append(2))
forks.notice()
assert begun == []
child = {fork}()
if child == 0:
    forks.notice()
    forks.notice()
    os._exit(begun != [1, 2])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
forks.notice()
assert begun == []
"""


def run(code: str) -> None:
    """Run a program that ends with an error if it finds one."""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_forked_by_python() -> None:
    """A child begins anew, once; its parent goes on."""
    run(CHILD.format(fork="os.fork"))


def test_forked_by_others() -> None:
    """So does one that C has forked, as uWSGI does it, without a word to Python."""
    run(CHILD.format(fork="ctypes.PyDLL(None).fork"))


def test_one_that_fails() -> None:
    """One that raises keeps no other from beginning anew, and is heard of."""
    run("""
import os
from fairway import forks

begun = []
forks.in_child(lambda: begun.append(1))
forks.in_child(lambda: 1 / 0)
forks.in_child(lambda: begun.append(2))
os.getpid = lambda: -1
try:
    forks.notice()
except ZeroDivisionError:
    begun.append(3)
forks.notice()
assert begun == [1, 2, 3], begun
""")


def test_without_a_word_thread() -> None:
    """There, what talks to others has a thread of the child's when it is first used."""
    run("""
import os
from fairway.layers import InMemoryChannelLayer
from fairway.layers.io import io
from fairway.native import get_ident

async def ident():
    return get_ident()

InMemoryChannelLayer().sync.send("jobs", {"type": "work"})
parents = io.run_sync(ident())
os.getpid = lambda: -1
assert io.run_sync(ident()) != parents
""")


def test_without_a_word_local(tmp_path: Path) -> None:
    """There, the local layer has connections of the child's, also from an event loop."""
    run(f"""
import asyncio, os
from fairway.layers import LocalChannelLayer

layer = LocalChannelLayer(path={str(tmp_path / "layer")!r})
asyncio.run(layer.group_send("room", {{"type": "note"}}))
parents = layer._bus._mesh.name
os.getpid = lambda: -1
asyncio.run(layer.group_send("room", {{"type": "note"}}))
assert parents and layer._bus._mesh.name not in ("", parents)
""")


def test_without_a_word_redis() -> None:
    """There, the Redis layer has connections of the child's, too."""
    run("""
import os
from fairway.layers.redis import RedisChannelLayer

bus = RedisChannelLayer()._bus
parents = bus._open()
os.getpid = lambda: -1
assert bus._open() is not parents
""")
