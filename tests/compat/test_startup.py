"""``FAIRWAY_COMPAT=1``, in an environment of its own with a wheel that was really built."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from fairway.compat import startup

ROOT = Path(__file__).parent.parent.parent

#: What a process prints to show which of our modules it has, and whether the alias is there.
LOOK = (
    "import sys, importlib.util;"
    "print(sorted(name for name in sys.modules if name.partition('.')[0] == 'fairway'));"
    "print(importlib.util.find_spec('channels') is not None)"
)


class Environment:
    """A virtual environment with our wheel in it."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        venv.create(directory, with_pip=False, symlinks=os.name != "nt")
        scripts = directory / ("Scripts" if os.name == "nt" else "bin")
        self.python = scripts / ("python.exe" if os.name == "nt" else "python")
        variables = {"base": str(directory), "platbase": str(directory)}
        self.site = Path(sysconfig.get_path("purelib", "venv", variables))
        with zipfile.ZipFile(wheel) as archive:  # a wheel of this kind is installed by this
            archive.extractall(self.site)
        # What it depends on is that of the tests; there, Fairway itself is found through a .pth
        # file, which is not read in a directory that is only named.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(
        self, code: str, value: str | None = None, *flags: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run code with the variable set to a value, or not set."""
        environment = {name: text for name, text in os.environ.items() if "PYTHON" not in name}
        environment.pop(startup.VARIABLE, None)
        if value is not None:
            environment[startup.VARIABLE] = value
        return subprocess.run(
            [self.python, *flags, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=self.site.parent,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as it is published."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """An environment that no test changes."""
    return Environment(tmp_path_factory.mktemp("environment"), wheel)


class TestVariable:
    """What it may say."""

    @pytest.mark.parametrize("value", ["1", "true", "True", "yes", "YES", " 1 "])
    def test_on(self, value: str, environment: Environment) -> None:
        """The alias is there before the first line of the process, without a line in it."""
        result = environment.run(
            "import channels, fairway; assert fairway.__path__[0] in channels.__file__", value
        )
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.parametrize("value", ["0", "", " "])
    def test_off(self, value: str, environment: Environment) -> None:
        """Nothing changes."""
        result = environment.run(LOOK, value)
        assert result.stdout.splitlines()[1] == "False"
        assert (result.returncode, result.stderr) == (0, "")

    def test_unset(self, environment: Environment) -> None:
        """Without it, not even Fairway is imported."""
        result = environment.run(LOOK)
        assert (result.stdout, result.stderr) == ("[]\nFalse\n", "")

    @pytest.mark.parametrize("value", ["2", "on", "flase"])
    def test_wrong(self, value: str, environment: Environment) -> None:
        """What is neither yes nor no ends the process, with one line that says so."""
        result = environment.run("print('never')", value)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == (
            f"fairway: FAIRWAY_COMPAT must be 1, true or yes, or else 0 or empty, not {value!r}.\n"
        )

    def test_no_site(self, environment: Environment) -> None:
        """Without ``site``, nothing is installed."""
        assert environment.run(LOOK, "1", "-S").stdout == "[]\nFalse\n"


def test_project(environment: Environment) -> None:
    """A project's settings, apps and consumers work under the old names, in child processes too."""
    result = environment.run(
        """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import channels, daphne, channels_redis"], check=True)
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["daphne", "channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
import django
django.setup()
from channels.generic.websocket import WebsocketConsumer
from channels.layers import get_channel_layer
import fairway.generic.websocket, fairway.layers
assert WebsocketConsumer is fairway.generic.websocket.WebsocketConsumer
assert type(get_channel_layer()) is fairway.layers.InMemoryChannelLayer
""",
        "1",
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_real_packages_came_first(tmp_path: Path, wheel: Path) -> None:
    """A line of somebody else that imports the real package before us is found out."""
    environment = Environment(tmp_path / "environment", wheel)
    (environment.site / "channels").mkdir()
    file = environment.site / "channels" / "__init__.py"
    file.write_text("")
    (environment.site / "a.pth").write_text("import channels\n")
    result = environment.run("print('never')", "1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "fairway: fairway.compat.install() came too late: 'channels' is already imported, "
        f"from {file}."
    )
    assert environment.run("import channels").returncode == 0


def test_half_uninstalled(tmp_path: Path, wheel: Path) -> None:
    """If only the line is left, Python works; where the alias is wanted it says what is missing."""
    environment = Environment(tmp_path / "environment", wheel)
    (environment.site / "fairway").rename(environment.site / "gone")
    result = environment.run("print('works')", "1")
    assert (result.returncode, result.stdout) == (0, "works\n")
    assert "ModuleNotFoundError: No module named 'fairway'" in result.stderr
    result = environment.run("print('works')")
    assert (result.returncode, result.stdout, result.stderr) == (0, "works\n", "")


@pytest.mark.parametrize(("environ", "wanted"), [({}, False), ({"FAIRWAY_COMPAT": "1"}, True)])
def test_is_wanted(environ: dict[str, str], wanted: bool) -> None:
    """Only the variable counts."""
    assert startup.is_wanted(environ) is wanted


def test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the line calls does nothing where the variable says no."""
    before = list(sys.meta_path)
    monkeypatch.setenv("FAIRWAY_COMPAT", "0")
    startup.run()
    assert sys.meta_path == before
