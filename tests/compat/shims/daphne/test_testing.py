"""``daphne.testing``; in processes of their own, as it starts processes itself."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

START = """
import http.client, multiprocessing, os, sys, tempfile, time
import fairway.compat
fairway.compat.install()
from daphne.testing import (
    BaseDaphneTestingInstance, DaphneProcess, DaphneTestingInstance, TestApplication)

async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(scope["client"][0]).encode()})

def get_hello():
    return hello

def get_nothing():
    raise LookupError("there is nothing")

def fetch(port, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/a", b"body", headers)
    response = connection.getresponse()
    return response.status, response.read()
"""


def run(code: str, tmp_path: Path, method: str = "fork") -> None:
    """Run a program that starts processes in one of the ways that there are."""
    file = tmp_path / "program.py"
    file.write_text(
        f"{START}\nif __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method({method!r})\n"
        "    BaseDaphneTestingInstance.startup_timeout = 30\n"
        f"{textwrap.indent(textwrap.dedent(code), '    ')}"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.row("2.7 DaphneProcess")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process(method: str, tmp_path: Path) -> None:
    """It serves, tells its port, and ends when it is terminated."""
    run(
        """
        process = DaphneProcess("127.0.0.1", get_hello, kwargs={"server_name": "x"})
        process.start()
        assert process.ready.wait(30)
        assert fetch(process.port.value) == (200, b"127.0.0.1")
        process.terminate()
        process.join(30)
        assert process.exitcode == 0, process.exitcode
        assert process.errors.empty()
        """,
        tmp_path,
        method,
    )


@pytest.mark.row("2.7 DaphneProcess")
def test_process_fails(tmp_path: Path) -> None:
    """What goes wrong comes through its queue."""
    run(
        """
        process = DaphneProcess("127.0.0.1", get_nothing)
        process.start()
        error, text = process.errors.get(timeout=30)
        assert isinstance(error, LookupError) and error.args == ("there is nothing",)
        assert "get_nothing" in text
        process.join(30)
        assert process.exitcode == 1 and not process.ready.is_set()
        """,
        tmp_path,
    )


@pytest.mark.row("2.7 DaphneTestingInstance", "2.7 TestApplication")
def test_instance(tmp_path: Path) -> None:
    """What the application receives can be asked for, and what it sends can be said."""
    run(
        """
        with DaphneTestingInstance(http_timeout=20) as instance:
            try:
                instance.get_received()
            except ValueError as error:
                assert str(error) == "No results available yet."
            else:
                raise AssertionError
            instance.add_send_messages([
                {"type": "http.response.start", "status": 201},
                {"type": "http.response.body", "body": b"answer"},
            ])
            assert fetch(instance.port) == (201, b"answer")
            while len(instance.get_received()[1]) < 2:
                time.sleep(0.01)
            scope, messages = instance.get_received()
            assert (scope["type"], scope["path"], scope["method"]) == ("http", "/a", "POST")
            assert messages[0] == {"type": "http.request", "body": b"body", "more_body": False}
            assert messages[1]["type"] == "http.disconnect"
        assert os.listdir(TestApplication.directory()) == []
        assert os.stat(TestApplication.directory()).st_mode & 0o777 == 0o700
        TestApplication.delete_setup()  # again is the same as once
        with instance:
            assert instance.port
        """,
        tmp_path,
    )


@pytest.mark.row("2.7 DaphneTestingInstance")
def test_scopes(tmp_path: Path) -> None:
    """They have the keys that Daphne gives them, and addresses are lists, as tests compare them."""
    run(
        """
        common = {"asgi", "client", "headers", "path", "query_string", "raw_path", "root_path",
            "scheme", "server", "type"}
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        for headers, answer, more in (
            ({}, {"type": "http.response.start", "status": 204}, {"http_version", "method"}),
            (upgrade, {"type": "websocket.accept"}, {"subprotocols"}),
        ):
            with DaphneTestingInstance() as instance:
                instance.add_send_messages([answer])
                connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=30)
                connection.request("GET", "/a", headers=headers)
                if headers:
                    assert connection.getresponse().status == 101
                while True:
                    try:
                        scope, _ = instance.get_received()
                        break
                    except ValueError:
                        time.sleep(0.01)
                assert set(scope) == common | more, scope
                assert scope["client"] == list(connection.sock.getsockname())
                assert scope["server"] == ["127.0.0.1", instance.port]
                connection.close()
        """,
        tmp_path,
    )


@pytest.mark.row("2.7 DaphneTestingInstance")
def test_instance_raises(tmp_path: Path) -> None:
    """What the application raises is raised in the test."""
    run(
        """
        with DaphneTestingInstance() as instance:
            instance.add_send_messages([{"type": "nonsense"}])
            assert fetch(instance.port)[0] == 500
            try:
                instance.get_received()
            except Exception as error:
                assert "nonsense" in str(error), error
            else:
                raise AssertionError
        """,
        tmp_path,
    )


@pytest.mark.row("2.7 DaphneTestingInstance")
def test_own_application(tmp_path: Path) -> None:
    """Any application can be served, behind a proxy too; hooks run in the process."""
    run(
        """
        class Instance(BaseDaphneTestingInstance):
            def process_setup(self):
                open("set-up", "w").close()
            def process_teardown(self):
                open("torn-down", "w").close()

        with Instance(xff=True, application=hello) as instance:
            assert instance.host == "127.0.0.1"
            headers = {"X-Forwarded-For": "192.0.2.1"}
            assert fetch(instance.port, **headers) == (200, b"192.0.2.1")
        assert os.path.exists("set-up") and os.path.exists("torn-down")
        """,
        tmp_path,
    )


@pytest.mark.row("2.7 DaphneTestingInstance")
def test_does_not_start(tmp_path: Path) -> None:
    """A server that does not start is an error with the traceback of what kept it from that."""
    run(
        """
        class Broken(BaseDaphneTestingInstance):
            startup_timeout = 30
            def get_application(self):
                raise LookupError("there is nothing")

        class Slow(Broken):
            startup_timeout = 0.2
            def process_setup(self):
                time.sleep(60)

        for kind, start, text in (
            (Broken, "Daphne did not start up:", "LookupError: there is nothing"),
            (Slow, "Daphne did not start up, no error caught", ""),
        ):
            try:
                with kind(application=None):
                    raise AssertionError
            except RuntimeError as error:
                assert str(error).startswith(start) and text in str(error), error
        """,
        tmp_path,
    )
