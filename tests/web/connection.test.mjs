// A connection that was stopped is nobody's any more.
import assert from "node:assert/strict";
import test from "node:test";

const sockets = [];
class Socket {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor() { sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code) { this.code = code; }
}
Object.assign(globalThis, { WebSocket: Socket, location: { href: "http://chat.example/" }, addEventListener() {}, removeEventListener() {} });
const { Broken, Connection } = await import("../../gochat/http/web/js/connection.js");

/** A connection with its first socket, and all that its listener has heard. */
async function opened() {
  const heard = [];
  const connection = new Connection({
    hello: async () => ({ type: "hello" }), onWelcome: () => heard.push("welcome"), onEvent: () => heard.push("event"),
    onState: (state) => heard.push(state),
  });
  connection.start();
  await new Promise(setImmediate);
  return { connection, socket: sockets.at(-1), heard };
}

test("after stop the listener hears nothing, and what was asked is rejected", async () => {
  const { connection, socket, heard } = await opened();
  socket.onmessage({ data: JSON.stringify({ type: "welcome" }) });
  const asked = connection.ask({ type: "ping" });
  connection.stop();
  await assert.rejects(asked, Broken);
  assert.deepEqual([socket.code, heard.splice(0)], [1000, ["connecting", "welcome", "online"]]);
  socket.onmessage({ data: JSON.stringify({ type: "message", room: "r", seq: 1 }) });
  socket.onclose({ code: 1000, reason: "" });
  assert.deepEqual(heard, []);
});

test("without a network the socket is given up at once, whatever the browser makes of its end", async () => {
  const { connection, socket, heard } = await opened();
  socket.onmessage({ data: JSON.stringify({ type: "welcome" }) });
  const asked = connection.ask({ type: "ping" });
  connection.close();
  await assert.rejects(asked, Broken);
  assert.deepEqual([heard.splice(0), connection.open], [["connecting", "welcome", "online", "offline"], false]);
  socket.onclose({ code: 1005, reason: "" });
  connection.close();
  connection.stop();
  assert.deepEqual(heard, []);
});

test("a socket that fails without another word is given up, and the next one is tried", async () => {
  const { connection, socket, heard } = await opened();
  socket.onerror();
  await new Promise((resolve) => setTimeout(resolve, 2));
  assert.deepEqual(heard.splice(0), ["connecting", "offline"]);
  socket.onclose({ code: 1006, reason: "" });
  connection.retryNow();
  await new Promise(setImmediate);
  assert.notEqual(sockets.at(-1), socket);
  connection.stop();
  sockets.at(-1).onclose({ code: 1000, reason: "" });
  assert.deepEqual(heard, ["connecting"]);
});
