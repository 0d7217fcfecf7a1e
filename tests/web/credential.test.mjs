// The part of a sign-in that a tab keeps.
import assert from "node:assert/strict";
import test from "node:test";

const slots = new Map();
globalThis.sessionStorage = {
  getItem: (name) => slots.get(name) ?? null, setItem: (name, text) => slots.set(name, text), removeItem: (name) => slots.delete(name),
};
const { forget, keep, kept } = await import("../../gochat/http/web/js/credential.js");
const credential = (token, rest = {}) => ({ user: "ann", token, expires: 0, ...rest });

test("a token that the server has not confirmed takes the place of no other", () => {
  keep(credential("first"));
  assert.equal(kept().token, "first");
  keep(credential("made-up"));
  forget("made-up");
  assert.equal(kept().token, "first");
  keep(credential("second", { confirmed: true }));
  assert.equal(kept().token, "second");
  forget();
  assert.equal(kept(), null);
});

test("a token that is over is kept for nothing, and gives way to any other", () => {
  keep(credential("over", { expires: 1, confirmed: true }));
  assert.equal(kept(), null);
  keep(credential("next"));
  assert.equal(kept().token, "next");
});
