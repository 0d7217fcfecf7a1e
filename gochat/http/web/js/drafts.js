// @ts-check
// Texts that were begun in a room and not sent, kept by this browser, for each user and room.

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
}

/** Forgets all that the user began to write. @param {string} user */
export function forgetDrafts(user) {
  for (const name of Object.keys(localStorage)) if (name.startsWith(slot(user, ""))) localStorage.removeItem(name);
}
