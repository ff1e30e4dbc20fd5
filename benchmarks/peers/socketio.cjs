// node socketio.cjs PORT: an echo, and a message to a room with all in it, on the package socket.io.
const { createServer } = require("http");
const { Server } = require("socket.io");

const port = Number(process.argv[2]);
// For the harness, which asks whether anybody answers.
const pages = createServer((_, response) => response.end("Hello, world!"));
const io = new Server(pages, { transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.join("bench");
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("group", (text) => io.to("bench").emit("group", text));
});
pages.listen({ host: "127.0.0.1", port, backlog: 2048 });
