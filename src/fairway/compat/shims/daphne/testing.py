"""``daphne.testing``: a server in a process of its own, and an application that tells what it saw.

In tests of a Django project, :class:`fairway.testing.ChannelsLiveServerTestCase` needs no process.
"""

import atexit
import logging
import multiprocessing
import os
import pickle
import queue
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.synchronize import Lock
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from fairway._types import ASGIApplication, Event, Receive, Scope, Send
from fairway.compat.shims.daphne.endpoints import build_endpoint_description_strings
from fairway.compat.shims.daphne.server import Server

logger = logging.getLogger("daphne.testing")

#: Seconds between two looks at a process that starts.
_PATIENCE: Final = 0.1

#: What Daphne's scopes lack: tests that were written with it compare all keys.
_UNKNOWN_TO_DAPHNE: Final = {
    "http": frozenset({"extensions", "state"}),
    "websocket": frozenset({"extensions", "http_version", "state"}),
}


class DaphneProcess(multiprocessing.Process):
    """A server in a process of its own.

    Args:
        host: Where to listen.
        get_application: Called in the process; returns what to serve.
        kwargs: Further arguments for ``daphne.server.Server``.
        setup: Called in the process before anything else.
        teardown: Called in it at the end.
        port: Where to listen; None for any free port.

    Attributes:
        ready: Set once it accepts connections.
        port: Its ``value`` is the port by then.
        errors: Gets an exception and its traceback as text, if the server fails.
    """

    def __init__(
        self,
        host: str,
        get_application: Callable[[], ASGIApplication],
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], object] | None = None,
        teardown: Callable[[], object] | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__()
        self.host = host
        self.get_application = get_application
        self.kwargs = dict(kwargs or {})
        self.setup = setup
        self.teardown = teardown
        self.port = multiprocessing.Value("i", port or 0)
        self.ready = multiprocessing.Event()
        self.errors: multiprocessing.Queue[tuple[BaseException, str]] = multiprocessing.Queue()

    def run(self) -> None:
        """Serve until the process is terminated."""
        try:
            if self.setup is not None:
                self.setup()
            self.server = Server(
                application=self.get_application(),
                endpoints=build_endpoint_description_strings(host=self.host, port=self.port.value),
                ready_callable=self.resolve_port,
                **self.kwargs,
            )
            try:
                self.server.run()
            finally:
                if self.teardown is not None:
                    self.teardown()
            if self.server.abort_start:
                raise OSError(f"Cannot listen on {self.host}:{self.port.value}.")
        except BaseException as error:
            text = traceback.format_exc()
            self.errors.put((_picklable(error, text), text))
            raise

    def resolve_port(self) -> None:
        """Tell the parent which port it is, and that it is ready."""
        self.port.value = self.server.listening_addresses[0][1]
        self.ready.set()


def _picklable(error: BaseException, text: str) -> BaseException:
    """The exception, or one with its traceback if it cannot be handed to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  made in this line
    except Exception:  # noqa: BLE001  whatever a class does when it is pickled
        return RuntimeError(text)
    return error


class BaseDaphneTestingInstance:
    """Serves an application for the length of a ``with`` block, in a process of its own.

    Args:
        xff: Whether proxy headers are believed.
        http_timeout: As for ``daphne.server.Server``, like the others.
        request_buffer_size: As there.
        websocket_max_message_size: As there.
        websocket_max_frame_size: As there.
        application: What to serve.

    Attributes:
        host: Where it listens.
        port: Where it listens.
        startup_timeout: Seconds that it may take to start.
    """

    startup_timeout: ClassVar[float] = 2

    def __init__(
        self,
        xff: bool = False,
        http_timeout: float | None = None,
        request_buffer_size: int | None = None,
        websocket_max_message_size: int | None = None,
        websocket_max_frame_size: int | None = None,
        *,
        application: ASGIApplication,
    ) -> None:
        self.xff = xff
        self.http_timeout = http_timeout
        self.request_buffer_size = request_buffer_size
        self.websocket_max_message_size = websocket_max_message_size
        self.websocket_max_frame_size = websocket_max_frame_size
        self.application = application
        self.host = "127.0.0.1"
        self.port = 0

    def get_application(self) -> ASGIApplication:
        """Return what is served; called in the process."""
        return self.application

    def process_setup(self) -> None:
        """Called in the process before anything else; for subclasses."""

    def process_teardown(self) -> None:
        """Called in the process at the end; for subclasses."""

    def get_received(self) -> Any:
        """What the application has received; for subclasses."""

    def __enter__(self) -> Self:
        self.process = DaphneProcess(
            host=self.host,
            get_application=self.get_application,
            kwargs=self._server_arguments(),
            setup=self.process_setup,
            teardown=self.process_teardown,
        )
        self.process.start()
        if self._is_ready():
            self.port = self.process.port.value
            return self
        try:
            _, text = self.process.errors.get(timeout=_PATIENCE)
        except queue.Empty:
            raise RuntimeError("Daphne did not start up, no error caught") from None
        finally:
            self._end()
        raise RuntimeError(f"Daphne did not start up:\n{text}")

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _is_ready(self) -> bool:
        """Wait until it is, or has ended, or the time is over."""
        until = time.monotonic() + self.startup_timeout
        while not self.process.ready.wait(_PATIENCE):
            if not self.process.is_alive() or time.monotonic() > until:
                return self.process.ready.is_set()
        return True

    def _end(self) -> None:
        self.process.terminate()
        self.process.join()

    def _server_arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "http_timeout": self.http_timeout,
            "request_buffer_size": self.request_buffer_size,
            "websocket_max_message_size": self.websocket_max_message_size,
            "websocket_max_frame_size": self.websocket_max_frame_size,
        }
        if self.xff:
            found |= {
                "proxy_forwarded_address_header": "X-Forwarded-For",
                "proxy_forwarded_port_header": "X-Forwarded-Port",
                "proxy_forwarded_proto_header": "X-Forwarded-Proto",
            }
        return {name: value for name, value in found.items() if value is not None}


class TestApplication:
    """Notes its scope and what it receives, and sends what it is told to.

    Both go through files, for a test in another process. They hold pickles, so they are in a
    directory of this process and those that it starts, to which nobody else may write.

    Args:
        lock: Held while the file with the results is written.
    """

    __test__ = False  # its name makes pytest take it for tests

    _directory: ClassVar[str] = ""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_directory": self.directory()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        TestApplication._directory = state.pop("_directory")  # of the process that started this one
        self.__dict__.update(state)

    @classmethod
    def directory(cls) -> str:
        """Where the files are; made when first asked for, removed with this process."""
        if not TestApplication._directory:
            TestApplication._directory = tempfile.mkdtemp(prefix="fairway-testing-")
            atexit.register(shutil.rmtree, TestApplication._directory, ignore_errors=True)
        return TestApplication._directory

    @classmethod
    def setup_storage(cls) -> str:
        """The file with what to send."""
        return os.path.join(cls.directory(), "setup.testio")

    @classmethod
    def result_storage(cls) -> str:
        """The file with what was received."""
        return os.path.join(cls.directory(), "result.testio")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Receive until the client has gone, and after each event send what is to be sent."""
        messages: list[Event] = []
        try:
            while True:
                messages.append(await receive())
                self.save_result(scope, messages)
                for message in self.take_setup():
                    await send(message)
                if messages[-1]["type"].endswith(".disconnect"):
                    return  # nothing else comes, and asking would be answered again and again
        except Exception as error:
            logger.warning("The test application failed", exc_info=True)
            self.save_exception(error)

    @classmethod
    def save_setup(cls, response_messages: Sequence[Event]) -> None:
        """Say what to send after the next event."""
        _write(cls.setup_storage(), {"response_messages": list(response_messages)})

    @classmethod
    def load_setup(cls) -> dict[str, Any]:
        """What to send after the next event.

        Raises:
            FileNotFoundError: Nobody has said so.
        """
        return _read(cls.setup_storage())

    @classmethod
    def take_setup(cls) -> list[Event]:
        """What to send now, which is not sent again."""
        try:
            messages: list[Event] = cls.load_setup()["response_messages"]
        except FileNotFoundError:
            return []
        cls.delete_setup()
        return messages

    def save_result(self, scope: Scope, messages: Sequence[Event]) -> None:
        """Note what Daphne's scope has, and every event so far."""
        with self.lock:
            _write(
                self.result_storage(), {"scope": _as_by_daphne(scope), "messages": list(messages)}
            )

    def save_exception(self, exception: Exception) -> None:
        """Note what the application has raised."""
        error = _picklable(exception, traceback.format_exc())
        with self.lock:
            _write(self.result_storage(), {"exception": error})

    @classmethod
    def load_result(cls) -> dict[str, Any]:
        """What was noted.

        Raises:
            FileNotFoundError: Nothing was.
        """
        return _read(cls.result_storage())

    @classmethod
    def delete_setup(cls) -> None:
        """Forget what to send."""
        _remove(cls.setup_storage())

    @classmethod
    def delete_result(cls) -> None:
        """Forget what was noted."""
        _remove(cls.result_storage())


class DaphneTestingInstance(BaseDaphneTestingInstance):
    """Serves a :class:`TestApplication`."""

    application: TestApplication

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock = multiprocessing.Lock()
        super().__init__(*args, **kwargs, application=TestApplication(self.lock))

    def __enter__(self) -> Self:
        self.application.directory()  # before the process is started, which is to know it
        self._forget()
        return super().__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        self._forget()

    def _forget(self) -> None:
        self.application.delete_setup()
        self.application.delete_result()

    def get_received(self) -> tuple[Scope, list[Event]]:
        """The scope and all events that the application has received since it was called.

        Raises:
            ValueError: It was not called yet.
            Exception: What the application has raised.
        """
        try:
            found = self.application.load_result()
        except FileNotFoundError:
            raise ValueError("No results available yet.") from None
        if "exception" in found:
            error: Exception = found["exception"]
            raise error
        return found["scope"], found["messages"]

    def add_send_messages(self, messages: Sequence[Event]) -> None:
        """Let the application send these after the next event that it receives."""
        self.application.save_setup(messages)


def _as_by_daphne(scope: Scope) -> Scope:
    """The scope with the keys and types that Daphne gives it."""
    unknown = _UNKNOWN_TO_DAPHNE.get(scope["type"], frozenset())
    seen = {key: value for key, value in scope.items() if key not in unknown}
    return seen | {key: list(seen[key]) for key in ("client", "server") if seen.get(key)}


def _write(path: str, content: Mapping[str, Any]) -> None:
    """Write a file at once: a reader in another process finds all of it or nothing."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), delete=False) as file:
        pickle.dump(content, file)
    os.replace(file.name, path)


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        content: dict[str, Any] = pickle.load(file)  # noqa: S301  in a directory of our own
    return content


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
