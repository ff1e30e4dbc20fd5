"""The commands for other servers, as they are run and as the documentation shows them."""

import pytest

from proving.environments import INTEROP
from proving.proofs.servers import command
from proving.servers import SERVERS, Server, markdown


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_the_command_shown_is_the_command_run(server: Server) -> None:
    """Only application and port are different."""
    run = command(server).format(port=8000)
    assert run.replace("config.asgi:application", "mysite.asgi:application") == server.shown()
    assert f"`{server.shown()}`" in markdown()


def test_several_processes() -> None:
    """The option for several processes comes last."""
    (uvicorn,) = (server for server in SERVERS if server.name == "uvicorn")
    assert command(uvicorn, several=True) == (
        "uvicorn --host 127.0.0.1 --port {port} config.asgi:application --workers 2"
    )


@pytest.mark.parametrize(
    "text", ["listen 8080;", "127.0.0.1:8001", "127.0.0.1:8002", "/srv/harbour/static/", "http {"]
)
def test_nginx_conf_has_what_a_run_replaces(text: str) -> None:
    """The file stands in the documentation as it is, with ports that people know."""
    assert text in (INTEROP / "nginx.conf").read_text()
