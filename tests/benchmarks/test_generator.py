"""The load generator proves that a server did its work, or says what it did not do."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import processes
from harness.build import compile_program
from harness.contenders import Contender
from harness.generator import Generator, LoadError
from harness.processes import Server, serving
from harness.scenarios import ALL, Effort, Work, auth, compression

pytestmark = [
    pytest.mark.skipif(not shutil.which("gcc"), reason="the load generator is in C"),
    # Other tests of this process may have left threads; what is done in the child needs none.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

PROCESSOR = min(os.sched_getaffinity(0))
#: So much and no longer, however slow the machine is.
BRIEFLY = {"--sockets": "3", "--seconds": "60", "--count": "5"}
PROJECT = {"DJANGO_SETTINGS_MODULE": "project.settings", "BENCH_STACK": "fairway"}
#: Answers every connection with its second argument, escaped as in Python, and then says nothing.
FAKE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
kept = []
while True:
    kept.append(listener.accept()[0])
    if kept[-1].recv(4096):
        kept[-1].sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
"""
SWITCHED = (
    r"HTTP/1.1 101 Switching Protocols\r\n"
    r"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the load generator and the bare server are."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("load", "bare"):
        compile_program(name, folder)
    return folder


@pytest.fixture
def generator(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator:
    monkeypatch.setattr(processes, "BUILD", tmp_path)
    return Generator(programs / "load", PROCESSOR, sleeps=True)


@pytest.fixture
def bare(programs: Path, generator: Generator) -> Iterator[Server]:
    """The bare server."""
    with serving(lambda port: [str(programs / "bare"), "--port", str(port)], {}, PROCESSOR) as it:
        yield it


@contextlib.contextmanager
def answering(answer: str) -> Iterator[Server]:
    """A server with one answer for everybody."""
    with serving(
        lambda port: [sys.executable, "-c", FAKE, str(port), answer], {}, PROCESSOR
    ) as server:
        yield server


def test_echo(generator: Generator, bare: Server) -> None:
    """It counts what came back, and tells of latencies and of processor time."""
    report = generator.run("echo", [bare], {"--path": "/echo/", **BRIEFLY})
    assert report["messages"] >= 5
    assert report["p50_ms"] <= report["p99_ms"] <= report["max_ms"]
    assert report["opened_sockets"] == 3
    assert {"per_second", "server_us", "server_busy", "generator_busy"} <= report.keys()


def test_without_sleep(programs: Path, generator: Generator, bare: Server) -> None:
    """One that polls is busy for a share of the time, all of which it takes."""
    polling = Generator(programs / "load", PROCESSOR)
    report = polling.run("echo", [bare], {"--path": "/echo/", **BRIEFLY})
    assert 0 < report["generator_busy"] <= 1


def test_group(generator: Generator, bare: Server) -> None:
    """A message to a group is delivered to each socket."""
    report = generator.run("group", [bare], {"--path": "/group/", **BRIEFLY})
    assert report["deliveries"] == 15


def test_compressed(generator: Generator, bare: Server) -> None:
    """The same with permessage-deflate, in text that is stamped in the middle."""
    options = {"--path": "/group/", "--deflate": "1", "--text": compression.TEXT}
    report = generator.run("group", [bare], options | BRIEFLY)
    assert report["deliveries"] == 15


def test_latency(generator: Generator, bare: Server) -> None:
    """Echoes are timed alone, and while a group is sent to."""
    probes = {"--probes": "2", "--probe-path": "/echo/"}
    options = {"--path": "/group/", "--sockets": "3", "--seconds": "0.05", **probes}
    report = generator.run("latency", [bare], options)
    assert report["echoes"] >= 1
    assert report["rounds"] >= 1
    assert report["quiet_p50_ms"] <= report["quiet_p99_ms"] <= report["quiet_max_ms"]
    assert report["loaded_p50_ms"] <= report["loaded_p99_ms"] <= report["loaded_max_ms"]


def test_many(generator: Generator, bare: Server) -> None:
    """Several generators share the sockets: one speaks, all of them hear."""
    options = {"--path": "/group/", "--sockets": "3", "--seconds": "60"}
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                generator.start("many", [bare], options | {"--source": f"127.0.{number}.1"})
            )
            for number in (1, 2)
        ]
        for running in started:
            assert running.hear()["sockets"] == 3
        started[0].say("speak")
        speaker, hearer = (running.hear() for running in started)
        for running in started:
            assert running.finish()["alive"] == 3
    assert hearer["spoken"] == 0 < speaker["spoken"]
    assert min(speaker["last"], hearer["last"]) >= speaker["spoken"]


@pytest.mark.parametrize(
    ("answer", "options", "complaint"),
    [
        (
            r"HTTP/1.1 403 Forbidden\r\n\r\n",
            {},
            "load: socket 0: refused: HTTP/1.1 403 Forbidden",
        ),
        (
            SWITCHED.replace("s3p", "xxx"),
            {},
            "load: socket 0: wrong Sec-WebSocket-Accept",
        ),
        (
            SWITCHED,
            {"--deflate": "1"},
            "load: socket 0: the server does not compress as it was asked to",
        ),
        (
            SWITCHED + r"\xc1\x01x",
            {},
            "load: socket 0: a message came compressed",
        ),
        (
            SWITCHED + r"\x01\x01x",
            {},
            "load: socket 0: a fragment or an overlong frame",
        ),
        (
            SWITCHED + r"\x81\x05hello",
            {},
            "load: socket 0: a message of 5 bytes came before anything was sent",
        ),
        (
            SWITCHED + r"\x88\x02\x03\xf3",
            {},
            "load: socket 0: closed by the server with code 1011",
        ),
    ],
)
def test_complaint(
    generator: Generator, answer: str, options: dict[str, str], complaint: str
) -> None:
    """What is not as it should be is an error that says what, and no figure."""
    with answering(answer) as server, pytest.raises(LoadError) as caught:
        generator.run("echo", [server], {"--sockets": "1", **options})
    assert str(caught.value) == complaint


def test_loopback(generator: Generator) -> None:
    """It speaks to no other machine."""
    server = Server(pid=os.getpid(), port=80)
    with pytest.raises(LoadError) as caught:
        generator.run("echo", [server], {"--sockets": "1", "--host": "192.0.2.1"})
    complaint = "192.0.2.1 is outside 127.0.0.0/8: this program talks to the loopback only"
    assert str(caught.value) == f"load: {complaint}"


def test_member(generator: Generator, tmp_path: Path) -> None:
    """The cookie that is made for a turn lets its user in, whom the consumer knows."""
    scenario = next(each for each in ALL if each.name == "open-auth")
    command = "-m fairway {application} --port {port} -v 0"
    database = {"BENCH_DATABASE": str(tmp_path / "database.sqlite3")}
    contender = Contender(
        name="Fairway",
        words=[sys.executable, *command.split()],
        python=Path(sys.executable),
        environment={**PROJECT, **database},
    )
    processors = processes.Processors(server=PROCESSOR, generator=PROCESSOR)
    work = Work(
        scenario=scenario,
        lane=scenario.lanes[0],
        effort=Effort(turns=1),
        contender=contender,
        generator=generator,
        processors=processors,
    )
    cookie = auth.log_in(work)
    options = {"--path": scenario.lanes[0].path, **BRIEFLY}
    with serving(work.command, contender.environment, PROCESSOR) as server:
        with pytest.raises(LoadError) as caught:
            generator.run("echo", [server], options)
        assert str(caught.value) == "load: socket 0: refused: HTTP/1.1 403 Forbidden"
        assert generator.run("echo", [server], options | {"--cookie": cookie})["messages"] >= 5
