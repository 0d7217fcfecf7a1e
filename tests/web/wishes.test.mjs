// Quiet hours, as the page understands them.
import assert from "node:assert/strict";
import test from "node:test";
import { withinQuiet } from "../../gochat/http/web/js/wishes.js";

const at = (clock) => new Date(`2026-03-01T${clock}:00Z`);

test("quiet hours may pass midnight, in a time zone of their own", () => {
  const night = { quiet: "22:00-07:00", tz: "UTC" };
  assert.deepEqual(["21:59", "22:00", "03:00", "06:59", "07:00"].map((clock) => withinQuiet(night, at(clock))), [false, true, true, true, false]);
  const noon = { quiet: "12:00-13:00", tz: "Europe/Vienna" };
  assert.deepEqual(["10:59", "11:00", "12:00"].map((clock) => withinQuiet(noon, at(clock))), [false, true, false]);
  assert.equal(withinQuiet({}, at("03:00")), false);
});
