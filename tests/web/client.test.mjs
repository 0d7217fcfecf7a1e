// The session that the page and other programs use, on sockets that the test plays.
import assert from "node:assert/strict";
import test, { mock } from "node:test";

const sockets = [];
class Socket {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor(url) { sockets.push(this); this.url = String(url); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code) { this.code = code; }
  says(...frames) { for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) }); }
  asked(type) { return this.sent.findLast((frame) => frame.type === type); }
}
globalThis.WebSocket = Socket;
const { Client, Ended, Refused } = await import("../../gochat/http/web/js/client.js");

const ROOM = "group:tea";
const welcome = (head, epoch = "a") => ({
  type: "welcome", user: "ann", contacts: [], requests: [], rooms: [{ room: ROOM, epoch, head, read: 0 }], limits: { frame_bytes: 65536 },
});
const message = (seq) => ({ type: "message", room: ROOM, seq, ts: seq, from: "bob", body: `${seq}` });
const soon = () => new Promise((resolve) => setImmediate(resolve));

async function begin(options = {}) {
  const heard = [];
  const client = new Client({
    url: "ws://chat.example/v1/ws", token: () => "T", onFact: ({ seq }) => heard.push(seq), onReset: ({ head }) => heard.push(`reset ${head}`),
    onEvent: ({ type }) => heard.push(type), onState: (state) => heard.push(state), ...options,
  });
  client.start();
  await soon();
  const socket = sockets.at(-1);
  socket.onopen();
  return { client, socket, heard };
}

/** The connection goes, and the next one opens. */
async function again(socket, client) {
  socket.onclose({ code: 1006, reason: "" });
  client.retryNow();
  await soon();
  const next = sockets.at(-1);
  next.onopen();
  return next;
}

test("facts come once and in order, over a broken connection", async () => {
  const { client, socket, heard } = await begin();
  assert.deepEqual(socket.sent, [{ type: "hello", token: "T", client: "gochat-js", resume: {} }]);
  socket.says(welcome(3), message(4), message(4), { type: "typing", room: ROOM, from: "bob" });
  assert.deepEqual(heard.splice(0), ["connecting", "online", 4, "typing"]);
  const second = await again(socket, client);
  assert.deepEqual(second.sent[0].resume, { [ROOM]: { seq: 4, epoch: "a" } });
  second.says(welcome(6), message(5), message(6));
  assert.deepEqual(heard.splice(0), ["offline", "connecting", "online", 5, 6]);
  client.stop();
});

test("a gap is asked for, and a page that is refused for a while is asked for again", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { client, socket, heard } = await begin();
  socket.says(welcome(3), message(6));
  await soon();
  const resume = socket.asked("resume");
  assert.deepEqual([resume.room, resume.seq], [ROOM, 3]);
  socket.says({ type: "error", id: resume.id, code: "busy", message: "", temporary: true, retry_after_ms: 50 });
  await soon();
  mock.timers.tick(50);
  await soon();
  const page = socket.asked("history");
  socket.says({ type: "page", id: page.id, room: ROOM, epoch: "a", entries: [4, 5, 6].map(message), head: 6, complete: true });
  await soon();
  assert.deepEqual(heard.slice(2), [4, 5, 6]);
  assert.equal(client.readAt.get(ROOM), 6);
  client.stop();
  mock.timers.reset();
});

test("another log is told, and goes on from its head", async () => {
  const { client, socket, heard } = await begin();
  socket.says(welcome(3), { type: "reset", room: ROOM, epoch: "b", head: 1 });
  await soon();
  assert.deepEqual(heard.slice(2), ["reset 1"]);
  assert.deepEqual([socket.asked("resume").seq, socket.asked("resume").epoch], [1, "b"]);
  client.stop();
});

test("a message keeps its key over connections, and refusals for good are told", async () => {
  const { client, socket } = await begin();
  socket.says(welcome(3));
  const sending = client.send("user:bob", "hello");
  const first = socket.asked("send");
  const second = await again(socket, client);
  second.says(welcome(3));
  await soon();
  const repeated = second.asked("send");
  assert.equal(repeated.key, first.key);
  second.says({ type: "ack", id: repeated.id, seq: 1, room: "dm:ann:bob" });
  assert.equal((await sending).seq, 1);
  const refused = client.send("user:bob", "bad", { key: "k" });
  second.says({ type: "error", id: second.asked("send").id, code: "forbidden", message: "no", temporary: false });
  await assert.rejects(refused, (error) => error instanceof Refused && error.code === "forbidden");
  const waiting = client.send("user:bob", "never");
  second.onclose({ code: 1006, reason: "" });
  await soon();
  client.stop();
  await assert.rejects(waiting, Ended);
});

test("a message that is sent while the socket closes waits for the next one", async () => {
  const { client, socket } = await begin();
  socket.says(welcome(3));
  socket.readyState = 2; // The server's Close frame has come, and `onclose` has not.
  const sending = client.send("user:bob", "hello");
  await soon();
  assert.equal(socket.asked("send"), undefined);
  const second = await again(socket, client);
  second.says(welcome(3));
  await soon();
  second.says({ type: "ack", id: second.asked("send").id, seq: 1, room: "dm:ann:bob" });
  assert.equal((await sending).seq, 1);
  client.stop();
});

test("what was kept of an earlier session is gone on from", async () => {
  let listed = 0;
  const { client, socket } = await begin({
    before: () => client.positions.hold(ROOM, 1, "a", 3), onListed: () => listed++,
  });
  socket.says(welcome(3));
  await soon();
  assert.deepEqual([socket.asked("resume").room, socket.asked("resume").seq], [ROOM, 1]);
  const contacts = socket.asked("contacts");
  socket.says({ type: "contacts", id: contacts.id, contacts: [{ user: "bob", state: "contact", room: "dm:ann:bob", head: 2, epoch: "a" }] });
  await soon();
  assert.deepEqual([listed, client.positions.level("dm:ann:bob")], [1, { seq: 2, epoch: "a" }]);
  client.stop();
});
