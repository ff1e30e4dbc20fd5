"""Start and end an application inside a test, as a server does."""

from types import TracebackType
from typing import Any, Self

from fairway._types import ASGIApplication
from fairway.server.application.lifespan import LifespanFailed
from fairway.testing.application import DEFAULT_TIMEOUT, ApplicationCommunicator


class LifespanCommunicator(ApplicationCommunicator):
    """Runs an application's lifespan around what a test does with it.

    What the application keeps in its state is for the scopes of requests and sockets::

        async with LifespanCommunicator(application) as lifespan:
            communicator = WebsocketCommunicator(application, "/ws/", state=lifespan.state)

    See https://asgi.readthedocs.io/en/latest/specs/lifespan.html.

    Args:
        application: The ASGI application. One that does not know the protocol, such as a
            consumer, raises what it raises.

    Attributes:
        state: What the application put into ``scope["state"]``.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self.state: dict[str, Any] = {}
        asgi = {"version": "3.0", "spec_version": "2.0"}
        super().__init__(application, {"type": "lifespan", "asgi": asgi, "state": self.state})

    async def startup(self, timeout: float | None = DEFAULT_TIMEOUT) -> None:  # noqa: ASYNC109
        """Tell the application to start and wait until it has.

        Args:
            timeout: Seconds to wait; ``None`` waits for ever.

        Raises:
            fairway.server.application.lifespan.LifespanFailed: It says that it cannot.
            TimeoutError: As for ``receive_output``.
        """
        await self._ask("startup", timeout)

    async def shutdown(self, timeout: float | None = DEFAULT_TIMEOUT) -> None:  # noqa: ASYNC109
        """Tell the application to end, and wait until it has.

        Args:
            timeout: Seconds to wait for the answer, and for the end; ``None`` waits for ever.

        Raises:
            fairway.server.application.lifespan.LifespanFailed: It says that it did not end cleanly.
            TimeoutError: As for ``receive_output``.
        """
        await self._ask("shutdown", timeout)
        await self.wait(timeout)

    async def __aenter__(self) -> Self:
        await self.startup()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.shutdown()

    async def _ask(self, what: str, seconds: float | None) -> None:
        await self.send_input({"type": f"lifespan.{what}"})
        answer = await self.receive_output(seconds)
        if answer["type"] == f"lifespan.{what}.failed":
            raise LifespanFailed(answer.get("message") or "it gave no reason.")
        if answer["type"] != f"lifespan.{what}.complete":
            raise AssertionError(
                f"Expected type 'lifespan.{what}.complete' or 'lifespan.{what}.failed', "
                f"but was '{answer['type']}'"
            )
