// @ts-check
// Reading without a connection. The newest messages of each room are kept in this browser with the place in the room's log
// that they reach, so that the next connection goes on from there. Messages on their way are never kept: whether the server
// has them is known to the server alone.
import { begun } from "./drafts.js";
import { t } from "./l10n.js";
import * as names from "./names.js";
import * as receipts from "./receipts.js";
import { blank } from "./rooms.js";
import * as state from "./state.js";
import * as threads from "./threads.js";
import * as unsent from "./unsent.js";
import * as vault from "./vault.js";

/** So many of a room's newest rows are kept. */
const KEPT_ROWS = 200;
/** Rooms whose newest page is read ahead, those with the latest messages first. */
const READ_AHEAD = 40;
const SAVE_AFTER_MS = 1_000;
/** A browser whose IndexedDB does not answer must not keep anybody from signing in. */
const PATIENCE_MS = 1_500;
/** A room with more news than this is begun anew: its newest page costs less than all that was missed. */
const RESUME_WITHIN = 250;

/** @typedef {{seq: number, epoch: string | null}} Place */

let user = "";
/** Whether the server has said that the user is this one; nothing is shown, written or wiped before. */
let confirmed = false;
/** When the sign-in ends, in ms since the epoch; 0: unknown. */
let ends = 0;
/** The data that was kept, until the user is confirmed. @type {{person: any, rooms: any[]} | null} */
let withheld = null;
/** The places of rooms that the server has not told of yet. @type {Map<string, Place>} */
let unclaimed = new Map();
/** Rooms that have changed since they were written. @type {Set<string>} */
const dirty = new Set();
/** @type {Set<string>} */
const gone = new Set();
let timer = 0;
/** @type {(room: string) => (Place | null)} */
let placeOf = () => null;

/** Begins to keep what the user reads, and shows what was kept before: at once where the server has confirmed the user
 *  before, otherwise when it does. `place` tells the place of a room that is level with its log. Resolves when what was
 *  kept is read, or soon.
 *  @param {import("./credential.js").Credential} credential @param {(room: string) => (Place | null)} place */
export async function begin(credential, place) {
  user = credential.user;
  confirmed = credential.confirmed ?? false;
  ends = credential.expires;
  placeOf = place;
  withheld = null;
  const began = unclaimed = new Map();
  dirty.clear();
  gone.clear();
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const kept = await Promise.race([vault.read(user), late]);
  if (!kept || unclaimed !== began || state.status.value.phase === "online") return;
  withheld = kept;
  if (confirmed) reveal();
}

/** The server has named the user. @param {import("./credential.js").Credential} credential */
export function confirm(credential) {
  if (credential.user !== user) withheld = null;
  user = credential.user;
  confirmed = true;
  ends = credential.expires;
  reveal();
  saveSoon();
}

function reveal() {
  if (!withheld) return;
  const { person, rooms } = withheld;
  withheld = null;
  names.remember(person.names);
  const all = new Map(rooms.map((each) => [each.id, each.room]));
  for (const room of begun(user)) if (!all.has(room)) all.set(room, names.titled(blank(room, user)));
  state.remember(user, all, person);
  for (const { id, place: reached, from, rows } of rooms) {
    unclaimed.set(id, reached);
    threads.restore(id, rows, from, reached.seq);
  }
}

/** The place to go on from in a room that the server lists, if there is one and it is of use. Otherwise what was kept of
 *  the room goes. @param {{room: string, epoch?: string, head?: number}} entry @returns {Place | null} */
export function claim({ room, epoch, head }) {
  const place = unclaimed.get(room);
  if (!place || head === undefined) return null;
  unclaimed.delete(room);
  // A list may be some facts older than what was kept: in the same log that is no reason to begin anew. A place
  // without an epoch, of an earlier version, may be of any.
  const same = epoch === undefined ? place.seq <= head : place.epoch === epoch;
  if (same && head - place.seq <= RESUME_WITHIN) return place;
  state.updateRoom(room, { head: 0, ...(same ? {} : { read: 0 }), unread: 0, last: undefined });
  threads.restart(room, head);
  return null;
}

/** All lists were read: rooms that stand in none are no longer the user's to read, here neither; but for those that the
 *  server can't read itself. @param {Set<string>} unreadable */
export function dropUnclaimed(unreadable) {
  for (const room of [...unclaimed.keys()]) {
    if (unreadable.has(room)) continue;
    unclaimed.delete(room);
    drop(room);
  }
  // Without its room a message could be neither seen nor given up.
  for (const room of unsent.roomsOf(user)) if (!state.rooms.value.has(room) && !unreadable.has(room)) dropUnsent(room);
}

/** Gives up what was not sent to the room, and tells it. @param {string} room */
function dropUnsent(room) {
  const text = unsent.drop(user, room).join(" ");
  if (!text) return;
  const lost = t("room-is-gone", { title: state.rooms.value.get(room)?.title ?? room.replace("group:", ""), text });
  state.trouble.value = [state.trouble.value, lost].filter(Boolean).join(" ");
}

/** @param {string} room */
function drop(room) {
  dropUnsent(room);
  state.removeRoom(room);
  threads.drop(room);
  dirty.delete(room);
  if (state.openRoom.value === room) state.openRoom.value = "";
  gone.add(room);
  saveSoon();
}

/** The data kept of the room is of no use; what is read of it from now on is kept. @param {string} room */
export function forgetRoom(room) {
  gone.add(room);
  touch(room);
}

/** Something has changed in the room. @param {string} room */
export function touch(room) {
  dirty.add(room);
  saveSoon();
}

function saveSoon() {
  if (!timer) timer = setTimeout(save, SAVE_AFTER_MS);
}

/** Writes what has changed. A room that is not level with its log, or is shown at an earlier place, stays as it was kept
 *  until a later save: rows and place always agree. */
export function save() {
  clearTimeout(timer);
  timer = 0;
  if (!user || !confirmed || user !== state.me.value) return;
  const records = [...dirty].map(record).filter((each) => each !== null);
  for (const { id } of records) dirty.delete(id);
  const person = { user, ends, requests: state.requests.value, relations: state.relations.value, limits: state.limits.value, names: names.kept() };
  const left = [...gone];
  gone.clear();
  vault.write(person, records, left);
}

/** @param {string} id */
function record(id) {
  const room = state.rooms.value.get(id);
  const timeline = threads.opened(id)?.timeline;
  const place = placeOf(id);
  if (!room || !place || !timeline?.loaded || timeline.to !== place.seq) return null;
  const rows = timeline.rows.slice(-KEPT_ROWS).map(({ rev, state: _, why, ...row }) => row);
  const from = timeline.rows.length > KEPT_ROWS ? rows[0].seq : timeline.from;
  return { user, id, room: { ...room, typing: {}, online: false }, place, from, rows };
}

/** Reads the newest page of the rooms with the latest messages, one after the other. */
export async function readAhead() {
  const who = user;
  const latest = [...state.rooms.value.values()].filter((room) => room.head > 0).sort((one, other) => (other.last?.ts ?? 0) - (one.last?.ts ?? 0));
  for (const room of latest.slice(0, READ_AHEAD)) {
    if (user !== who || state.status.value.phase !== "online") return;
    const thread = threads.thread(room.id);
    if (thread.timeline.loaded) continue;
    thread.timeline.head = Math.max(thread.timeline.head, room.head);
    await threads.older(room.id);
    if (room.unread) receipts.got(room.id, thread.timeline.to);
    touch(room.id);
  }
}

/** Forgets what is kept of users whose sign-in has ended since. */
export const forgetEnded = () => vault.clearEnded(Date.now());

/** Forgets all that is kept of the user who is signed in. Of a user whom the server has not confirmed nothing goes: anybody
 *  can make up a token that says a name. */
export function forget() {
  clearTimeout(timer);
  timer = 0;
  const who = confirmed ? user : "";
  user = "";
  confirmed = false;
  withheld = null;
  dirty.clear();
  unclaimed = new Map();
  return who ? vault.clear(who) : Promise.resolve(null);
}

addEventListener("pagehide", save);
