"""``python -m peers.uwebsockets PORT``: an echo, and a message to all, on uWebSockets in C++.

The package socketify binds it to Python; all of a message to all is done in C++, but for the call.
"""

import sys

from socketify import App, AppListenOptions, CompressOptions, OpCode, WebSocket

TOPIC = "bench"


def echo(socket: WebSocket, message: str | bytes, opcode: OpCode) -> None:
    socket.send(message, opcode)


def join(socket: WebSocket) -> None:
    socket.subscribe(TOPIC)


def main(port: int) -> None:
    app = App()

    def publish(_: WebSocket, message: str | bytes, opcode: OpCode) -> None:
        app.publish(TOPIC, message, opcode)

    options = {"compression": CompressOptions.DISABLED}
    app.ws("/echo/", {**options, "message": echo})
    app.ws("/group/", {**options, "open": join, "message": publish})
    # For the harness, which asks whether anybody answers.
    app.get("/", lambda response, _: response.end("Hello, world!"))
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
