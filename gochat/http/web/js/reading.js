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
/** Messages of one page of a count, and pages: where more are to be counted the count stays as it is. */
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
    isExact(room.id);
    state.updateRoom(room.id, { read: seq, unread: 0, mentions: 0 });
    return;
  }
  const read = uncounted.has(room.id) ? null : between(room.id, room.read, seq); // The count that is to come holds this too.
  state.updateRoom(room.id, { read: seq, ...(read && less(room, read)) });
  recount(room.id, read === null, room.read);
}

/** @param {Room} room @param {Counts} read @returns {Counts} */
const less = (room, read) => ({ unread: Math.max(0, room.unread - read.unread), mentions: Math.max(0, room.mentions - read.mentions) });

/** The room as a list tells of it now. Where the user had read further on this page, that has not come to the server: it is
 *  told again, and counts as read. @param {Room} room @param {any} entry @param {Room | undefined} before @returns {Room} */
export function settled(room, entry, before) {
  if (entry.unread !== undefined) isExact(room.id);
  if (entry.read === undefined || room.read <= entry.read || before?.epoch === undefined || before.epoch !== entry.epoch) return room;
  marks.note(room.id, room.read);
  if (room.read >= room.head) return { ...room, unread: 0, mentions: 0 };
  const read = between(room.id, entry.read, room.read);
  if (!read) recountSoon(room.id, entry.read);
  return read ? { ...room, ...less(room, read) } : room;
}

/** The unread messages may be others than were counted: it is counted in those that are held, or else, where the change
 *  `matters`, by the server. @param {string} id @param {boolean} matters @param {number} [from] The position up to which the
 *  count that there is leaves out what was read; none: what is counted is no longer what it was */
export function recount(id, matters, from) {
  const room = state.rooms.value.get(id);
  const exact = room && between(id, room.read, Math.max(room.head, threads.opened(id)?.timeline.head ?? 0));
  if (exact) {
    isExact(id);
    state.updateRoom(id, { unread: exact.unread, mentions: Math.min(exact.mentions, MOST_MENTIONS) });
  } else if (room && matters) recountSoon(id, from);
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

/** Rooms to count, with the position up to which the count that there is leaves out what was read; undefined: it holds no more.
 *  @type {Map<string, number | undefined>} */
const uncounted = new Map();
let timer = 0;
/** The room of which it is being counted what was read. */
let counting = "";

/** The count is right as it is: nothing is to be taken from it. @param {string} id */
function isExact(id) {
  uncounted.delete(id);
  if (counting === id) counting = "";
}

/** A count of more than this would be given up in the end, and so is not begun. */
const MOST = PAGE * MOST_PAGES;

/** How many messages may be unread. @param {Room} room */
const mayBeUnread = ({ unread, head, read }) => Math.min(unread, head - read);

/** @param {string} id @param {number} [from] */
function recountSoon(id, from) {
  const room = state.rooms.value.get(id);
  if (from === undefined && room && mayBeUnread(room) > MOST) return;
  uncounted.set(id, uncounted.has(id) ? least(uncounted.get(id), from) : from);
  timer ||= setTimeout(countAll, COUNT_AFTER_MS);
}

/** @param {number | undefined} one @param {number | undefined} other */
const least = (one, other) => (one === undefined || other === undefined ? undefined : Math.min(one, other));

/** Room by room, so that requests are one at a time. Changes that come meanwhile are for the next time. */
async function countAll() {
  const now = [...uncounted];
  uncounted.clear();
  for (const [id, from] of now) {
    try {
      await count(id, from);
    } catch {
      // The next list tells.
    }
  }
  timer = 0;
  if (uncounted.size) timer = setTimeout(countAll, COUNT_AFTER_MS);
}

/** Counts what is unread; or what was read since `from`, where that is less. @param {string} id @param {number} [from] */
async function count(id, from) {
  const before = state.rooms.value.get(id);
  if (!before) return;
  const few = from !== undefined && before.read - from < mayBeUnread(before);
  const low = few ? from : before.read;
  const high = few ? before.read : Infinity;
  if ((few ? high - low : mayBeUnread(before)) > MOST) return;
  counting = few ? id : "";
  let after = low, head = 0, unread = 0, mentions = 0;
  for (let pages = 0; ; pages++) {
    if (pages === MOST_PAGES) return;
    const page = await ask({ type: "history", room: id, messages: true, after, limit: Math.min(PAGE, high - after) });
    const found = counted(page.entries.filter((/** @type {{seq: number}} */ { seq }) => seq <= high));
    unread += found.unread;
    mentions += found.mentions;
    head = page.head;
    if (page.next === undefined || page.next >= high) break;
    after = page.next;
  }
  const now = state.rooms.value.get(id);
  if (!now) return;
  if (few) {
    // It was read, whatever is read or comes meanwhile, but for where the count was made right.
    if (counting === id) state.updateRoom(id, less(now, { unread, mentions }));
    return;
  }
  if (now.read !== before.read) {
    recountSoon(id); // The user reads on, and that counts too.
    return;
  }
  const live = between(id, head, now.head);
  if (live) state.updateRoom(id, { unread: unread + live.unread, mentions: Math.min(mentions + live.mentions, MOST_MENTIONS) });
}

/** The room's log is another one, whose seqs may be lower. @param {string} id */
export function restarted(id) {
  marks.forget(id);
  isExact(id);
}

/** Another user signs in. */
export function forgetAll() {
  marks.forgetAll();
  uncounted.clear();
  counting = "";
}
