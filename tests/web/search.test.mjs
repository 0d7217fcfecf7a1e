// The search in the documentation finds what stands there, the nearest first.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { find, pieces, words } from "../../gochat/http/docs/search.js";

const index = JSON.parse(readFileSync(new URL("../../gochat/http/docs/search.json", import.meta.url), "utf8"));
const first = (query) => find(index, query)[0]?.address;

test("a heading comes before a text, and a whole word before a beginning", () => {
  const made = [
    ["/a", "A", "Other", "backup of a room", ""], ["/b", "B", "Backups", "", ""], ["/c", "C", "Backup", "", ""], ["/d", "D", "D", "", "roomback"],
  ];
  assert.deepEqual(find(made, "backup").map(({ address }) => address), ["/c", "/b", "/a"]);
  assert.deepEqual(find(made, "BACK room").map(({ address }) => address), ["/a"], "every word must be there");
  assert.deepEqual(find(made, "  "), []);
  assert.equal(find(index, "the message", 5).length, 5);
});

test("what people look for is found", () => {
  assert.match(first("backup restore"), /^\/docs\/howto\/data#|^\/docs\/reference\/cli#/);
  assert.equal(first("limits.window"), "/docs/reference/settings#limits");
  assert.match(first("quiet hours"), /^\/docs/);
  assert.match(first("no_connection") ?? first("unauthorized"), /^\/docs/);
  assert.equal(find(index, "xyzzyplugh").length, 0);
});

test("a text is marked where a word begins", () => {
  assert.deepEqual(pieces("Back up the backup (back)", "back"), ["", "Back", " up the ", "back", "up (", "back", ")"]);
  assert.deepEqual(pieces("a.b c", "a.b"), ["", "a.b", " c"]);
  assert.deepEqual(pieces("x", ""), ["x"]);
  assert.deepEqual(pieces("serve --data FOLDER", "--data"), ["serve ", "--data", " FOLDER"]);
  assert.deepEqual(pieces("an e-mail of /v1/ws", "e-mail /v1"), ["an ", "e-mail", " of ", "/v1", "/ws"]);
  for (let code = 0x21; code < 0x7f; code++) {
    const sign = String.fromCharCode(code);
    for (const query of [sign, `a${sign}`, `${sign}a`, `a${sign}b`]) assert.equal(pieces("x a b", query).join(""), "x a b", query);
  }
  assert.deepEqual(words("Größe, `limits.window`?"), ["große", "limits.window"]);
});
