// @ts-check
// How far the user has read, and what is unread above it. The server counts when a list is read; from then on facts and
// positions change the counts, and the messages that are held are what they are counted from.
import { Marks } from "./marks.js";
import * as offline from "./offline.js";
import * as receipts from "./receipts.js";
import * as state from "./state.js";
import * as threads from "./threads.js";
import { ask, post } from "./wire.js";

/** Changes that come together cost one count, and there is one a second at most. */
const COUNT_AFTER_MS = 1_000;
/** Messages of one page of a count, and pages: a room with more unread ones keeps the count that it has. */
const PAGE = 200, MOST_PAGES = 5;
/** The server counts no more. */
const MOST_MENTIONS = 100;

const marks = new Marks(post);

/** @typedef {import("./rooms.js").Room} Room */
/** @typedef {{unread: number, mentions: number}} Counts */

/** The user has seen what the room has up to `upto`. @param {string} id @param {number} [upto] */
export function markRead(id, upto = Infinity) {
  const room = state.rooms.value.get(id);
  if (!room || !room.unread) return;
  const seq = Math.min(upto, room.head);
  if (seq <= room.read) return;
  if (seq === room.head) receipts.read(id);
  marks.note(id, seq);
  advance(room, seq);
  offline.touch(id);
}

/** The user looks at a message that comes. @param {string} id @param {number} seq */
export const sees = (id, seq) => marks.note(id, seq);

/** Another device of the user's has read the room. @param {string} id @param {number} seq */
export function readElsewhere(id, seq) {
  const room = state.rooms.value.get(id);
  if (room && seq > room.read) advance(room, seq);
}

/** @param {Room} room @param {number} seq */
function advance(room, seq) {
  if (seq >= room.head) {
    state.updateRoom(room.id, { read: seq, unread: 0, mentions: 0 });
    return;
  }
  const read = between(room.id, room.read, seq);
  state.updateRoom(room.id, { read: seq, ...(read && less(room, read)) });
  recount(room.id, read === null);
}

/** @param {Room} room @param {Counts} read @returns {Counts} */
const less = (room, read) => ({ unread: Math.max(0, room.unread - read.unread), mentions: Math.max(0, room.mentions - read.mentions) });

/** The room as a list tells of it now. Where the user had read further on this page, that has not come to the server: it is
 *  told again, and counts as read. @param {Room} room @param {any} entry @param {Room | undefined} before @returns {Room} */
export function settled(room, entry, before) {
  if (entry.read === undefined || room.read <= entry.read || before?.epoch === undefined || before.epoch !== entry.epoch) return room;
  marks.note(room.id, room.read);
  if (room.read >= room.head) return { ...room, unread: 0, mentions: 0 };
  const read = between(room.id, entry.read, room.read);
  if (!read) recountSoon(room.id);
  return read ? { ...room, ...less(room, read) } : room;
}

/** What is unread may be other messages than were counted: it is counted in those that are held, or else, where the change
 *  `matters`, by the server. @param {string} id @param {boolean} matters */
export function recount(id, matters) {
  const room = state.rooms.value.get(id);
  const exact = room && between(id, room.read, Math.max(room.head, threads.opened(id)?.timeline.head ?? 0));
  if (exact) state.updateRoom(id, { unread: exact.unread, mentions: Math.min(exact.mentions, MOST_MENTIONS) });
  else if (room && matters) recountSoon(id);
}

/** The unread messages of others among those of low < seq <= high; null where they are not all held.
 *  @param {string} id @param {number} low @param {number} high @returns {Counts | null} */
function between(id, low, high) {
  const timeline = threads.opened(id)?.timeline;
  if (low >= high) return { unread: 0, mentions: 0 };
  if (!timeline?.holds(low + 1, high)) return null;
  return counted(timeline.rows.slice(timeline.indexOf(low + 1), timeline.indexOf(high + 1)));
}

/** @param {{kind?: string, type?: string, from: string, deleted?: number, mentions?: string[]}[]} messages @returns {Counts} */
function counted(messages) {
  const me = state.me.value;
  const others = messages.filter(({ kind, type, from, deleted }) => (kind ?? type) === "message" && from !== me && deleted === undefined);
  const named = others.filter(({ from, mentions }) => mentions?.includes(me) && state.relations.value.get(from) !== "blocked");
  return { unread: others.length, mentions: named.length };
}

// ------------------------------------------------------------------------------------------------ counting by the server

/** @type {Set<string>} */
const uncounted = new Set();
let timer = 0;

/** @param {string} id */
function recountSoon(id) {
  uncounted.add(id);
  timer ||= setTimeout(countAll, COUNT_AFTER_MS);
}

/** Room by room, so that requests are one at a time. */
async function countAll() {
  for (const id of uncounted) {
    uncounted.delete(id);
    try {
      await count(id);
    } catch {
      // The next list tells.
    }
  }
  timer = 0;
  if (uncounted.size) timer = setTimeout(countAll, COUNT_AFTER_MS);
}

/** @param {string} id */
async function count(id) {
  const before = state.rooms.value.get(id);
  if (!before) return;
  let after = before.read, head = 0, unread = 0, mentions = 0;
  for (let pages = 0; ; pages++) {
    if (pages === MOST_PAGES) return;
    const page = await ask({ type: "history", room: id, messages: true, after, limit: PAGE });
    const found = counted(page.entries);
    unread += found.unread;
    mentions += found.mentions;
    head = page.head;
    if (page.next === undefined) break;
    after = page.next;
  }
  const now = state.rooms.value.get(id);
  if (!now || now.read !== before.read) return; // The user reads on, and that counts too.
  const live = between(id, head, now.head);
  if (live) state.updateRoom(id, { unread: unread + live.unread, mentions: Math.min(mentions + live.mentions, MOST_MENTIONS) });
}

/** The room's log is another one, whose seqs may be lower. @param {string} id */
export const restarted = (id) => marks.forget(id);

/** Another user signs in. */
export function forgetAll() {
  marks.forgetAll();
  uncounted.clear();
}
