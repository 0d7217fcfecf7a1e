// The messages that the server does not have.
import assert from "node:assert/strict";
import test from "node:test";
import { Timeline } from "../../gochat/http/web/js/timeline.js";
import { drop, keepOnly, lacking, queueOf, roomsOf } from "../../gochat/http/web/js/unsent.js";

const ROOM = "dm:ann:bob";
const row = (key, state = "sending") => ({ id: `ann/${key}`, kind: "message", seq: 0, ts: 0, from: "ann", body: key, key, rev: 0, state });

test("what waits outlives its timeline, for its user alone, until somebody else is here", () => {
  new Timeline("ann", queueOf("ann", ROOM)).queue(row("a"));
  new Timeline("ann", queueOf("ann", ROOM)).queue(row("b", "failed"));
  new Timeline("ann", queueOf("ann", ROOM)).queue(row("c", null));
  assert.equal(new Timeline("ann", queueOf("ann", ROOM)).pending.length, 3);
  assert.equal(new Timeline("cat", queueOf("cat", ROOM)).pending.length, 0);
  assert.deepEqual(lacking(), { user: "ann", n: 2 });
  assert.deepEqual([roomsOf("ann"), roomsOf("cat")], [[ROOM], []]);
  keepOnly("ann");
  assert.deepEqual(lacking(), { user: "ann", n: 2 });
  assert.deepEqual(drop("ann", ROOM), ["a", "b"]);
  assert.equal(lacking(), null);
  queueOf("ann", ROOM).push(row("d", null));
  assert.deepEqual([roomsOf("ann"), lacking()], [[], null]);
  queueOf("ann", ROOM).push(row("e"));
  keepOnly("cat");
  assert.equal(lacking(), null);
});

test("a message that a page or what was kept brings waits no longer", () => {
  const fact = { type: "message", room: ROOM, seq: 1, ts: 0, from: "ann", body: "a", key: "a" };
  for (const come of [(line) => line.prepend([fact], 2, 1), (line) => line.restore([{ ...row("a", null), seq: 1 }], 1, 1)]) {
    const line = new Timeline("ann", [row("a"), row("b")]);
    come(line);
    assert.deepEqual([line.rows.length, line.pending.map(({ key }) => key)], [1, ["b"]]);
  }
});
