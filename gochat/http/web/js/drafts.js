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

/** Looks where the user has begun something. @param {string} user */
function readDrafts(user) {
  const begins = slot(user, "");
  drafted.value = new Set(shared.names().filter((name) => name.startsWith(begins)).map((name) => name.slice(begins.length)));
}

/** The private chats in which the user has begun something: no list of the server has those that are nothing but begun. @param {string} user */
export function begun(user) {
  readDrafts(user);
  return [...drafted.value].filter((room) => room.startsWith("dm:"));
}

/** Forgets all that the user began to write. @param {string} user */
export function forgetDrafts(user) {
  for (const name of shared.names()) if (name.startsWith(slot(user, ""))) shared.remove(name);
  readDrafts(user);
}
