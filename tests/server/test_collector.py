"""The garbage collector of a process that serves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.process import connected, launched

APPLICATION = """
import gc
{line}

async def application(scope, receive, send):
    text = f"{{gc.get_threshold()}} {{gc.get_freeze_count() > 1000}}"
    await send({{"type": "http.response.start", "status": 200}})
    await send({{"type": "http.response.body", "body": text.encode()}})
"""


def usual() -> tuple[int, int, int]:
    """Python's thresholds, but that old objects are looked at when 70,000 more have come."""
    print_thresholds = "import gc; print(*gc.get_threshold())"
    ended = subprocess.run(
        [sys.executable, "-c", print_thresholds], capture_output=True, text=True, check=True
    )
    young, middle, _ = map(int, ended.stdout.split())
    return young, middle, 70_000 // (young * middle)


async def told(directory: Path, line: str, *options: str) -> str:
    """What an application that begins with ``line`` tells of its collector."""
    (directory / "app.py").write_text(APPLICATION.format(line=line))
    options = ("-p", "0", "--lifespan", "off", *options, "app:application")
    async with (
        launched(*options, directory=directory) as server,
        connected(await server.address()) as client,
    ):
        return (await client.fetch()).body.decode()


@pytest.mark.parametrize("options", [(), ("-w", "1")], ids=["alone", "worker"])
async def test_settled(options: tuple[str, ...], tmp_path: Path) -> None:
    """It leaves alone what was imported, and looks at old objects as often in each Python."""
    assert await told(tmp_path, "", *options) == f"{usual()} True"


async def test_thresholds_of_the_project(tmp_path: Path) -> None:
    """Thresholds that a project has set are kept."""
    line = "gc.set_threshold(5000, 20, 30)"
    assert await told(tmp_path, line) == "(5000, 20, 30) True"


@pytest.mark.parametrize("thresholds", ["(0, 10, 10)", "(1000, 5, 5)"])
def test_thresholds_from_before(thresholds: str) -> None:
    """So are those from before the server was imported, as by Gunicorn's configuration."""
    code = f"import gc; gc.set_threshold(*{thresholds}); from fairway.server import collector"
    code += "; collector.settle(lambda: 0); print(gc.get_threshold(), gc.callbacks)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == f"{thresholds} []"


#: What the processes below begin with. Each circle holds 1,000 objects, all of which the collector
#: would count; ``alive()`` says how many circles have not been collected.
CIRCLES = """
import gc, weakref
from fairway.server import collector

class Circle:
    def __init__(self):
        self.me = [self]
        self.more = [[] for _ in range(1000)]

opened = 0
gc.disable()  # only when this asks for it
collector.settle(lambda: opened)
watched = weakref.WeakSet()

def circles(count):
    made = [Circle() for _ in range(count)]
    watched.update(made)
    return made

def alive():
    return len(watched)
"""


def printed(code: str) -> list[str]:
    """The lines that such a process prints."""
    command = [sys.executable, "-c", CIRCLES + code]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_garbage_is_found() -> None:
    """A circle that nobody needs when the collector comes is collected, also if much has come."""
    code = """
circles(200)
gc.collect()
print(alive())
"""
    assert printed(code) == ["0"]


def test_walked_through_once() -> None:
    """What is alive when the collector has looked at it is not looked at with the next walk."""
    code = """
kept = circles(20)
opened = 500
gc.collect()
print(len(gc.get_objects()) < 1000)  # which tells what the collector would look at
del kept
gc.collect()
print(alive())
"""
    assert printed(code) == ["True", "20"]


def test_looked_at_again() -> None:
    """When half as much again is there as was needed, all of it is looked at once more."""
    code = """
kept = circles(100)
gc.collect(), gc.collect()  # far more than the process began with: the second looks at all of it
del kept
gc.collect()
print(alive())
more = circles(100)
gc.collect(), gc.collect()
print(alive())
"""
    assert printed(code) == ["100", "100"]


def test_not_looked_at_again() -> None:
    """As long as less than that is there, it is not."""
    code = """
kept = circles(300)
gc.collect(), gc.collect()
del kept
more = circles(100)
gc.collect(), gc.collect()
print(alive())
"""
    assert printed(code) == ["400"]


def test_of_new_connections() -> None:
    """What can belong to connections that have been opened meanwhile is not walked through."""
    code = """
circles(50)
opened = 1000
gc.collect()
print(alive())
circles(50)
gc.collect()
print(alive())
"""
    assert printed(code) == ["50", "50"]


def test_of_connections() -> None:
    """Objects that the open connections account for are no reason to look at all of them again."""
    code = """
kept = []
for _ in range(10):
    kept += circles(100)
    opened += 2000
    gc.collect()
del kept
gc.collect(), gc.collect()
print(alive())
"""
    assert printed(code) == ["1000"]
