// Rooms of the list: what a list tells and what facts tell are one count.
import assert from "node:assert/strict";
import test from "node:test";
import { afterFact, begunAnew, blank, fromEntry, listed, mayBeOf, reaches } from "../../gochat/http/web/js/rooms.js";

const ROOM = "dm:ann:bob";
const message = (seq, body = "x") => ({ type: "message", room: ROOM, seq, ts: seq, from: "bob", body });
const told = { room: ROOM, head: 7, read: 4, unread: 3, last: { seq: 7, ts: 7, from: "bob", body: "seven" } };

test("facts that a list has counted are not counted again", () => {
  let room = fromEntry(told, "ann");
  for (const seq of [5, 6]) room = afterFact(room, message(seq), "ann", false);
  assert.equal(room.unread, 3);
  assert.equal(room.last.body, "seven");
  room = afterFact(room, message(8, "eight"), "ann", false);
  assert.deepEqual([room.unread, room.head, room.last.body], [4, 8, "eight"]);
});

test("an unread message that is deleted is unread no more, once", () => {
  const gone = (seq, target) => ({ type: "delete", room: ROOM, seq, ts: seq, from: "bob", target });
  let room = fromEntry(told, "ann");
  room = afterFact(room, gone(7, 6), "ann", false);
  assert.equal(room.unread, 3);
  room = afterFact(room, gone(8, 5), "ann", false);
  assert.equal(room.unread, 2);
});

test("what one writes, or looks at, is read", () => {
  const room = fromEntry(told, "ann");
  assert.equal(afterFact(room, { ...message(8), from: "ann" }, "ann", false).unread, 0);
  assert.equal(afterFact(room, message(8), "ann", true).unread, 0);
});

test("the list shows 15 contacts, all groups, and whatever is unread", () => {
  const contacts = Array.from({ length: 30 }, (_, number) => ({ ...blank(`dm:ann:u${number}`, "ann"), last: { ts: 100 - number } }));
  contacts[20].unread = 1;
  const shown = listed([...contacts, blank("group:tea", "ann")], "dm:ann:u29").map((room) => room.id);
  assert.equal(shown.length, 15 + 1 + 1 + 1);
  assert.ok(shown.includes("dm:ann:u20") && shown.includes("dm:ann:u29") && shown.includes("group:tea"));
  const rooms = [...contacts, blank("dm:ann:new", "ann"), blank("dm:ann:opened", "ann")];
  const more = listed(rooms, "", new Set(["dm:ann:new", "dm:ann:u25"])).map((room) => room.id);
  assert.deepEqual(more.slice(-3), ["dm:ann:u20", "dm:ann:u25", "dm:ann:new"], "and whatever is begun");
});

test("an id may be of a room of the user, or not", () => {
  for (const id of ["group:tea", "dm:ann:bob", "dm:ann:ann", "dm:0:ann"]) assert.ok(mayBeOf(id, "ann"), id);
  for (const id of ["rubbish", "group:", "group:Tea", "group:a b", "dm:bob:ann", "dm:bob:cat", "dm:ann:bob:5", "dm:ann", "user:bob"]) assert.ok(!mayBeOf(id, "ann"), id);
});

test("in another log nothing holds that was counted in the old one", () => {
  const old = fromEntry({ ...told, epoch: "one", head: 100, read: 97, reads: { bob: 99 } }, "ann");
  const anew = begunAnew(old, "two", 3);
  assert.deepEqual([anew.head, anew.read, anew.unread, anew.last, anew.readBy], [3, 3, 0, undefined, {}]);
  assert.equal(afterFact(anew, message(4), "ann", false).unread, 1);
});

test("a list that tells of another log is believed, and the reset that follows changes nothing", () => {
  const old = fromEntry({ ...told, epoch: "one", head: 100, read: 97, reads: { bob: 99 } }, "ann");
  const anew = fromEntry({ ...told, epoch: "two" }, "ann", old);
  assert.deepEqual([anew.head, anew.read, anew.unread, anew.last, anew.readBy], [7, 4, 3, told.last, {}]);
  assert.deepEqual(begunAnew(anew, "two", 7), anew);
});

test("members have read nothing from before they came in, wherever that is told", () => {
  const entry = { room: "group:tea", head: 5, read: 5, unread: 0, reads: { bob: 3, cat: 5 }, joined: { cat: 4 } };
  const listed = fromEntry(entry, "ann");
  assert.deepEqual([2, 3, 4, 5, 6].map((seq) => reaches(listed, "readBy", seq, "cat")), [false, false, false, true, false]);
  assert.deepEqual([3, 4, 5].map((seq) => reaches(listed, "readBy", seq)), [true, false, true]);
  assert.equal(reaches(listed, "readBy", 0), false, "what is on its way is read by nobody");
  const live = afterFact({ ...listed, joined: {} }, { type: "member", room: "group:tea", seq: 6, ts: 6, from: "ann", users: ["zoe"], change: "added" }, "ann", false);
  const read = { ...live, readBy: { ...live.readBy, zoe: 7 } };
  assert.deepEqual([5, 7].map((seq) => reaches(read, "readBy", seq, "zoe")), [false, true]);
  const { joined: _, ...kept } = listed;
  assert.equal(reaches(kept, "readBy", 4, "cat"), true, "a room that an earlier version kept tells nothing of it");
});
