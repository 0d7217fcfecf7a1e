// @ts-check
// The timelines of the rooms that were opened, and how they are filled from the log.
import { signal } from "./html.js";
import { PAGE } from "./positions.js";
import { higher, latestJoined } from "./rooms.js";
import * as state from "./state.js";
import { Timeline, rowId } from "./timeline.js";
import { queueOf } from "./unsent.js";
import { Refused, ask } from "./wire.js";

/** Texts of messages that replies quote and that are not held; with more of them all are read again. */
const MOST_QUOTES = 200;
/** Threads beyond these are let go, the one not looked at for longest first. */
const MOST_THREADS = 60;

/** @typedef {import("./timeline.js").Row} Row */

export class Thread {
  /** @param {string} room @param {string} me */
  constructor(room, me) {
    this.room = room;
    this.timeline = new Timeline(me, queueOf(me, room));
    /** Rises with each change, for views to subscribe to. */
    this.version = signal(0);
    this.loading = signal(false);
    /** Resolves when what is being read is there, or can't be had. @type {Promise<void>} */
    this.running = Promise.resolve();
    this.failed = signal("");
    /** The first message that was unread when the room was opened; 0: none. */
    this.firstUnread = 0;
    /** By seq, messages that replies quote and that are not held; undefined while they are read. @type {Map<number, Row | undefined>} */
    this.quotes = new Map();
    /** Where the view is to go next: a seq, or Infinity for the end; each jump is another object. */
    this.goal = signal(/** @type {{seq: number} | null} */ (null));
  }

  changed() { this.version.value++; }

  /** The message of that seq, to be quoted, as far as it is known. @param {number} seq */
  quoted(seq) { return this.timeline.bySeq.get(seq) ?? this.quotes.get(seq); }
}

/** @type {Map<string, Thread>} The one that was looked at last stands last. */
const threads = new Map();

/** @param {string} room @returns {Thread} */
export function thread(room) {
  let found = threads.get(room);
  if (!found) threads.set(room, found = new Thread(room, state.me.value));
  return found;
}

/** The room is looked at: its thread is the last to be let go. @param {string} room @returns {Thread} */
export function visit(room) {
  const found = thread(room);
  threads.delete(room);
  threads.set(room, found);
  for (const [id, old] of threads) {
    if (threads.size <= MOST_THREADS) break;
    if (!old.timeline.pending.length) threads.delete(id);
  }
  return found;
}

/** The thread, where the room was opened. @param {string} room */
export const opened = (room) => threads.get(room);
export const forgetAll = () => threads.clear();

/** Shows what was kept of a room. @param {string} room @param {import("./timeline.js").Row[]} rows @param {number} from @param {number} to */
export const restore = (room, rows, from, to) => thread(room).timeline.restore(rows, from, to);

/** @param {string} room */
export const drop = (room) => { threads.delete(room); };

/** Reads a message that a reply quotes, where it is not held. @param {string} room @param {number} seq */
export async function readQuoted(room, seq) {
  const found = thread(room);
  if (found.timeline.bySeq.has(seq) || found.quotes.has(seq) || state.status.value.phase !== "online") return;
  if (found.quotes.size >= MOST_QUOTES) found.quotes.clear();
  found.quotes.set(seq, undefined);
  try {
    const { entries } = await ask({ type: "history", room, before: seq + 1, limit: 1 });
    const [fact] = entries;
    if (fact?.type === "message" && fact.seq === seq && found.quotes.has(seq)) {
      found.quotes.set(seq, { ...fact, id: rowId(fact), kind: "message", rev: 0 });
      found.changed();
    }
  } catch {
    found.quotes.delete(seq); // It is read when the row is drawn the next time.
  }
}

/** The room's log is another one, or what lies between is lost: what is held goes. @param {string} room @param {number} head */
export function restart(room, head) {
  const found = threads.get(room);
  if (!found) return;
  found.timeline.clear();
  found.quotes.clear();
  found.timeline.head = head;
  found.firstUnread = 0;
  found.changed();
  state.aim(null, room);
  if (state.openRoom.value === room) idle(found).then(() => older(room));
}

/** The user comes back to the room: what is unread begins here. @param {Thread} found */
export function fromHere(found) {
  const room = state.rooms.value.get(found.room);
  if (!room?.unread) return;
  found.firstUnread = room.read + 1;
  found.changed();
}

/** There is a connection again: the open room reads what it could not. After another sign-in of the user its thread is a new one. */
export function goOn() {
  const room = state.room.value;
  if (!room) return;
  const found = thread(room.id);
  const { timeline } = found;
  fromHere(found);
  if (!timeline.loaded) {
    timeline.head = Math.max(timeline.head, room.head);
    if (timeline.head) open(room.id, found.firstUnread);
  }
  found.changed();
}

/** Waits until nothing is being read. @param {Thread} found */
async function idle(found) {
  while (found.loading.value) await found.running;
}

/** Reads what comes before what is held; the newest page where nothing is. @param {string} room */
export function older(room) {
  const { timeline } = thread(room);
  if (timeline.loaded && timeline.complete) return Promise.resolve();
  const before = timeline.loaded ? timeline.from : timeline.head + 1;
  return load(room, { before }, (page) => timeline.prepend(page.entries, before, page.head));
}

/** Reads what comes after what is held, where that does not reach the head. @param {string} room */
export function newer(room) {
  const { timeline } = thread(room);
  if (timeline.attached) return Promise.resolve();
  return load(room, { after: timeline.to }, (page) => timeline.extend(page.entries, page.head));
}

/** Shows a message, wherever in the log it stands. @param {string} room @param {number} seq */
export async function jumpTo(room, seq) {
  await readAround(room, seq, { seq });
}

/** Reads what a room is opened at: its first unread message, or with 0 the end, unless something of it is held.
 *  @param {string} room @param {number} firstUnread */
export async function open(room, firstUnread) {
  const { timeline } = thread(room);
  if (!timeline.loaded && !(firstUnread && timeline.head - firstUnread >= PAGE)) await older(room);
  if (firstUnread) await readAround(room, firstUnread);
}

/** Reads the page around a message that is not held, in place of what is.
 *  @param {string} room @param {number} seq @param {{seq: number}} [goal] where the view goes then */
async function readAround(room, seq, goal) {
  const found = thread(room);
  const { timeline } = found;
  if (!timeline.holds(seq, seq)) await idle(found);
  const held = timeline.holds(seq, seq);
  if (!held && state.status.value.phase !== "online") return; // There is no more than what is held.
  if (!held) timeline.clear();
  if (goal) found.goal.value = goal;
  if (held) return;
  found.changed();
  const before = Math.min((timeline.head || Infinity) + 1, seq + PAGE / 2);
  await load(room, { before }, (page) => timeline.prepend(page.entries, before, page.head));
}

/** Goes to the live end. @param {string} room */
export async function jumpToEnd(room) {
  const found = thread(room);
  if (!found.timeline.attached) await idle(found);
  const { attached } = found.timeline;
  if (!attached) found.timeline.clear();
  found.goal.value = { seq: Infinity };
  if (attached) return;
  found.changed();
  await older(room);
}

/** Reads a page, where none is being read; otherwise that one is waited for. @param {string} room
 *  @param {{before?: number, after?: number}} bound @param {(page: any) => void} take @returns {Promise<void>} */
function load(room, bound, take) {
  const found = thread(room);
  if (!found.loading.value && state.status.value.phase === "online") found.running = read(found, bound, take);
  return found.running;
}

/** @param {Thread} found @param {{before?: number, after?: number}} bound @param {(page: any) => void} take */
async function read(found, bound, take) {
  const { room, timeline: { clears } } = found;
  found.loading.value = true;
  found.failed.value = "";
  found.timeline.meanwhile = [];
  try {
    const page = await ask({ type: "history", room, limit: PAGE, ...bound });
    if (found.timeline.clears !== clears) return;
    found.timeline.head = Math.max(found.timeline.head, page.head);
    const known = state.rooms.value.get(room);
    if (known) {
      const { readBy, gotBy, joined } = known;
      state.updateRoom(room, { readBy: higher(readBy, page.reads), gotBy: higher(gotBy, page.got), joined: latestJoined(joined, page.joined) });
    }
    take(page);
  } catch (error) {
    if (error instanceof Refused) found.failed.value = error.message;
  } finally {
    found.timeline.meanwhile = null;
    found.loading.value = false;
    found.changed();
  }
}
