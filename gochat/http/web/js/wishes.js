// @ts-check
// The user's wishes for notifications: rooms that are silent, hours that are quiet. The server keeps them for all devices.
import { signal } from "./html.js";
import { present } from "./time.js";
import { ask } from "./wire.js";

/** @typedef {{channels: string[], quiet?: string, tz?: string, mentions?: boolean, rooms: {room: string, until?: number}[]}} Wishes */

export const wishes = signal(/** @type {Wishes} */ ({ channels: [], rooms: [] }));

/** Asks, and changes what `change` names. Rejects with the reason. @param {Record<string, any>} [change] */
export async function wish(change = {}) {
  wishes.value = await ask({ type: "notify", ...change });
}

/** Silences a room; `hours` 0: for good. @param {string} room @param {number} hours */
export const silence = (room, hours) => wish({ room, ...(hours ? { until: Date.now() + hours * 3_600_000 } : {}) });
/** A time that has passed ends it. @param {string} room */
export const unsilence = (room) => wish({ room, until: 1 });

/** @param {string} from @param {string} to Both "HH:MM"; empty: no quiet hours. */
export const beQuiet = (from, to) => wish(from && to
  ? { quiet: `${from}-${to}`, tz: Intl.DateTimeFormat().resolvedOptions().timeZone }
  : { quiet: "" });

/** @param {string} room */
export const isSilent = (room) => wishes.value.rooms.some((each) => each.room === room && (each.until ?? Infinity) > present());

/** Whether a notice would disturb now. @param {string} room @param {boolean} mentioned */
export const isQuiet = (room, mentioned) => (isSilent(room) && !(mentioned && wishes.value.mentions)) || withinQuiet(wishes.value, new Date());

/** @param {{quiet?: string, tz?: string}} wanted @param {Date} now */
export function withinQuiet({ quiet, tz }, now) {
  if (!quiet) return false;
  const [from, to] = quiet.split("-");
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: tz || undefined }).format(now);
  return from <= to ? from <= clock && clock < to : from <= clock || clock < to;
}
