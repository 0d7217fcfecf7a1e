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

test("an address ends where it ends, brackets of its own included", () => {
  const addresses = (text) => formatter("ann", nameOf, [])(text).filter((node) => node.type === "a").map((node) => node.props.href);
  const tea = "https://en.wikipedia.org/wiki/Tea_(drink)";
  for (const text of [`see ${tea} now`, `(see ${tea})`, `${tea}.`, `[${tea}]!`, `${tea}),`]) assert.deepEqual(addresses(text), [tea], text);
  assert.deepEqual(addresses("(see https://example.org/tea)."), ["https://example.org/tea"]);
  assert.deepEqual(addresses("https://example.org/?a[]=1&b=[2] https://a.example/x...)"), ["https://example.org/?a[]=1&b=[2]", "https://a.example/x"]);
  assert.deepEqual(addresses("https://. https://) http://[::1]:8080/ https://a"), ["http://[::1]:8080/", "https://a"]);
  assert.equal(withNames(`${tea} @cat) https://x.example/(@cat)`, nameOf), `${tea} @Cat Stevens) https://x.example/(@cat)`);
});

test("an address with thousands of brackets is no work", () => {
  const before = performance.now();
  formatter("ann", nameOf, [])(`https://x${")".repeat(200_000)}`);
  assert.ok(performance.now() - before < 2_000);
});
