"""Sockets to listen on, and what is said when one cannot be had."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway._types import Receive, Scope, Send
from fairway.server import Config, Server
from fairway.server.listening import listener as listener_module
from fairway.server.listening import sockets as sockets_module
from fairway.server.listening.listener import (
    Listener,
    SocketFile,
    adopt_listeners,
    display,
    open_listeners,
    open_more_listeners,
    open_sockets,
)
from fairway.server.listening.sockets import close_all
from tests.server.conftest import Serve
from tests.server.running import DEADLINE, Client


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets that the test leaves open."""
    sockets: list[socket.socket] = []
    yield sockets
    close_all(sockets)


def has_ipv6() -> bool:
    """Whether this machine can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def this_process() -> str:
    """How a message calls the process of the test, where the system can tell."""
    command = Path("/proc/self/comm")
    if not command.exists():
        return ""
    return f" (process {os.getpid()}, {command.read_text().strip()})"


def refusal(config: Config) -> str:
    """What is said about a configuration that cannot be listened on; nothing stays open."""
    with pytest.raises(OSError) as caught:  # noqa: PT011  the whole text is compared
        close_all(open_sockets(config))
    return str(caught.value.strerror)


class TestTCP:
    """Addresses and ports."""

    def test_port_0(self, opened: list[socket.socket]) -> None:
        """Port 0 is any free one, on this machine only unless told otherwise."""
        opened += open_sockets(Config(port=0))
        (sock,) = opened
        host, port = sock.getsockname()
        assert host == "127.0.0.1"
        assert port > 0
        assert display(sock) == f"http://127.0.0.1:{port}"

    def test_default(self, monkeypatch: pytest.MonkeyPatch, opened: list[socket.socket]) -> None:
        """Without a word it is port 8000 on this machine; with a host alone, too."""
        wanted: list[tuple[str, int]] = []

        def note(host: str, port: int, *, shared: bool, ipv6_only: bool) -> list[socket.socket]:
            wanted.append((host, port))
            return []

        monkeypatch.setattr(listener_module, "bind_tcp", note)
        for config in (Config(), Config(host="::1"), Config(port=5), Config(host="", port=6)):
            open_sockets(config)
        assert wanted == [("127.0.0.1", 8000), ("::1", 8000), ("127.0.0.1", 5), ("", 6)]

    def test_every_address(self, opened: list[socket.socket]) -> None:
        """An empty host is every address of the machine, shown as one to click."""
        opened += open_sockets(Config(host="", port=0))
        assert {sock.getsockname()[0] for sock in opened} <= {"0.0.0.0", "::"}
        assert len({sock.getsockname()[1] for sock in opened}) == 1
        port = opened[0].getsockname()[1]
        shown = {display(sock) for sock in opened}
        assert shown <= {f"http://127.0.0.1:{port}", f"http://[::1]:{port}"}

    def test_name(self, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
        """A name may stand for several addresses: each gets a socket, all the same port."""
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)
        opened += open_sockets(Config(host="two.example", port=0))
        assert [sock.getsockname()[0] for sock in opened] == ["127.0.0.1", "127.0.0.2"]
        assert len({sock.getsockname()[1] for sock in opened}) == 1

    def test_name_with_a_foreign_address(
        self, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An address that the machine lacks, such as IPv6's, is left out if another can be had."""
        foreign = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
        local = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [foreign, local])
        opened += open_sockets(Config(host="localhost", port=0))
        assert [sock.getsockname()[0] for sock in opened] == ["127.0.0.1"]

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
    @pytest.mark.parametrize("host", ["::1", "[::1]"])
    def test_ipv6(self, host: str, opened: list[socket.socket]) -> None:
        """An IPv6 address may stand in brackets, as it does where it is shown."""
        opened += open_sockets(Config(host=host, port=0))
        (sock,) = opened
        assert display(sock) == f"http://[::1]:{sock.getsockname()[1]}"

    def test_in_use(self) -> None:
        """A port that somebody listens on is named, with what to do."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            assert refusal(Config(port=port)) == (
                f"Cannot listen on 127.0.0.1:{port}: another program listens there"
                f"{this_process()}; stop it or choose another port."
            )

    @pytest.mark.parametrize(
        ("host", "reason"),
        [
            ("192.0.2.1", "this machine has no such address"),
            ("a" * 70, "that is no host name"),
        ],
    )
    def test_no_such_host(self, host: str, reason: str) -> None:
        """An address that the machine does not have, or that is none, is named."""
        assert refusal(Config(host=host, port=1)) == f"Cannot listen on {host}:1: {reason}."

    @pytest.mark.parametrize(
        ("host", "advice"),
        [
            ("127.0.0.1:8001", "the port has an option of its own; write -b 127.0.0.1 -p 8001"),
            ("[::1]:8001", "the port has an option of its own; write -b [::1] -p 8001"),
            ("http://localhost:80/", "the port has an option of its own; write -b localhost -p 80"),
            ("http://localhost/", "that is no address; write -b localhost"),
            ("unix:/run/site.sock", "that is an endpoint; write -e unix:/run/site.sock"),
        ],
    )
    def test_spelt_as_elsewhere(self, host: str, advice: str) -> None:
        """Who writes an address as other servers take it is told how it is written here."""
        assert refusal(Config(host=host, port=1)) == f"Cannot listen on {host!r}: {advice}."

    def test_unknown_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that stands for nothing is named."""

        def fail(*args: Any, **kwargs: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        assert refusal(Config(host="no.example", port=1)) == (
            "Cannot listen on no.example:1: name or service not known."
        )

    def test_forbidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A port that takes privileges is named."""

        def fail(self: socket.socket, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(socket.socket, "bind", fail)
        assert refusal(Config(port=80)) == (
            "Cannot listen on 127.0.0.1:80: you may not; ports below 1024 need privileges. Let "
            "systemd open it (-e systemd:index=0), grant CAP_NET_BIND_SERVICE, or put a proxy in "
            "front."
        )


class TestUnixSocket:
    """Paths."""

    def test_alone(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """A path is enough: no port is opened beside it."""
        path = tmp_path / "s"
        opened += open_sockets(Config(unix_socket=str(path)))
        (sock,) = opened
        assert sock.family == socket.AF_UNIX
        assert display(sock) == f"unix:{path}"

    def test_beside_a_port(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """A port that is named is opened, too."""
        opened += open_sockets(Config(unix_socket=str(tmp_path / "s"), port=0))
        assert [sock.family for sock in opened] == [socket.AF_INET, socket.AF_UNIX]

    def test_mode(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """A proxy that runs as another user may connect."""
        path = tmp_path / "s"
        opened += open_sockets(Config(unix_socket=str(path)))
        assert stat.S_IMODE(path.stat().st_mode) == 0o666

    def test_stale(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """The file that a killed server left behind is replaced."""
        path = str(tmp_path / "s")
        close_all(open_sockets(Config(unix_socket=path)))
        assert os.path.exists(path)
        opened += open_sockets(Config(unix_socket=path))

    @pytest.mark.parametrize("backlog", [0, 5])
    def test_in_use(self, backlog: int, tmp_path: Path, opened: list[socket.socket]) -> None:
        """That of a server that lives is not, however busy that is."""
        path = str(tmp_path / "s")
        opened += open_sockets(Config(unix_socket=path))
        opened[0].listen(backlog)
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(path)
            opened.append(client)
        assert refusal(Config(unix_socket=path)) == (
            f"Cannot listen on {path}: another program listens there{this_process()}; "
            "stop it or choose another path."
        )

    def test_other_file(self, tmp_path: Path) -> None:
        """A file that is no socket is left alone."""
        path = tmp_path / "s"
        path.write_text("precious")
        assert refusal(Config(unix_socket=str(path))) == (
            f"Cannot listen on {path}: there is a file that is no socket."
        )
        assert path.read_text() == "precious"

    def test_no_directory(self, tmp_path: Path) -> None:
        """Its directory has to exist."""
        path = tmp_path / "missing" / "s"
        assert refusal(Config(unix_socket=str(path))) == (
            f"Cannot listen on {path}: its directory does not exist."
        )

    def test_too_long(self, tmp_path: Path) -> None:
        """The system takes no long paths."""
        path = tmp_path / ("s" * 200)
        assert refusal(Config(unix_socket=str(path))) == (
            f"Cannot listen on {path}: af_unix path too long."
        )

    def test_failure_beside_it(self, tmp_path: Path) -> None:
        """If another address cannot be had, no file is left behind."""
        path = tmp_path / "s"
        refusal(Config(unix_socket=str(path), host="192.0.2.1", port=0))
        assert not path.exists()


class TestSocketFile:
    """The file of a Unix socket when the server ends."""

    def test_removed(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """It is removed once."""
        path = tmp_path / "s"
        opened += open_sockets(Config(unix_socket=str(path)))
        file = SocketFile(str(path))
        file.remove()
        assert not path.exists()
        path.write_text("of somebody else")
        file.remove()
        assert path.exists()

    def test_replaced(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """If another server has taken the place meanwhile, that one's file stays."""
        path = tmp_path / "s"
        opened += open_sockets(Config(unix_socket=str(path)))
        file = SocketFile(str(path))
        kept = tmp_path / "kept"  # so that the other file is another one indeed
        path.rename(kept)
        opened += open_sockets(Config(unix_socket=str(path)))
        file.remove()
        assert path.exists()

    def test_gone(self, tmp_path: Path) -> None:
        """If somebody has removed it already, that is all right."""
        path = tmp_path / "s"
        close_all(open_sockets(Config(unix_socket=str(path))))
        file = SocketFile(str(path))
        path.unlink()
        file.remove()

    def test_none(self) -> None:
        """Without a Unix socket there is nothing to remove."""
        SocketFile(None).remove()


class TestFileDescriptor:
    """Sockets that are inherited."""

    def test_inherited(self, opened: list[socket.socket]) -> None:
        """The descriptor of a bound socket is listened on as it is."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        opened += open_sockets(Config(file_descriptor=sock.detach()))
        assert [display(sock) for sock in opened] == [f"http://127.0.0.1:{port}"]

    def test_beside_a_port(self, opened: list[socket.socket]) -> None:
        """A port that is named is opened, too."""
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        opened += open_sockets(Config(file_descriptor=sock.detach(), port=0))
        assert len(opened) == 2

    def test_no_socket(self) -> None:
        """A descriptor of something else is refused."""
        read, write = os.pipe()
        try:
            assert refusal(Config(file_descriptor=read)) == (
                f"Cannot listen on file descriptor {read}: it is not a socket."
            )
        finally:
            os.close(read)
            os.close(write)

    def test_datagrams(self) -> None:
        """So is a socket that carries no streams."""
        sock = socket.socket(type=socket.SOCK_DGRAM)
        descriptor = sock.detach()
        assert refusal(Config(file_descriptor=descriptor)) == (
            f"Cannot listen on file descriptor {descriptor}: it is not a stream socket."
        )

    def test_closed(self) -> None:
        """So is a descriptor that is not open."""
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        assert refusal(Config(file_descriptor=read)) == (
            f"Cannot listen on file descriptor {read}: it is not open."
        )


@pytest.mark.row("2.1 --endpoint")
class TestEndpoints:
    """Endpoint strings."""

    def test_several(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """All that are named are opened, and nothing else unless that is named, too."""
        path = tmp_path / "s"
        texts = ("tcp:0:interface=127.0.0.1", f"unix:{path}:mode=600")
        opened += open_sockets(Config(endpoints=texts))
        assert [sock.family for sock in opened] == [socket.AF_INET, socket.AF_UNIX]
        assert opened[0].getsockname()[0] == "127.0.0.1"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_beside_others(self, tmp_path: Path, opened: list[socket.socket]) -> None:
        """Ports, paths and endpoints can be named at once."""
        config = Config(
            port=0, unix_socket=str(tmp_path / "a"), endpoints=(f"unix:{tmp_path / 'b'}",)
        )
        opened += open_sockets(config)
        assert [sock.getsockname() for sock in opened[1:]] == [
            str(tmp_path / "b"),
            str(tmp_path / "a"),
        ]

    def test_failure(self, tmp_path: Path) -> None:
        """If one cannot be had, no file of the others is left behind."""
        texts = (f"unix:{tmp_path / 's'}", "tcp:0:interface=192.0.2.1")
        assert refusal(Config(endpoints=texts)) == (
            "Cannot listen on 192.0.2.1:0: this machine has no such address."
        )
        assert list(tmp_path.iterdir()) == []

    def test_descriptor(self, opened: list[socket.socket]) -> None:
        """An inherited socket is listened on as it is."""
        sock = socket.create_server(("127.0.0.1", 0))
        address = sock.getsockname()
        opened += open_sockets(Config(endpoints=(f"fd:fileno={sock.detach()}",)))
        assert opened[0].getsockname() == address

    def test_backlog(self, opened: list[socket.socket]) -> None:
        """An endpoint may have a queue of its own."""
        texts = ("tcp:0:127.0.0.1:backlog=5", "tcp:0:127.0.0.1")
        listeners = open_listeners(Config(endpoints=texts))
        opened += [listener.sock for listener in listeners]
        assert [listener.backlog for listener in listeners] == [5, None]


@pytest.mark.row("2.1 --endpoint")
class TestSystemd:
    """Sockets that systemd passes."""

    @pytest.fixture(autouse=True)
    def passed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
        """Two sockets that were passed, with numbers behind 3, which a test cannot count on."""
        first, second = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        os.dup2(second.fileno(), behind := first.fileno() + 1000)
        monkeypatch.setattr(sockets_module, "FIRST_PASSED", behind - 1)
        os.dup2(first.fileno(), behind - 1)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "2")
        monkeypatch.setenv("LISTEN_FDNAMES", "site.socket:admin.socket")
        yield [first, second]
        for descriptor in (behind - 1, behind):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        first.close()
        second.close()

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("systemd:domain=INET:index=0", 0),
            ("systemd:INET:1", 1),
            ("systemd:name=site.socket", 0),
            ("systemd:domain=INET:name=admin.socket", 1),
        ],
    )
    def test_passed(
        self, text: str, number: int, passed: list[socket.socket], opened: list[socket.socket]
    ) -> None:
        """One is named by its place or by its unit."""
        opened += open_sockets(Config(endpoints=(text,)))
        assert [sock.getsockname() for sock in opened] == [passed[number].getsockname()]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "systemd:index=2",
                "Cannot listen on socket 2 of systemd: it has passed 2, from 0 on.",
            ),
            (
                "systemd:name=x",
                (
                    "Cannot listen on socket 'x' of systemd: it has passed 'site.socket', "
                    "'admin.socket'."
                ),
            ),
        ],
    )
    def test_not_passed(self, text: str, message: str) -> None:
        """One that was not passed is named, with those that were."""
        assert refusal(Config(endpoints=(text,))) == message

    def test_several_of_a_name(
        self,
        passed: list[socket.socket],
        opened: list[socket.socket],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A unit with several sockets has one name, which stands for all of them."""
        monkeypatch.setenv("LISTEN_FDNAMES", "web:web")
        opened += open_sockets(Config(endpoints=("systemd:name=web",)))
        assert [s.getsockname() for s in opened] == [s.getsockname() for s in passed]

    def test_encrypted(self, opened: list[socket.socket]) -> None:
        """A socket of systemd's may be encrypted, and begin with the PROXY protocol."""
        certificate = Path(__file__).parents[1] / "certificates/whole.pem"
        text = f"systemd:index=0:privateKey={certificate}:proxyProtocol=on"
        (listener,) = open_listeners(Config(endpoints=(text,)))
        opened.append(listener.sock)
        assert listener.address.startswith("https://127.0.0.1:")
        assert listener.proxy_protocol

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sockets for another process are none for this one."""
        monkeypatch.setenv("LISTEN_PID", "1")
        assert refusal(Config(endpoints=("systemd:index=0",))) == (
            "Cannot listen on a socket of systemd: it has passed none to this process. "
            "Is it started by a service that has a .socket unit?"
        )


class TestServing:
    """Served on sockets of all kinds."""

    @staticmethod
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Tells how the two ends are called."""
        body = f"{scope['client']} {scope['server']}".encode()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body})

    async def test_unix_socket(self, serve: Serve, tmp_path: Path) -> None:
        """A Unix socket is served; its clients have no address; its file goes with the server."""
        path = str(tmp_path / "s")
        running = await serve(self.app, host=None, port=None, unix_socket=path)
        assert running.server.addresses == [f"unix:{path}"]
        client = Client(*await asyncio.open_unix_connection(path))
        response = await client.fetch()
        assert response.body.decode() == f"None {(path, None)}"
        assert [record.client for record in running.records] == [""]
        client.close()
        running.stop()
        await running.ended()
        assert os.listdir(tmp_path) == []

    async def test_endpoints(self, serve: Serve, tmp_path: Path) -> None:
        """Each Unix socket's file goes with the server."""
        texts = (f"unix:{tmp_path / 'a'}", f"unix:{tmp_path / 'b'}", "tcp:0:interface=127.0.0.1")
        running = await serve(self.app, host=None, port=None, endpoints=texts)
        *paths, url = running.server.addresses
        assert paths == [f"unix:{tmp_path / 'a'}", f"unix:{tmp_path / 'b'}"]
        assert url.startswith("http://127.0.0.1:")
        for name in "ab":
            client = Client(*await asyncio.open_unix_connection(str(tmp_path / name)))
            assert (await client.fetch()).status == 200
            client.close()
        running.stop()
        await running.ended()
        assert os.listdir(tmp_path) == []

    async def test_inherited_unix_socket(self, serve: Serve, tmp_path: Path) -> None:
        """The file of an inherited one belongs to whoever made it, and stays."""
        path = tmp_path / "s"
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        running = await serve(self.app, host=None, port=None, file_descriptor=sock.detach())
        running.stop()
        await running.ended()
        assert os.listdir(tmp_path) == ["s"]

    async def test_all_at_once(self, serve: Serve, tmp_path: Path) -> None:
        """Everything that is named is served, and everything is closed at the end."""
        path = str(tmp_path / "s")
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        inherited = sock.getsockname()[1]
        running = await serve(self.app, unix_socket=path, file_descriptor=sock.detach())
        first, second, third = running.server.addresses
        assert (first, third) == (f"http://127.0.0.1:{inherited}", f"unix:{path}")
        port = int(second.rpartition(":")[2])
        for number in (inherited, port):
            client = Client(*await asyncio.open_connection("127.0.0.1", number))
            assert (await client.fetch()).status == 200
            client.close()
        running.stop()
        await running.ended()
        for number in (inherited, port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", number), DEADLINE)

    @pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
    async def test_both_families(self, serve: Serve) -> None:
        """Clients of one socket for both families are called by addresses of their own one."""
        running = await serve(self.app, host="::")
        for host in ("127.0.0.1", "::1"):
            client = Client(*await asyncio.open_connection(host, running.port))
            port = client.writer.get_extra_info("sockname")[1]
            body = (await client.fetch()).body.decode()
            assert body == f"{(host, port)} {(host, running.port)}"
            client.close()

    async def test_port_in_use(self) -> None:
        """A port in use is an ``OSError`` at the start, before the application is started."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            server = Server(self.app, Config(port=other.getsockname()[1], lifespan="on"))
            with pytest.raises(OSError, match="another program listens there"):
                await server.serve()
            assert server.addresses == []


class TestShared:
    """Several processes on one port."""

    @pytest.fixture
    def listeners(self, tmp_path: Path) -> Iterator[list[Listener]]:
        config = Config(port=0, unix_socket=str(tmp_path / "site.sock"))
        found = open_listeners(config, shared=True)
        yield found
        close_all([listener.sock for listener in found])

    def test_more(self, listeners: list[Listener]) -> None:
        """Each process has a TCP socket of its own for the same port, and the one Unix socket."""
        more = open_more_listeners(listeners)
        assert [(m.index, m.path) for m in more] == [(m.index, m.path) for m in listeners]
        assert more[0].sock is not listeners[0].sock
        assert more[0].address == listeners[0].address
        assert more[1].sock is listeners[1].sock
        more[0].sock.close()

    def test_adopted(self, listeners: list[Listener]) -> None:
        """The process that serves makes of descriptors what they were."""
        config = Config(port=0, unix_socket=listeners[1].path)
        sockets = [(os.dup(listener.sock.fileno()), listener.index) for listener in listeners]
        adopted = adopt_listeners(config, sockets)
        assert [(a.address, a.index) for a in adopted] == [(m.address, m.index) for m in listeners]
        assert [a.path for a in adopted] == [None, None]  # the file is not theirs to remove
        close_all([listener.sock for listener in adopted])

    def test_by_mistake(self, listeners: list[Listener]) -> None:
        """A second server on the port is refused as ever."""
        port = listeners[0].sock.getsockname()[1]
        listeners[0].sock.listen()
        for shared in (True, False):
            with pytest.raises(OSError, match="another program listens there"):
                open_listeners(Config(port=port), shared=shared)
