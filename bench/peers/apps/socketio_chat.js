// A room and private messages with Socket.IO, as its guide writes them. Nothing is stored.
// Run in the folder that has node_modules: node socketio_chat.js PORT
const { createRequire } = require("node:module");
const { createServer } = require("node:http");
const { Server } = createRequire(process.cwd() + "/")("socket.io");

const http = createServer();
const io = new Server(http, { transports: ["websocket"], pingInterval: 300_000 });

io.on("connection", (socket) => {
  const user = socket.handshake.auth.user;
  socket.join(`user:${user}`);
  socket.on("join", ({ room }, ack) => {
    socket.join(room);
    ack("ok");
  });
  socket.on("room", ({ room, body }, ack) => {
    io.to(room).emit("message", { from: user, body });
    ack("ok");
  });
  socket.on("direct", ({ to, body }, ack) => {
    io.to(`user:${to}`).emit("message", { from: user, body });
    ack("ok");
  });
});

http.listen(Number(process.argv[2]), "127.0.0.1", 2048);
