// Places that were kept of an earlier connection. All else of positions is compared with the Python client's.
import assert from "node:assert/strict";
import test from "node:test";
import { Positions } from "../../gochat/http/web/js/positions.js";

const ROOM = "group:tea";
const welcome = (head, epoch = "a") => ({ user: "ann", contacts: [], rooms: [{ room: ROOM, epoch, head, read: 0 }], requests: [] });

test("a room goes on from its kept place", () => {
  const positions = new Positions();
  assert.ok(positions.hold(ROOM, 5, "a", 9));
  assert.deepEqual(positions.welcomed(welcome(9)), []);
  assert.equal(positions.nextBehind(), ROOM);
  assert.deepEqual(positions.ask(ROOM), { type: "resume", room: ROOM, seq: 5, epoch: "a" });
  assert.equal(positions.level(ROOM), null);
});

test("a kept place that is level with the log asks for nothing", () => {
  const positions = new Positions();
  positions.hold(ROOM, 9, "a", 9);
  positions.welcomed(welcome(9));
  assert.equal(positions.nextBehind(), undefined);
  assert.deepEqual(positions.level(ROOM), { seq: 9, epoch: "a" });
});

test("a list that is older than the kept place rolls nothing back", () => {
  const positions = new Positions();
  positions.hold(ROOM, 9, "a", 7);
  assert.deepEqual(positions.welcomed(welcome(7)), []);
  assert.equal(positions.nextBehind(), ROOM);
  assert.deepEqual(positions.ask(ROOM), { type: "resume", room: ROOM, seq: 9, epoch: "a" });
});

test("a kept place comes too late after a live fact", () => {
  const positions = new Positions();
  positions.take({ type: "message", room: ROOM, seq: 9, ts: 9, from: "bob" });
  assert.equal(positions.hold(ROOM, 5, "a", 9), false);
  assert.deepEqual(positions.level(ROOM), { seq: 9, epoch: null });
});

test("a room that is known by live facts alone is of the log that the welcome named", () => {
  const positions = new Positions();
  positions.welcomed({ user: "ann", contacts: [], rooms: [], requests: [], epoch: "a" });
  assert.ok(positions.take({ type: "message", room: ROOM, seq: 9, ts: 9, from: "bob" }));
  assert.deepEqual(positions.level(ROOM), { seq: 9, epoch: "a" });
  assert.deepEqual(positions.resume(65536), { [ROOM]: { seq: 9, epoch: "a" } });
});

test("a kept place that is level with another log is not gone on from", () => {
  const positions = new Positions();
  positions.welcomed({ user: "ann", contacts: [], rooms: [], requests: [], epoch: "b" });
  positions.hold(ROOM, 9, "a", 9);
  positions.found({ room: ROOM, epoch: "b", head: 9 });
  assert.equal(positions.take({ type: "message", room: ROOM, seq: 10, ts: 10, from: "bob" }), false);
  assert.equal(positions.nextBehind(), ROOM);
  assert.deepEqual(positions.ask(ROOM), { type: "resume", room: ROOM, seq: 9, epoch: "a" });
});
