"""The options of the server: names, types, limits, and what is said about wrong ones."""

import dataclasses
import importlib
import math
import re
from typing import Any

import pytest

from fairway.server import config as config_module
from fairway.server.config import Config, ConfigError, Option, options

BY_NAME = {option.name: option for option in options()}


def test_defaults() -> None:
    """Without a word the server is bounded everywhere but where Django has limits of its own."""
    config = Config()
    assert (config.host, config.port, config.unix_socket, config.file_descriptor) == (None,) * 4
    assert (config.header_timeout, config.keep_alive_timeout, config.http_timeout) == (20, 75, None)
    assert (config.max_request_line, config.max_header_size, config.max_header_count) == (
        8192,
        65536,
        128,
    )
    assert config.max_body_size == 0
    assert (config.ping_interval, config.ping_timeout) == (20, 30)
    assert (config.websocket_timeout, config.websocket_connect_timeout) == (86400, 5)
    assert config.websocket_max_message_size == config.websocket_max_frame_size == 1048576
    assert (config.application_close_timeout, config.graceful_timeout) == (10, 15)
    assert (config.write_buffer_size, config.backlog) == (65536, 2048)
    assert config.proxy_headers is False
    assert config.trusted_proxies == ("127.0.0.0/8", "::1")
    assert (config.server_name, config.root_path) == ("fairway", "")
    assert (config.lifespan, config.loop, config.verbosity) == ("auto", "auto", 1)


def test_frozen() -> None:
    """What was configured once is not changed; a changed copy can be made."""
    config = Config(port=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 2  # type: ignore[misc]  # the class has to refuse it, too
    changed = config.replace(port=2, host="::1")
    assert (config.port, changed.port, changed.host) == (1, 2, "::1")


def test_keyword_only() -> None:
    """Options are given by name."""
    with pytest.raises(TypeError, match="positional"):
        Config("127.0.0.1")  # type: ignore[call-arg]  # the class has to refuse it, too


class TestThreads:
    """The environment variable of Daphne and asgiref sets the default of ``threads``."""

    @pytest.mark.parametrize(
        ("text", "expected"), [("7", 7), ("", 32), ("0", 32), ("-1", 32), ("many", 32)]
    )
    def test_environment(self, text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A number above 0 counts; everything else is as if it were not there."""
        monkeypatch.setenv("ASGI_THREADS", text)
        assert config_module._default_threads() == expected

    def test_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without it there are 32."""
        monkeypatch.delenv("ASGI_THREADS", raising=False)
        assert config_module._default_threads() == 32


class TestOptions:
    """What the command line, the setting and the reference page are made of."""

    def test_complete(self) -> None:
        """Every field of the object is an option, in its order."""
        assert list(BY_NAME) == [field.name for field in dataclasses.fields(Config)]

    @pytest.mark.parametrize("option", options(), ids=lambda option: option.name)
    def test_described(self, option: Option) -> None:
        """Each has a flag, a heading and at least a sentence that explains it."""
        assert all(
            re.fullmatch(r"-[a-z]|--[a-z0-9]+([-_][a-z0-9]+)*", flag) for flag in option.flags
        )
        assert any(flag.startswith("--") for flag in option.flags)
        assert option.group
        assert option.help[-1] == "."
        assert option.type in {str, int, float, bool, tuple}
        if option.type in {int, float} and not option.metavar:
            assert option.unit

    def test_flags_differ(self) -> None:
        """No two options have the same flag."""
        flags = [flag for option in options() for flag in option.flags]
        assert len(flags) == len(set(flags))

    @pytest.mark.parametrize(
        ("name", "flags"),
        [
            ("host", ["-b", "--bind"]),
            ("port", ["-p", "--port"]),
            ("unix_socket", ["-u", "--unix-socket"]),
            ("endpoints", ["-e", "--endpoint"]),
            ("file_descriptor", ["--fd"]),
            ("root_path", ["--root-path"]),
            ("proxy_headers", ["--proxy-headers"]),
            ("proxy_headers_host", ["--proxy-headers-host"]),
            ("proxy_headers_port", ["--proxy-headers-port"]),
            ("http_timeout", ["-t", "--http-timeout"]),
            ("ping_interval", ["--ping-interval"]),
            ("ping_timeout", ["--ping-timeout"]),
            ("websocket_timeout", ["--websocket_timeout"]),
            ("websocket_connect_timeout", ["--websocket_connect_timeout"]),
            ("websocket_max_message_size", ["--websocket-max-message-size"]),
            ("websocket_max_frame_size", ["--websocket-max-frame-size"]),
            ("application_close_timeout", ["--application-close-timeout"]),
            ("server_name", ["-s", "--server-name"]),
            ("access_log", ["--access-log"]),
            ("log_fmt", ["--log-fmt"]),
            ("verbosity", ["-v", "--verbosity"]),
        ],
    )
    def test_flags_of_daphne(self, name: str, flags: list[str]) -> None:
        """What Daphne's users type is understood."""
        assert set(flags) <= set(BY_NAME[name].flags)

    def test_types(self) -> None:
        """The type is the field's, without None."""
        assert (BY_NAME["port"].type, BY_NAME["port"].optional) == (int, True)
        assert (BY_NAME["backlog"].type, BY_NAME["backlog"].optional) == (int, False)
        assert BY_NAME["http_timeout"].type is float
        assert BY_NAME["trusted_proxies"].type is tuple
        assert BY_NAME["loop"].choices == ("auto", "uvloop", "asyncio")


def refusal(**values: Any) -> str:
    """What is said about wrong values."""
    with pytest.raises(ConfigError) as caught:
        Config(**values)
    return str(caught.value)


class TestValues:
    """A value that cannot be used is refused when the object is made, by its name."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"port": "80"}, "port must be a whole number, not '80'."),
            ({"port": 1.5}, "port must be a whole number, not 1.5."),
            ({"port": True}, "port must be a whole number, not True."),
            ({"port": -1}, "port must be at least 0, not -1."),
            ({"port": 65536}, "port must be at most 65535, not 65536."),
            (
                {"file_descriptor": 2**31},
                "file_descriptor must be at most 2147483647, not 2147483648.",
            ),
            ({"backlog": 10**20}, f"backlog must be at most 2147483647, not {10**20}."),
            ({"workers": 1001}, "workers must be at most 1000, not 1001."),
            ({"host": 1}, "host must be text, not 1."),
            ({"host": b"::"}, "host must be text, not b'::'."),
            ({"backlog": 0}, "backlog must be at least 1, not 0."),
            ({"backlog": None}, "backlog must be a whole number, not None."),
            ({"threads": 0}, "threads must be at least 1, not 0."),
            ({"write_buffer_size": 0}, "write_buffer_size must be at least 1, not 0."),
            ({"max_body_size": -1}, "max_body_size must be at least 0, not -1."),
            (
                {"websocket_max_handshakes": math.inf},
                "websocket_max_handshakes must be a number, not inf.",
            ),
            ({"ping_interval": "1"}, "ping_interval must be a number of seconds, not '1'."),
            ({"ping_interval": False}, "ping_interval must be a number of seconds, not False."),
            ({"ping_interval": math.inf}, "ping_interval must be a number of seconds, not inf."),
            ({"ping_interval": math.nan}, "ping_interval must be a number of seconds, not nan."),
            ({"proxy_headers": 1}, "proxy_headers must be True or False, not 1."),
            ({"trusted_proxies": "::1"}, "trusted_proxies must be a list of texts, not '::1'."),
            ({"trusted_proxies": (1,)}, "trusted_proxies must be a list of texts, not (1,)."),
            (
                {"endpoints": ("tcp:80", "tcp:x")},
                (
                    "endpoints: Cannot listen on 'tcp:x': "
                    "'port' must be a number from 0 to 65535, not 'x'."
                ),
            ),
            ({"loop": "trio"}, "loop must be one of auto, uvloop, asyncio, not 'trio'."),
            (
                {"server_name": "a\r\nb"},
                "server_name must be printable ASCII, as it stands in headers, not 'a\\r\\nb'.",
            ),
            (
                {"server_name": "Füssen"},
                "server_name must be printable ASCII, as it stands in headers, not 'Füssen'.",
            ),
            (
                {"proxy_headers_port": "ß"},
                "proxy_headers_port must be printable ASCII, as it stands in headers, not 'ß'.",
            ),
        ],
    )
    def test_refused(self, values: dict[str, Any], message: str) -> None:
        """The message says which option, what it takes and what it got."""
        assert refusal(**values) == message

    @pytest.mark.parametrize(
        "values",
        [
            {"ping_interval": 0},
            {"ping_interval": -1.0},
            {"http_timeout": 5},
            {"http_timeout": None},
            {"websocket_max_message_size": 0},
            {"port": 0},
            {"port": 65535},
            {"trusted_proxies": ()},
            {"server_name": ""},
        ],
    )
    def test_taken(self, values: dict[str, Any]) -> None:
        """Durations of 0 and less and sizes of 0 stand for no limit; a float may be whole."""
        config = Config(**values)
        assert {name: getattr(config, name) for name in values} == values


class TestFromMapping:
    """The ``FAIRWAY`` setting becomes a configuration."""

    def test_values(self) -> None:
        """Names and values are those of the object."""
        assert Config.from_mapping({"port": 1, "root_path": "/a"}) == Config(port=1, root_path="/a")

    def test_empty(self) -> None:
        """Nothing is the default."""
        assert Config.from_mapping({}) == Config()

    def test_list(self) -> None:
        """A list does where a tuple is kept, as settings often have lists."""
        assert Config.from_mapping({"trusted_proxies": ["::1"]}).trusted_proxies == ("::1",)

    def test_misspelt(self) -> None:
        """An unknown name is refused, with the nearest that exists."""
        with pytest.raises(ConfigError) as caught:
            Config.from_mapping({"ping_intervall": 1})
        assert str(caught.value) == (
            "There is no option 'ping_intervall'. Did you mean 'ping_interval'?"
        )

    @pytest.mark.parametrize("name", ["zzz", 1])
    def test_unknown(self, name: Any) -> None:
        """Where nothing is near, nothing is suggested."""
        with pytest.raises(ConfigError) as caught:
            Config.from_mapping({name: 1})
        assert str(caught.value) == f"There is no option {name!r}."

    def test_value(self) -> None:
        """A wrong value is refused as in the object."""
        with pytest.raises(ConfigError, match="port must be a whole number"):
            Config.from_mapping({"port": "1"})


def test_environment_is_read_once() -> None:
    """The default is that of the process's start; ``--threads`` and the setting come later."""
    module = importlib.import_module("fairway.server.config")
    assert Config().threads == module._default_threads()
