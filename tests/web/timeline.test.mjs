// The rows of a room: a dense run of the log, whatever comes first.
import assert from "node:assert/strict";
import test from "node:test";
import { Timeline } from "../../gochat/http/web/js/timeline.js";

const message = (seq, body = `m${seq}`) => ({ type: "message", room: "r", seq, ts: seq, from: "bob", body, key: `k${seq}` });
const run = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
const seqs = (timeline) => timeline.rows.map((row) => row.seq);

function held(from, to) {
  const timeline = new Timeline("ann");
  timeline.head = to;
  timeline.prepend(run(from, to), to + 1);
  return timeline;
}

test("a page that overlaps with live facts adds each of them once", () => {
  const timeline = held(1, 3);
  timeline.head = 6;
  timeline.append(message(4));
  timeline.extend(run(4, 6));
  assert.deepEqual(seqs(timeline), [1, 2, 3, 4, 5, 6]);
  timeline.extend(run(4, 6));
  assert.deepEqual([seqs(timeline), timeline.attached], [[1, 2, 3, 4, 5, 6], true]);
});

test("a live fact that does not follow waits for its page", () => {
  const timeline = held(1, 3);
  assert.equal(timeline.append(message(5)), null);
  assert.deepEqual([seqs(timeline), timeline.attached], [[1, 2, 3], false]);
});

test("rows that were kept take up where they were", () => {
  const rows = held(11, 20).rows.map(({ rev, ...row }) => row);
  const timeline = new Timeline("ann");
  timeline.restore(rows, 11, 20);
  assert.ok(timeline.loaded && timeline.attached && !timeline.complete);
  timeline.append({ type: "edit", room: "r", seq: 21, ts: 21, from: "bob", target: 12, body: "new" });
  timeline.append(message(22));
  timeline.prepend(run(1, 10));
  assert.deepEqual(seqs(timeline), [...run(1, 20), message(22)].map((fact) => fact.seq));
  assert.equal(timeline.bySeq.get(12).body, "new");
});

test("a row keeps its id from the first try to its fact", () => {
  const timeline = held(1, 1);
  timeline.queue({ id: "bob/k2", kind: "message", seq: 0, ts: 2, from: "bob", body: "m2", key: "k2", rev: 0, state: "sending" });
  assert.equal(timeline.at(1).id, "bob/k2");
  timeline.append(message(2));
  assert.deepEqual([timeline.count, timeline.at(1).id, timeline.pending.length], [2, "bob/k2", 0]);
});

const reaction = (seq, target, from = "bob") => ({ type: "reaction", room: "r", seq, ts: seq, from, target, emoji: "👍", on: true });

test("reactions that a page has counted are not counted again by their own facts", () => {
  const timeline = held(1, 3);
  timeline.append({ ...message(4), reactions: { "👍": 2 } }, 7); // As catching up by pages of up to 7 does.
  timeline.append(reaction(5, 4), 7);
  timeline.append(reaction(6, 4, "ann"), 7);
  assert.deepEqual([timeline.bySeq.get(4).reactions, [...timeline.bySeq.get(4).mine]], [{ "👍": 2 }, ["👍"]]);
  timeline.append(reaction(7, 2), 7);
  timeline.append(reaction(8, 4), 7);
  assert.deepEqual([timeline.bySeq.get(2).reactions, timeline.bySeq.get(4).reactions], [{ "👍": 1 }, { "👍": 3 }]);
});

test("an edit without its text lets the older row go to its page, and leaves a row that has the text", () => {
  const timeline = held(1, 3);
  timeline.append({ ...message(4), edited: 5 }, 6);
  const edit = (seq, target) => ({ type: "edit", room: "r", seq, ts: seq, from: "bob", target });
  timeline.append(edit(5, 4), 6);
  assert.equal(timeline.bySeq.get(4).body, "m4");
  timeline.append(edit(6, 2), 6);
  assert.deepEqual([seqs(timeline), timeline.from, timeline.to], [[3, 4], 3, 6]);
  timeline.append(edit(7, 4), 7);
  assert.deepEqual([seqs(timeline), timeline.from, timeline.to], [[], 7, 7]);
  timeline.prepend(run(1, 6), 7, 7);
  assert.deepEqual([seqs(timeline), timeline.to], [[1, 2, 3, 4, 5, 6], 7]);
});

test("what happens to a message while its page is on its way holds, once", () => {
  const timeline = held(201, 203);
  timeline.meanwhile = [];
  timeline.append({ type: "delete", room: "r", seq: 204, ts: 204, from: "bob", target: 150 });
  timeline.append({ type: "edit", room: "r", seq: 205, ts: 205, from: "bob", target: 151, body: "new" });
  timeline.append(reaction(206, 152, "ann"));
  timeline.append(reaction(207, 202));
  const page = run(1, 200);
  page[152].reactions = { "👍": 1 }; // Of 153, and counted already.
  timeline.append(reaction(203, 153));
  timeline.prepend(page, 201, 203);
  const at = (seq) => timeline.bySeq.get(seq);
  assert.deepEqual([at(150).body, at(150).deleted, at(151).body, at(151).edited], [undefined, 204, "new", 205]);
  assert.deepEqual([at(152).reactions, [...at(152).mine], at(153).reactions, at(202).reactions], [{ "👍": 1 }, ["👍"], { "👍": 1 }, { "👍": 1 }]);
});
