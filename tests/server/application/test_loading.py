"""Loading the application, and what its project says of the server."""

import functools
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server.application.loading import (
    ApplicationNotFound,
    load_application,
    lonely_layers,
    project_options,
)
from fairway.server.config import ConfigError
from tests.server import applications


class Callable3:
    """An application that is an object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""


class Legacy:
    """An application of ASGI 2: called with a scope only."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class Slotted:
    """An application whose object has its own ``__call__``, as Sentry's middleware does."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = Callable3().__call__


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module ``site_of_tests.asgi``, to put things into."""
    package, module = ModuleType("site_of_tests"), ModuleType("site_of_tests.asgi")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "site_of_tests", package)
    monkeypatch.setitem(sys.modules, "site_of_tests.asgi", module)
    return module


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

    def test_slot(self, module: ModuleType) -> None:
        """What is called through a slot of its object tells no signature, and is believed."""
        module.__dict__.update(a=Slotted())
        assert load_application("site_of_tests.asgi:a") is module.a

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


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What stands for ``django.conf``."""
    conf = SimpleNamespace(settings=SimpleNamespace(configured=True))
    monkeypatch.setitem(sys.modules, "django.conf", conf)
    return conf


@pytest.mark.usefixtures("conf")
class TestProjectOptions:
    """The ``FAIRWAY`` setting."""

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


class TestLonelyLayers:
    """Channel layers that several workers do not share."""

    def test_in_memory(self, conf: SimpleNamespace) -> None:
        """Those in memory, under either name."""
        conf.settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "fairway.layers.InMemoryChannelLayer"},
            "redis": {"BACKEND": "fairway.layers.redis.RedisChannelLayer"},
            "old": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
            "wrong": None,
        }
        assert lonely_layers() == ["default", "old"]

    @pytest.mark.parametrize("layers", [None, {}, ["wrong"]])
    def test_none(self, conf: SimpleNamespace, layers: object) -> None:
        """Nothing is set, or a system check has something to say of it."""
        conf.settings.CHANNEL_LAYERS = layers
        assert lonely_layers() == []

    def test_no_project(self, conf: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settings that nobody has asked for are left alone, and there may be no Django."""
        conf.settings.configured = False
        assert lonely_layers() == []
        monkeypatch.delitem(sys.modules, "django.conf")
        assert lonely_layers() == []
