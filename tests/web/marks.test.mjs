// The page tells how far one has read: at once, and of few rooms at a time.
import assert from "node:assert/strict";
import test from "node:test";
import { AT_ONCE, EVERY_MS, Marks } from "../../gochat/http/web/js/marks.js";

test("a position is told at once, and while one scrolls the latest once a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const posted = [];
  const marks = new Marks((frame) => posted.push(frame));
  for (const seq of [4, 5, 9, 7]) marks.note("group:tea", seq);
  assert.deepEqual(posted, [{ type: "read", room: "group:tea", seq: 4 }]);
  t.mock.timers.tick(EVERY_MS);
  assert.deepEqual(posted.map(({ seq }) => seq), [4, 9]);
  t.mock.timers.tick(2 * EVERY_MS);
  marks.note("group:tea", 10);
  assert.deepEqual(posted.map(({ seq }) => seq), [4, 9, 10]);
});

test("many rooms take their turns, and one whose log is another is not told of", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const posted = [];
  const marks = new Marks(({ room }) => posted.push(room));
  for (let n = 0; n < 2 * AT_ONCE + 2; n++) marks.note(`group:g${n}`, 3);
  marks.forget(`group:g${2 * AT_ONCE + 1}`);
  for (const count of [AT_ONCE + 1, 2 * AT_ONCE + 1, 2 * AT_ONCE + 1]) {
    t.mock.timers.tick(EVERY_MS);
    assert.equal(posted.length, count);
  }
  marks.note("group:a", 1);
  marks.note("group:b", 1);
  marks.forgetAll();
  t.mock.timers.tick(10 * EVERY_MS);
  assert.equal(posted.at(-1), "group:a");
});
