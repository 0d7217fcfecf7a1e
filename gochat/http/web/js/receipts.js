// @ts-check
// Tells the server what has come to this device: of each room the latest, once a second at most. What is read at once
// needs no word of its own.
import { ask } from "./wire.js";

const EVERY_MS = 1_000;

/** By room, the seq that is still to be told. @type {Map<string, number>} */
const waiting = new Map();
let timer = 0;

/** @param {string} room @param {number} seq */
export function got(room, seq) {
  waiting.set(room, Math.max(waiting.get(room) ?? 0, seq));
  if (!timer) timer = setTimeout(tell, EVERY_MS);
}

/** @param {string} room */
export const read = (room) => waiting.delete(room);

function tell() {
  timer = 0;
  for (const [room, seq] of waiting) ask({ type: "got", room, seq }).catch(() => {}); // Without a connection the next page tells.
  waiting.clear();
}
