"""What may be typed."""

from typing import Any

import pytest

from fairway.server import Config
from fairway.server.arguments import VARIABLE, read
from fairway.server.config import ConfigError, Option, options


def parse(*arguments: str) -> dict[str, Any]:
    """What was typed, without the application, which is ``app:path``."""
    path, found = read([*arguments, "app:path"])
    assert path == "app:path"
    return found


def example(option: Option) -> tuple[str, object]:
    """A value of an option as it is typed, and as it is configured."""
    if option.choices:
        return option.choices[-1], option.choices[-1]
    if option.name == "endpoints":
        return "unix:a", ("unix:a",)
    if option.name == "unix_socket_mode":
        return "660", "660"
    if option.name == "metrics":
        return "unix:a", "unix:a"
    if option.name == "log_fmt":
        return "%(message)s", "%(message)s"
    if option.name == "chdir":
        return "/a", "/a"
    if option.name == "health_path":
        return "/-", "/-"
    if option.type is int and option.minimum is not None and option.minimum > 3:
        return f"{option.minimum:g}", option.minimum
    values = {"int": ("3", 3), "float": ("1.5", 1.5), "str": ("a", "a"), "tuple": ("a", ("a",))}
    return values[option.type.__name__]


class TestParser:
    """The parser that is made from the options."""

    def test_nothing_typed(self) -> None:
        """Only what was typed is there, so that settings can fill in the rest."""
        assert parse() == {}

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


class TestEnvironment:
    """Options in FAIRWAY_OPTIONS."""

    def test_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are spelt as on the command line, with a shell's quotes."""
        monkeypatch.setenv(VARIABLE, "-w 4 --server-name 'a b' --proxy-headers --no-server-name")
        assert parse() == {"workers": 4, "server_name": "", "proxy_headers": True}

    def test_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is typed wins; what may be said several times is all of it."""
        monkeypatch.setenv(VARIABLE, "--ping-interval 5 --proxy-headers -e tcp:80")
        found = parse("--no-proxy-headers", "--ping-interval=6", "-e", "tcp:81")
        endpoints = ("tcp:80", "tcp:81")
        assert found == {"ping_interval": 6.0, "proxy_headers": False, "endpoints": endpoints}

    def test_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is typed wins over none in the variable."""
        monkeypatch.setenv(VARIABLE, "--no-server-name")
        assert parse("--server-name", "a") == {"server_name": "a"}

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("--prot 1", "There is no option --prot. Did you mean --port?"),
            ("-p x", "argument -p/--port: invalid int value: 'x'"),
            ("app:path", "unrecognized arguments: app:path"),
        ],
    )
    def test_no_options(
        self,
        text: str,
        complaint: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What is wrong there is said to be wrong there."""
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(SystemExit, match=r"^2$"):
            parse()
        line = f"fairway: error: In the environment variable FAIRWAY_OPTIONS: {complaint}"
        assert capsys.readouterr().err.splitlines()[-1] == line

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("-p 70000", "port must be at most 65535, not 70000."),
            ("--server-name 'a", "No closing quotation"),
        ],
    )
    def test_value(self, text: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """So are values that cannot be used, even if what is typed wins."""
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(ConfigError) as caught:
            parse("-p", "0")
        assert str(caught.value) == f"In the environment variable FAIRWAY_OPTIONS: {complaint}"
