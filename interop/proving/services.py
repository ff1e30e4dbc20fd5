"""The programs beside Python: Redis, PostgreSQL and nginx, each in a private directory."""

import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proving.environments import BUILD, INTEROP
from proving.processes import Command, ProofError, free_port, run, serving

LOGS = BUILD / "logs"
#: PostgreSQL refuses to run as root; then it runs as the first of these that is there.
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL server of the run's own, at ``127.0.0.1``, trusting who asks."""

    port: int
    user: str


def find_program(*names: str) -> str:
    """The path of the first of the programs that is there.

    Raises:
        ProofError: None is.
    """
    places = [*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"]
    places += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    for name in names:
        found = shutil.which(name, path=os.pathsep.join(places))
        if found:
            return found
    raise ProofError(f"{' or '.join(names)} is not on this machine")


@contextlib.contextmanager
def redis() -> Iterator[int]:
    """Run a Redis server that keeps nothing, and give its port."""
    port = free_port()
    program = find_program("redis-server", "valkey-server")
    words = f"{program} --port {port} --bind 127.0.0.1 --save --appendonly no".split()
    words[words.index("--save") + 1 : words.index("--save") + 1] = [""]
    with _private_directory() as place:
        command = Command(words=words, cwd=place, log=LOGS / "redis.log", environ={})
        with serving(command, port):
            yield port


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server on new, empty data, as another user if this one is root."""
    owner = _unprivileged() if os.getuid() == 0 else None
    name = owner or pwd.getpwuid(os.getuid()).pw_name
    port = free_port()
    with _private_directory(owner) as place:
        data = place / "data"

        def command(*words: str) -> Command:
            # Whatever the caller's PG variables say, this is about no other server.
            return Command(
                words=words, cwd=place, log=LOGS / "postgres.log", environ={}, user=owner
            )

        initdb = find_program("initdb")
        run(command(initdb, "--auth=trust", "--no-sync", f"--username={name}", str(data)))
        options: Sequence[str] = (
            *("-D", str(data), "-p", str(port), "-k", str(place)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
        )
        with serving(command(find_program("postgres"), *options), port) as server:
            said = "ready to accept connections"
            server.wait_until(lambda: said in server.output, "it was ready")
            yield Postgres(port=port, user=name)


@contextlib.contextmanager
def nginx(pages: int, sockets: int, static: Path) -> Iterator[int]:
    """Run nginx with ``nginx.conf``, its ports replaced by those of this run, and give its port.

    Args:
        pages: The port of the WSGI server.
        sockets: The port of Fairway.
        static: The directory of the static files.
    """
    port = free_port()
    text = (INTEROP / "nginx.conf").read_text()
    for written, meant in (
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("127.0.0.1:8001", f"127.0.0.1:{pages}"),
        ("127.0.0.1:8002", f"127.0.0.1:{sockets}"),
        ("/srv/harbour/static/", f"{static}/"),
    ):
        if written not in text:
            raise ProofError(f"nginx.conf has no {written!r} any more")
        text = text.replace(written, meant)
    # Where the package keeps them is closed to those who are not root.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    private = " ".join(f"{kind}_temp_path temporary/{kind};" for kind in kinds)
    text = text.replace("http {", f"http {{ access_log off; {private}", 1)
    with _private_directory() as place:
        (place / "temporary").mkdir()
        (place / "nginx.conf").write_text(text)
        main = f"daemon off; pid {place}/nginx.pid; error_log stderr;"
        if os.getuid() == 0:
            main += " user root;"  # the private directory is closed to everyone else
        words = (find_program("nginx"), "-p", str(place), "-c", "nginx.conf", "-g", main)
        with serving(Command(words=words, cwd=place, log=LOGS / "nginx.log", environ={}), port):
            yield port


def _unprivileged() -> str:
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ProofError(f"PostgreSQL refuses to run as root, and there is no {UNPRIVILEGED}")


@contextlib.contextmanager
def _private_directory(owner: str | None = None) -> Iterator[Path]:
    # Below the system's own directory: those on the way to the checkout may be closed to `owner`.
    with tempfile.TemporaryDirectory(prefix="fairway-interop-") as name:
        place = Path(name)
        if owner is not None:
            shutil.chown(place, owner)
        yield place
