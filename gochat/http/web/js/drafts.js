// @ts-check
// Texts that were begun in a room and not sent, kept by this browser, for each user and room.

import { signal } from "./html.js";

/** The rooms in which the user has begun something. @type {import("../vendor/signals.mjs").Signal<Set<string>>} */
export const drafted = signal(new Set());

/** @param {string} user @param {string} room */
const slot = (user, room) => `gochat.draft.${user}.${room}`;

/** @param {string} user @param {string} room */
export const draftOf = (user, room) => localStorage.getItem(slot(user, room)) ?? "";

/** @param {string} user @param {string} room @param {string} text */
export function keepDraft(user, room, text) {
  try {
    if (text) localStorage.setItem(slot(user, room), text); else localStorage.removeItem(slot(user, room));
  } catch {
    // The browser's space is full, or closed to pages: the draft lives in the field alone.
  }
  if (drafted.value.has(room) !== Boolean(draftOf(user, room))) readDrafts(user);
}

/** Looks where the user has begun something. @param {string} user */
function readDrafts(user) {
  const begins = slot(user, "");
  drafted.value = new Set(Object.keys(localStorage).filter((name) => name.startsWith(begins)).map((name) => name.slice(begins.length)));
}

/** The private chats in which the user has begun something: no list of the server has those that are nothing but begun. @param {string} user */
export function begun(user) {
  readDrafts(user);
  return [...drafted.value].filter((room) => room.startsWith("dm:"));
}

/** Forgets all that the user began to write. @param {string} user */
export function forgetDrafts(user) {
  for (const name of Object.keys(localStorage)) if (name.startsWith(slot(user, ""))) localStorage.removeItem(name);
  readDrafts(user);
}
