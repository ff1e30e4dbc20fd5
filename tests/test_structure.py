"""The house rules that no linter knows: where things are, what is public, who imports whom."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import django
import pytest

import fairway

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fairway"
TESTS = ROOT / "tests"

#: Where else the tests of a room may be; "" stands for the modules beside the rooms.
TEST_DIRECTORIES = {
    "": ["", "consumers", "django"],
    "consuming": ["consumers"],
    "generic": ["consumers"],
    "http": ["", "django"],
    "security": ["django"],
    "management/commands": ["django"],
}

#: Modules without a test file of their own, and what tests them instead.
TESTED_ELSEWHERE = {
    "__main__.py": "calls the command line; tests/server/test_cli.py runs it as a process",
    "compat/migrate/__main__.py": "calls the command; tests/compat/migrate/test_command.py runs it",
    "compat/shims/daphne/__main__.py": "calls the command line; its test runs it as a process",
    "_types.py": "names for types; mypy is their test",
    "exceptions.py": "declarations; each is raised in the tests of the module that raises it",
    "server/http/writer.py": "declarations; its implementations have tests of their own",
    "wire/websocket_events.py": "declarations; tests/wire/test_websocket.py compares whole events",
}

#: What the core may not name. An import graph does not see the submodules of foreign packages.
FORBIDDEN_IN_THE_CORE = (
    "asyncio.transports",
    "asyncio.streams",
    "asyncio.protocols",
    "asyncio.base_events",
)
TRANSPORT_NAMES = {
    "Transport",
    "BaseTransport",
    "DatagramTransport",
    "StreamReader",
    "StreamWriter",
    "Protocol",
}


def python_files() -> Iterator[Path]:
    """Every module of the package, as a path below ``src/fairway``."""
    return (path.relative_to(SOURCE) for path in sorted(SOURCE.rglob("*.py")))


def modules() -> Iterator[str]:
    """The dotted name of every module of the package."""
    yield "fairway"
    for info in pkgutil.walk_packages(fairway.__path__, "fairway."):
        if info.name != "fairway.__main__" and info.name not in unavailable():
            yield info.name


def unavailable() -> set[str]:
    """Packages that this Django is too old for."""
    return {"fairway.tasks"} if django.VERSION < (6, 0) else set()


def public_names(module: ModuleType) -> list[str]:
    """What ``__all__`` lists, or else every name without underscore that the module defines."""
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return listed
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", None) == module.__name__
    ]


def is_empty(path: Path) -> bool:
    """Whether a module has nothing but a docstring, imports and constants: nothing to test."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
                continue
            case ast.Assign(value=ast.Constant() | ast.List() | ast.Tuple()):
                continue
            case _:
                return False
    return True


def imports_of(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """The line, the module and the names of each import in a file."""
    package = ["fairway", *path.parent.parts]
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield (
                node.lineno,
                ".".join([*base, node.module or ""]).strip("."),
                [a.name for a in node.names],
            )


@pytest.mark.parametrize("path", [str(path) for path in python_files()])
def test_each_module_has_its_tests(path: str) -> None:
    """``src/fairway/<room>/<module>.py`` is tested by ``tests/<room>/test_<module>.py``."""
    module = Path(path)
    if path in TESTED_ELSEWHERE or is_empty(SOURCE / module):
        return
    room = module.parent.as_posix() if module.parent.parts else ""
    stem = module.parent.name if module.name == "__init__.py" else module.stem
    directories = [room, *TEST_DIRECTORIES.get(room, [])]
    wanted = [TESTS / directory / f"test_{stem}.py" for directory in directories]
    assert any(file.is_file() for file in wanted), (
        f"src/fairway/{path} has no tests: write {wanted[0].relative_to(ROOT)}, "
        f"or say in TESTED_ELSEWHERE (tests/test_structure.py) where it is tested and why there"
    )


def test_documented_exceptions_exist() -> None:
    """No exception of this file outlives the module it was made for."""
    gone = [path for path in TESTED_ELSEWHERE if not (SOURCE / path).is_file()]
    assert gone == [], f"TESTED_ELSEWHERE names modules that are not there: {gone}"


@pytest.mark.parametrize("name", list(modules()))
def test_all_is_true(name: str) -> None:
    """``__all__`` lists names that exist, once each and in order."""
    module = importlib.import_module(name)
    listed: list[str] = getattr(module, "__all__", [])
    assert [public for public in listed if not hasattr(module, public)] == []
    assert listed == sorted(set(listed), key=listed.index), f"{name}.__all__ lists a name twice"


# Django's commands explain themselves with `help`.
@pytest.mark.parametrize("name", [name for name in modules() if ".management." not in name])
def test_public_names_have_docstrings(name: str) -> None:
    """Every module, public class, function and method says what it is for."""
    module = importlib.import_module(name)
    silent = [] if module.__doc__ else [f"{name} (the module)"]
    for public in public_names(module):
        value = getattr(module, public, None)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        if not str(getattr(value, "__module__", "")).startswith("fairway"):
            continue
        # `inspect.getdoc` would find the docstring of a base class; a class has to have its own.
        if not value.__doc__:
            silent.append(f"{name}.{public}")
        if inspect.isclass(value):
            silent += [f"{name}.{public}.{method}" for method in silent_methods(value)]
    assert silent == [], "no docstring: " + ", ".join(silent)


def silent_methods(cls: type) -> list[str]:
    """The public methods and properties that a class defines and neither it nor a base explains."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod)))
        # Not getattr(): a descriptor may have something to compute, which is not there yet.
        and not any(vars(base)[name].__doc__ for base in cls.__mro__ if name in vars(base))
    ]


@pytest.mark.parametrize("path", [str(path) for path in python_files()])
def test_private_names_stay_in_their_room(path: str) -> None:
    """A name with an underscore is imported only by its own room; ``_types`` belongs to all."""
    module = Path(path)
    here = ["fairway", *module.parent.parts] if module.parent.parts else ["fairway", module.stem]
    trespasses = []
    for line, target, names in imports_of(module):
        if not target.startswith("fairway") or target == "fairway._types":
            continue
        parts = target.split(".")
        if parts[:2] == here[:2]:
            continue
        private = [n for n in [*parts, *names] if n.startswith("_") and not n.startswith("__")]
        trespasses += [f"line {line}: {name} from {target}" for name in private if name != "_types"]
    assert trespasses == [], (
        f"src/fairway/{path} imports what another room keeps private: {trespasses}"
    )


@pytest.mark.parametrize(
    "path", [str(p) for p in python_files() if p.parts[0] in {"wire", "delivery"}]
)
def test_core_does_not_touch_transports(path: str) -> None:
    """``wire`` and ``delivery`` name no transport, stream or protocol of asyncio."""
    found = []
    for line, target, names in imports_of(Path(path)):
        wanted = {target, *(f"{target}.{name}" for name in names)}
        if any(
            f"{name}.".startswith(f"{bad}.") for name in wanted for bad in FORBIDDEN_IN_THE_CORE
        ):
            found.append(f"line {line}: {target}")
        if target == "asyncio" and TRANSPORT_NAMES & set(names):
            found.append(f"line {line}: {TRANSPORT_NAMES & set(names)} from asyncio")
    for node in ast.walk(ast.parse((SOURCE / path).read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id="asyncio"), attr=name) if name in TRANSPORT_NAMES:
                found.append(f"line {node.lineno}: asyncio.{name}")
            case _:
                continue
    assert found == [], f"src/fairway/{path} reaches for input and output: {found}"
