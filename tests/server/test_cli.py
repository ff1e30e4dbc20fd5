"""The parts of the command line that need no process of their own."""

import functools
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import fairway
from fairway._types import Receive, Scope, Send
from fairway.server import Config
from fairway.server.application.lifespan import LifespanFailed
from fairway.server.cli import (
    ApplicationNotFound,
    configure_logging,
    load_application,
    main,
    make_parser,
    open_access_log,
    project_options,
    run,
    serve,
)
from fairway.server.config import ConfigError, Option, options
from tests.server import applications


def parse(*arguments: str) -> dict[str, Any]:
    """What was typed, without the application, which is ``app:path``."""
    found = vars(make_parser().parse_args([*arguments, "app:path"]))
    assert found.pop("application") == "app:path"
    return found


def example(option: Option) -> tuple[str, object]:
    """A value of an option as it is typed, and as it is configured."""
    if option.choices:
        return option.choices[-1], option.choices[-1]
    if option.name == "endpoints":
        return "unix:a", ("unix:a",)
    values = {"int": ("3", 3), "float": ("1.5", 1.5), "str": ("a", "a"), "tuple": ("a", ("a",))}
    return values[option.type.__name__]


class Callable3:
    """An application that is an object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""


class Legacy:
    """An application of ASGI 2: called with a scope only."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module ``site_of_tests.asgi``, to put things into."""
    package, module = ModuleType("site_of_tests"), ModuleType("site_of_tests.asgi")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "site_of_tests", package)
    monkeypatch.setitem(sys.modules, "site_of_tests.asgi", module)
    return module


@contextmanager
def bare_root() -> Iterator[logging.Logger]:
    """The root logger without handlers, pytest's neither; all is as before afterwards."""
    root, asyncio_logger = logging.getLogger(), logging.getLogger("asyncio")
    before = root.handlers, root.level, asyncio_logger.level
    root.handlers = []
    try:
        yield root
    finally:
        root.handlers = before[0]
        root.setLevel(before[1])
        asyncio_logger.setLevel(before[2])


class TestParser:
    """The parser that is made from the options."""

    def test_nothing_typed(self) -> None:
        """Only what was typed is there, so that settings can fill in the rest."""
        assert parse() == {"no_server_name": False}

    @pytest.mark.parametrize(
        ("flag", "option"),
        [
            (flag, option)
            for option in options()
            if option.type is not bool
            for flag in option.flags
        ],
    )
    def test_each_option(self, flag: str, option: Option) -> None:
        """Each spelling of each option gives a value that the configuration takes."""
        typed, value = example(option)
        found = parse(flag, typed)
        assert found.pop("no_server_name") is False
        assert found == {option.name: value}
        assert getattr(Config.from_mapping(found), option.name) == value

    @pytest.mark.row("2.1 --endpoint")
    def test_repeated(self) -> None:
        """Endpoints are named one by one, as a colon or a comma may be part of them."""
        found = parse("-e", "tcp:80", "--endpoint", "unix:a,b")
        assert found["endpoints"] == ("tcp:80", "unix:a,b")

    def test_daphne_spellings(self) -> None:
        """Daphne's two flags with underscores are taken."""
        found = parse("--websocket_timeout", "5", "--websocket_connect_timeout", "6")
        assert (found["websocket_timeout"], found["websocket_connect_timeout"]) == (5.0, 6.0)

    def test_switch(self) -> None:
        """A switch can be put either way: what is typed must win over a setting that is on."""
        assert parse("--proxy-headers")["proxy_headers"] is True
        assert parse("--no-proxy-headers")["proxy_headers"] is False

    @pytest.mark.parametrize(
        ("typed", "networks"),
        [("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")), ("*", ("*",)), ("", ()), (",", ())],
    )
    def test_list(self, typed: str, networks: tuple[str, ...]) -> None:
        """A list is separated by commas, and may be empty."""
        assert parse("--trusted-proxies", typed)["trusted_proxies"] == networks

    def test_choices(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A value that is no choice is refused with the choices."""
        with pytest.raises(SystemExit, match=r"^2$"):
            parse("--lifespan", "never")
        message = capsys.readouterr().err
        assert "argument --lifespan: invalid choice: 'never' (choose from" in message


class TestLoadApplication:
    """From ``module:object`` to an application."""

    def test_attribute(self, module: ModuleType) -> None:
        """An attribute of a module, or of an object in it."""
        module.__dict__.update(a=applications.path, b=SimpleNamespace(c=SimpleNamespace(d=len)))
        assert load_application("site_of_tests.asgi:a") is applications.path
        assert load_application("tests.server.applications:path") is applications.path

    def test_object(self, module: ModuleType) -> None:
        """An object that can be called is an application like a function."""
        app = Callable3()
        module.__dict__.update(b=SimpleNamespace(c=SimpleNamespace(d=app)))
        assert load_application("site_of_tests.asgi:b.c.d") is app

    def test_consumer_class(self, module: ModuleType) -> None:
        """A consumer class has to be made an application first."""
        module.__dict__.update(a=type("Consumer", (), {"as_asgi": classmethod(lambda cls: cls)}))
        with pytest.raises(ApplicationNotFound) as caught:
            load_application("site_of_tests.asgi:a")
        assert str(caught.value) == (
            "'site_of_tests.asgi:a' is a consumer class: serve what its as_asgi() returns, "
            "or the router around it."
        )

    def test_silent_signature(self, module: ModuleType) -> None:
        """What is written in C and tells no signature is believed."""
        module.__dict__.update(a=dict)
        found: object = load_application("site_of_tests.asgi:a")
        assert found is dict

    @pytest.mark.parametrize(
        "path", ["site", "site:", ":a", "", ":", "site/asgi.py:a", ".site:a", "site.:a", "a b:c"]
    )
    def test_no_path(self, path: str) -> None:
        """What has no module and object is answered with an example."""
        with pytest.raises(ApplicationNotFound) as caught:
            load_application(path)
        assert str(caught.value) == (
            f"{path!r} does not name an application: write module:object, "
            "such as mysite.asgi:application."
        )

    @pytest.mark.parametrize(
        ("path", "missing"),
        [
            ("no_site.asgi:a", "no_site"),
            ("site_of_tests.wsgi:a", "site_of_tests.wsgi"),
            ("tests.settings.asgi:a", "tests.settings.asgi"),
        ],
    )
    @pytest.mark.usefixtures("module")
    def test_no_module(
        self, path: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The part of the name that is missing is named, and where it was looked for."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ApplicationNotFound) as caught:
            load_application(path)
        assert str(caught.value) == (
            f"There is no module {missing!r} here or on the Python path "
            f"(looking for {path!r} from {tmp_path.resolve()})."
        )

    @pytest.mark.parametrize("name", ["absent", "present.absent", "present.", "__name__.absent"])
    def test_no_attribute(self, module: ModuleType, name: str) -> None:
        """A name that the module does not have."""
        module.__dict__.update(present=1)
        with pytest.raises(ApplicationNotFound) as caught:
            load_application(f"site_of_tests.asgi:{name}")
        assert str(caught.value) == (
            f"Module 'site_of_tests.asgi' has no {name!r}. Is the name right?"
        )

    @pytest.mark.parametrize(("value", "kind"), [(5, "int"), ("a", "str"), (None, "NoneType")])
    def test_not_callable(self, module: ModuleType, value: object, kind: str) -> None:
        """What cannot be called is named with its type."""
        module.__dict__.update(a=value)
        with pytest.raises(ApplicationNotFound) as caught:
            load_application("site_of_tests.asgi:a")
        assert str(caught.value) == (
            f"'site_of_tests.asgi:a' is of type {kind}, which is not an ASGI application."
        )

    @pytest.mark.parametrize("value", [Legacy, Callable3, lambda environ, start_response: []])
    def test_other_interface(self, module: ModuleType, value: object) -> None:
        """What takes other arguments: ASGI 2, a class instead of its object, WSGI."""
        module.__dict__.update(a=value)
        with pytest.raises(ApplicationNotFound) as caught:
            load_application("site_of_tests.asgi:a")
        assert str(caught.value) == (
            "'site_of_tests.asgi:a' is not an ASGI application: "
            "it cannot be called with a scope, receive and send. "
            "Is it for WSGI? Then name the one in asgi.py."
        )

    def test_wrapping(self, module: ModuleType) -> None:
        """What an application says it wraps may take other arguments, as a consumer class does."""

        async def application(scope: object, receive: object, send: object) -> None:
            """Stand for the result of as_asgi()."""

        module.__dict__.update(a=functools.update_wrapper(application, Legacy))
        assert load_application("site_of_tests.asgi:a") is application

    def test_import_error_inside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A module that is missing inside the application's module is not taken for it."""
        (tmp_path / "site_with_error.py").write_text("import site_with_error_absent\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match=r" 'site_with_error_absent'$"):
            load_application("site_with_error:a")


class TestProjectOptions:
    """The ``FAIRWAY`` setting."""

    @pytest.fixture(autouse=True)
    def conf(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """What stands for ``django.conf``."""
        conf = SimpleNamespace(settings=SimpleNamespace(configured=True))
        monkeypatch.setitem(sys.modules, "django.conf", conf)
        return conf

    def test_setting(self, conf: SimpleNamespace) -> None:
        """It is taken as it is; whether its keys exist is another's business."""
        conf.settings.FAIRWAY = {"port": 5, "other": 6}
        assert project_options() == {"port": 5, "other": 6}

    @pytest.mark.parametrize("empty", [{}, None])
    def test_empty(self, conf: SimpleNamespace, empty: object) -> None:
        """Nothing is set."""
        conf.settings.FAIRWAY = empty
        assert project_options() == {}

    def test_without_setting(self) -> None:
        """A project need not have it."""
        assert project_options() == {}

    def test_not_configured(self, conf: SimpleNamespace) -> None:
        """Settings that nobody has asked for are left alone: they may not exist."""
        conf.settings = SimpleNamespace(configured=False, FAIRWAY={"port": 5})
        assert project_options() == {}

    def test_no_django(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was loaded is no Django project."""
        monkeypatch.delitem(sys.modules, "django.conf")
        assert project_options() == {}

    @pytest.mark.parametrize("value", [["port"], "port", 5])
    def test_no_dictionary(self, conf: SimpleNamespace, value: object) -> None:
        """Anything but a dictionary is refused."""
        conf.settings.FAIRWAY = value
        with pytest.raises(ConfigError) as caught:
            project_options()
        assert str(caught.value) == f"The setting FAIRWAY must be a dictionary, not {value!r}."


class TestConfigureLogging:
    """Records on standard error."""

    @pytest.mark.parametrize(
        ("verbosity", "level", "asyncio_level"),
        [(0, 30, 30), (1, 20, 30), (2, 10, 30), (3, 10, 10), (9, 10, 10)],
    )
    def test_levels(self, verbosity: int, level: int, asyncio_level: int) -> None:
        """Verbosity is the level of all loggers, but asyncio's details need one more."""
        with bare_root() as root:
            configure_logging(Config(verbosity=verbosity))
            assert (root.level, logging.getLogger("asyncio").level) == (level, asyncio_level)

    def test_format(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Records go to standard error in the format; a second call replaces the first."""
        with bare_root() as root:
            configure_logging(Config())
            configure_logging(Config(log_fmt="%(levelname)s <%(message)s>"))
            logging.getLogger("fairway.server").info("hello")
            assert len(root.handlers) == 1
        assert capsys.readouterr() == ("", "INFO <hello>\n")

    @pytest.mark.parametrize(
        ("log_fmt", "why"),
        [
            ("message", "Invalid format 'message' for '%' style"),
            ("%(nothing)s", "Formatting field not found in record: 'nothing'"),
            ("%(message)d", "%d format: a real number is required, not str"),
        ],
    )
    def test_no_format(self, log_fmt: str, why: str) -> None:
        """What is no format is refused before anything is changed."""
        root = logging.getLogger()
        before = root.handlers.copy(), root.level
        with pytest.raises(ConfigError) as caught:
            configure_logging(Config(log_fmt=log_fmt))
        assert str(caught.value) == f"log_fmt is no format for log records: {why}."
        assert (root.handlers, root.level) == before


class TestOpenAccessLog:
    """Where the access log goes."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, True),
            ({"verbosity": 0}, False),
            ({"access_log": "-"}, True),
            ({"access_log": "-", "verbosity": 0}, True),
        ],
    )
    def test_standard_output(self, options: dict[str, Any], expected: bool) -> None:
        """To standard output, unless verbosity is 0 and nobody asks for it."""
        assert open_access_log(Config(**options)) is (sys.stdout if expected else None)

    def test_file(self, tmp_path: Path) -> None:
        """Lines are added to a file, each at once, whatever script they are in."""
        path = tmp_path / "log"
        path.write_text("before\n")
        stream = open_access_log(Config(access_log=str(path), verbosity=0))
        assert stream is not None
        with stream:
            stream.write("/é\n")
            assert path.read_text(encoding="utf-8") == "before\n/é\n"

    def test_no_file(self, tmp_path: Path) -> None:
        """What cannot be written is refused with the reason."""
        with pytest.raises(ConfigError) as caught:
            open_access_log(Config(access_log=str(tmp_path)))
        assert str(caught.value) == f"Cannot write the access log {tmp_path}: Is a directory."


class TestRun:
    """The whole, as far as it comes without serving."""

    @pytest.fixture(autouse=True)
    def path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it adds to the module path is taken away again."""
        monkeypatch.setattr(sys, "path", sys.path.copy())

    def test_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What cannot be served gives 1 and a line; the working directory is searched first."""
        with bare_root():
            assert run(["absent_site:a"]) == 1
        assert sys.path[0] == "."
        assert capsys.readouterr().err.startswith("fairway: There is no module 'absent_site' here")

    def test_values_before_the_module(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What was typed is complained about before anything is loaded."""
        assert run(["--port", "-1", "absent_site:a"]) == 1
        assert capsys.readouterr() == ("", "fairway: port must be at least 0, not -1.\n")

    def test_main(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Without arguments, ``main()`` takes those of the process, and ends it."""
        monkeypatch.setattr(sys, "argv", ["fairway", "--version"])
        with pytest.raises(SystemExit, match=r"^0$"):
            main()
        assert capsys.readouterr().out == f"fairway {fairway.__version__}\n"


def test_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps the server from starting is raised, and standard output stays open."""

    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    with pytest.raises(LifespanFailed, match=r"^no$"):
        serve(refuses, Config(port=0, loop="asyncio"))
    assert not stream.closed
