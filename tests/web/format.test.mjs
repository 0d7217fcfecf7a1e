// Text of messages, as nodes and as words.
import assert from "node:assert/strict";
import test from "node:test";
import { formatter, withNames } from "../../gochat/http/web/js/format.js";

const nameOf = (user) => ({ cat: "Cat Stevens" })[user] ?? user;

test("a block of code ends its line itself", () => {
  const nodes = formatter("ann", nameOf, [])("see:\n```\nprint(1)\n```\nand more");
  assert.deepEqual(nodes.map((node) => (typeof node === "string" ? node : node.type)), ["see:\n", "pre", "and more"]);
});

test("names stand where users are mentioned, and nowhere else", () => {
  const text = "@Cat, @bob `@cat` a@cat.example https://example.org/@cat\n```\n@cat\n```\n@cat";
  assert.equal(withNames(text, nameOf), text.replace("@Cat,", "@Cat Stevens,").replace(/@cat$/, "@Cat Stevens"));
  assert.equal(withNames(text, nameOf, []), text);
});
