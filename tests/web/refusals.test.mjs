// Refusals and ends of a session, as a German page tells them.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.location = { search: "?lang=de" };
const { inWords, reasonOf, whyEnded } = await import("../../gochat/http/web/js/refusals.js");
const { Broken, Refused } = await import("../../gochat/http/web/js/client.js");

test("no word of the server's stands on a German page", () => {
  const message = "the group has changed";
  assert.equal(reasonOf({ code: "conflict", message }), "Das passt nicht zum jetzigen Stand.");
  assert.equal(reasonOf({ code: "forbidden", rule: "group.muted", message }), "Du bist in dieser Gruppe stummgeschaltet.");
  assert.equal(reasonOf({ code: "conflict", rule: "of.a_later_release", message }), "Das passt nicht zum jetzigen Stand.");
  assert.equal(reasonOf({ code: "of_a_later_release", message }), "Der Server lehnt das ab (of_a_later_release).");
  assert.match(whyEnded({ code: 4503, why: "your access has ended" }), /^Dein Zugang wurde beendet/);
  assert.equal(whyEnded({ code: 4999, why: "for reasons" }), "Der Server hat die Verbindung beendet (4999).");
  assert.equal(whyEnded({ why: "Du warst lange da." }), "Du warst lange da.", "it is the page's own");
  assert.throws(() => inWords(new Refused({ code: "internal", message })), /^Error: Im Server ist etwas schiefgegangen\.$/);
  assert.throws(() => inWords(new Broken("there is no connection")), /Die Verbindung ist abgebrochen/);
});
