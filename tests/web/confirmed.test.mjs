// The page confirms of each room the latest, and of few rooms at once.
import assert from "node:assert/strict";
import test from "node:test";
import { AT_ONCE, Confirmed, EVERY_MS } from "../../gochat/http/web/js/confirmed.js";

test("many rooms take their turns, each with its latest", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const posted = [];
  const confirmed = new Confirmed((frame) => posted.push(frame));
  for (const seq of [4, 5, 3]) for (let n = 0; n < 2 * AT_ONCE + 1; n++) confirmed.note(`group:g${n}`, seq);
  assert.equal(posted.length, 0);
  for (const count of [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1, 2 * AT_ONCE + 1]) {
    t.mock.timers.tick(EVERY_MS);
    assert.equal(posted.length, count);
  }
  assert.deepEqual(posted[0], { type: "got", room: "group:g0", seq: 5 });
  confirmed.note("group:g0", 6);
  t.mock.timers.tick(EVERY_MS);
  assert.equal(posted.at(-1).seq, 6);
});

test("a log that begins anew is confirmed from its first fact", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const posted = [];
  const confirmed = new Confirmed((frame) => posted.push(frame.seq));
  confirmed.note("group:tea", 9);
  confirmed.forget("group:tea");
  confirmed.note("group:tea", 3);
  t.mock.timers.tick(EVERY_MS);
  assert.deepEqual(posted, [3]);
});
