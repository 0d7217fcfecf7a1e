// @ts-check
// Tells the server what has come to this device. Facts that are read at once need no word of their own.
import { Confirmed } from "./confirmed.js";
import { ask } from "./wire.js";

const confirmed = new Confirmed((frame) => ask(frame).catch(() => {})); // Without a connection the next page tells.

/** @param {string} room @param {number} seq */
export const got = (room, seq) => confirmed.note(room, seq);

/** @param {string} room */
export const read = (room) => confirmed.forget(room);

/** The room's log is another one, whose seqs may be lower. @param {string} room */
export const restarted = (room) => confirmed.forget(room);

/** Another user signs in. */
export const forgetAll = () => confirmed.forgetAll();
