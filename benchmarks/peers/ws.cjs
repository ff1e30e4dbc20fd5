// node ws.cjs PORT: an echo, and a message to all, on the package ws.
const { WebSocketServer, WebSocket } = require("ws");

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 2048, perMessageDeflate: false });
server.on("connection", (socket, request) => {
  const echo = request.url === "/echo/";
  socket.on("message", (data, isBinary) => {
    if (echo) socket.send(data, { binary: isBinary });
    else for (const each of server.clients) if (each.readyState === WebSocket.OPEN) each.send(data, { binary: isBinary });
  });
});
