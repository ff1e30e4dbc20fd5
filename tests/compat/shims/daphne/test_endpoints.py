"""``daphne.endpoints``."""

from typing import Any

import pytest

from fairway.compat.shims.daphne.endpoints import build_endpoint_description_strings
from fairway.server.listening.endpoints import TCPEndpoint, parse_endpoint


@pytest.mark.row("2.5 build_endpoint_description_strings")
@pytest.mark.parametrize(
    ("arguments", "endpoints"),
    [
        ({}, []),
        ({"host": "127.0.0.1", "port": 80}, ["tcp:port=80:interface=127.0.0.1"]),
        ({"host": "[200a::1]", "port": 80}, [r"tcp:port=80:interface=200a\:\:1"]),
        ({"host": "200a::1", "port": 80}, [r"tcp:port=80:interface=200a\:\:1"]),
        ({"unix_socket": "/run/s"}, ["unix:/run/s"]),
        ({"file_descriptor": 5}, ["fd:fileno=5"]),
        ({"file_descriptor": 0}, ["fd:fileno=0"]),
        (
            {"host": "127.0.0.1", "port": 0, "unix_socket": "s", "file_descriptor": 5},
            ["tcp:port=0:interface=127.0.0.1", "unix:s", "fd:fileno=5"],
        ),
    ],
)
def test_built(arguments: dict[str, Any], endpoints: list[str]) -> None:
    """Each way to listen is an endpoint string, which the server understands."""
    assert build_endpoint_description_strings(**arguments) == endpoints
    for endpoint in endpoints:
        parse_endpoint(endpoint)


def test_ipv6() -> None:
    """The address comes out as it went in."""
    (text,) = build_endpoint_description_strings(host="::1", port=80)
    assert parse_endpoint(text) == TCPEndpoint(host="::1", port=80)


@pytest.mark.row("2.5 build_endpoint_description_strings")
@pytest.mark.parametrize("arguments", [{"host": "a"}, {"port": 80}])
def test_half(arguments: dict[str, Any]) -> None:
    """A host alone, or a port alone, is not enough."""
    with pytest.raises(ValueError, match="TCP binding") as caught:
        build_endpoint_description_strings(**arguments)
    assert str(caught.value) == "TCP binding requires both port and host kwargs."
