// Texts that the browser keeps for the page, and a language that it may not know.
import assert from "node:assert/strict";
import test from "node:test";
import { tagOf } from "../../gochat/http/web/js/l10n.js";
import { shared, tab } from "../../gochat/http/web/js/storage.js";

/** A storage with space for so many texts. */
function storage(space) {
  const slots = {};
  return Object.defineProperties(slots, Object.fromEntries(Object.entries({
    getItem: (name) => slots[name] ?? null,
    setItem: (name, text) => { if (!(name in slots) && Object.keys(slots).length >= space) throw new Error("full"); slots[name] = text; },
    removeItem: (name) => { delete slots[name]; },
  }).map(([name, value]) => [name, { value }])));
}

test("a text that the browser does not take is there as long as the page is", () => {
  globalThis.localStorage = storage(1);
  shared.set("one", "1");
  shared.set("two", "2");
  assert.deepEqual([shared.get("one"), shared.get("two"), localStorage.getItem("two")], ["1", "2", null]);
  assert.deepEqual(shared.names(), ["one", "two"]);
  shared.remove("one");
  shared.set("two", "3");
  assert.deepEqual([localStorage.getItem("two"), shared.names()], ["3", ["two"]]);
  shared.set("two", "no JSON");
  assert.equal(shared.value("two"), null);
});

test("a browser that keeps nothing for the site fails nobody", () => {
  Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get() { throw new Error("denied"); } });
  assert.equal(tab.get("one"), null);
  tab.set("one", "[1]");
  assert.deepEqual([tab.value("one"), tab.names()], [[1], ["one"]]);
  tab.remove("one");
  assert.equal(tab.get("one"), null);
});

test("a language is one that the browser knows, whatever addresses and systems say", () => {
  const said = ["en_US", "de_DE", "en-", "de-CH", "en-US@posix", "", "x", "!!"];
  assert.deepEqual(said.map(tagOf), ["en-US", "de-DE", "en", "de-CH", "en", "en", "en", "en"]);
});
