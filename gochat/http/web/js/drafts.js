// @ts-check
// Texts that were begun in a room and not sent, kept by this browser, for each user and room.

import { signal } from "./html.js";
import { shared } from "./storage.js";

/** The rooms in which the user has begun something. @type {import("../vendor/signals.mjs").Signal<Set<string>>} */
export const drafted = signal(new Set());

/** @param {string} user @param {string} room */
const slot = (user, room) => `gochat.draft.${user}.${room}`;

/** @param {string} user @param {string} room */
export const draftOf = (user, room) => shared.get(slot(user, room)) ?? "";

/** @param {string} user @param {string} room @param {string} text */
export function keepDraft(user, room, text) {
  if (text) shared.set(slot(user, room), text); else shared.remove(slot(user, room));
  if (drafted.value.has(room) !== Boolean(draftOf(user, room))) readDrafts(user);
}

/** Calls `take` with what another tab of the browser makes of the room's draft, or of the edit of one of its messages, until the
 *  returned function is called: a tab that kept its own text would write it over that one. @param {string} user @param {string} room
 *  @param {number | undefined} seq The message that is edited @param {(text: string) => void} take */
export function followDraft(user, room, seq, take) {
  const name = seq === undefined ? slot(user, room) : editSlot(user, room, seq);
  const heard = (/** @type {StorageEvent} */ { key, newValue }) => {
    if (key !== name || (newValue === null && seq !== undefined)) return; // An edit that is over says nothing of this tab's.
    take(newValue ?? "");
    readDrafts(user);
  };
  addEventListener("storage", heard);
  return () => removeEventListener("storage", heard);
}

/** The rooms of the user's drafts, or of other texts whose names begin so. Ids may hold dots, so that a draft of kim.lee begins like
 *  one of kim; but its rest is no room. @param {string} user */
function roomsOf(user, begins = slot(user, "")) {
  return shared.names().filter((name) => name.startsWith(begins)).map((name) => name.slice(begins.length)).filter((room) => /^(dm|group):/.test(room));
}

/** Looks where the user has begun something. @param {string} user */
const readDrafts = (user) => { drafted.value = new Set(roomsOf(user)); };

/** The private chats in which the user has begun something: no list of the server has those that are nothing but begun. @param {string} user */
export function begun(user) {
  readDrafts(user);
  return [...drafted.value].filter((room) => room.startsWith("dm:"));
}

/** @param {string} user @param {string} room @param {number} seq */
const editSlot = (user, room, seq) => `gochat.edit.${user}.${room}#${seq}`;

/** The text to which the user began to change a message; null: none. @param {string} user @param {string} room @param {number} seq */
export const editOf = (user, room, seq) => shared.get(editSlot(user, room, seq));

/** @param {string} user @param {string} room @param {number} seq @param {string | null} text null: it was sent, or given up. */
export function keepEdit(user, room, seq, text) {
  if (text === null) shared.remove(editSlot(user, room, seq)); else shared.set(editSlot(user, room, seq), text);
}

/** Forgets all that the user began to write. @param {string} user */
export function forgetDrafts(user) {
  for (const room of roomsOf(user)) shared.remove(slot(user, room));
  const edits = `gochat.edit.${user}.`;
  for (const message of roomsOf(user, edits)) shared.remove(edits + message);
  readDrafts(user);
}
