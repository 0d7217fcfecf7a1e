// Texts that were begun, which one browser keeps for several users.
import assert from "node:assert/strict";
import test from "node:test";
import { begun, draftOf, drafted, forgetDrafts, keepDraft } from "../../gochat/http/web/js/drafts.js";

test("a user's drafts are those of no other, however alike their ids are", () => {
  for (const user of ["kim", "kim.lee", "kim.dm"]) {
    keepDraft(user, "dm:bob:kim", user);
    keepDraft(user, "group:a.group", user);
  }
  for (const user of ["kim", "kim.lee", "kim.dm"]) {
    assert.deepEqual(begun(user), ["dm:bob:kim"]);
    assert.deepEqual([...drafted.value].sort(), ["dm:bob:kim", "group:a.group"]);
  }
  forgetDrafts("kim");
  assert.deepEqual(["kim", "kim.lee", "kim.dm"].map((user) => draftOf(user, "dm:bob:kim")), ["", "kim.lee", "kim.dm"]);
});
