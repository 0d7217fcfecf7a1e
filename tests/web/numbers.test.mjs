// Numbers of the operators' page: rates out of two overviews, and how they are written.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.location ??= { search: "?lang=en" };
const { bytes, count, course, perSecond, points, rate, span, value } = await import("../../gochat/http/web/admin/numbers.js");

const sample = (ts, metrics) => ({ ts, metrics });

test("a rate is told where there are two overviews of one run", () => {
  const one = sample(1_000, { sent: { "": 10 }, refused: { a: 1, b: 1 } });
  const two = sample(5_000, { sent: { "": 30 }, refused: { a: 5, b: 1 } });
  assert.equal(perSecond(one, two, "sent"), 5);
  assert.equal(perSecond(one, two, "refused"), 1);
  assert.equal(perSecond(one, two, "refused", "a"), 1);
  assert.equal(perSecond(undefined, two, "sent"), undefined);
  assert.equal(perSecond(two, two, "sent"), undefined);
  assert.equal(perSecond(two, sample(9_000, { sent: { "": 1 } }), "sent"), undefined);
  assert.equal(perSecond(one, sample(9_000, {}), "sent"), undefined);
  assert.equal(value(two, "refused"), 6);
});

test("a course has the rate between each two neighbours", () => {
  const samples = [0, 10, 30, 5].map((sent, index) => sample(index * 1000, { sent: { "": sent } }));
  assert.deepEqual(course(samples, "sent"), [10, 20, 0]);
  assert.equal(points([0, 10, 5], 100, 20), "0.0,20.0 50.0,0.0 100.0,10.0");
  assert.equal(points([0], 100, 20), "0.0,20.0");
});

test("numbers are written for people", () => {
  assert.deepEqual([count(undefined), count(1234), count(2_500_000)], ["–", "1,234", "2.5M"]);
  assert.deepEqual([rate(undefined), rate(0), rate(2.34), rate(1500)], ["–", "0", "2.3", "1,500"]);
  assert.deepEqual([bytes(0), bytes(2048), bytes(3 * 1024 ** 3)], ["0 byte", "2 kB", "3 GB"]);
  assert.deepEqual([span(5), span(61_000), span(7_200_000)], ["5 ms", "1 min", "2 hr"]);
});
