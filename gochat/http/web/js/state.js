// @ts-check
// The page's knowledge as signals: views read them, frames and actions change them.
import { computed, signal } from "./html.js";
import { byLatest, listed } from "./rooms.js";

/** @typedef {import("./rooms.js").Room} Room */
/** @typedef {{user: string, name: string, room: string, head: number, last: {body: string, ts: number}}} ChatRequest */
/** @typedef {"signed-out" | "connecting" | "online" | "offline" | "ended"} Phase */

export const me = signal("");
export const status = signal(/** @type {{phase: Phase, retryAt?: number, why?: string}} */ ({ phase: "signed-out" }));
export const limits = signal({ body_chars: 4000 });
export const rooms = signal(/** @type {Map<string, Room>} */ (new Map()));
export const requests = signal(/** @type {ChatRequest[]} */ ([]));
/** The user's relations to others: contact, blocked, declined, request; none is left out. */
export const relations = signal(/** @type {Map<string, string>} */ (new Map()));
export const openRoom = signal("");
/** The message that the composer of the open room answers or edits. */
export const draftTarget = signal(/** @type {{kind: "reply" | "edit", row: import("./timeline.js").Row} | null} */ (null));
/** The dialog that is open, and what it is about. */
export const dialog = signal(/** @type {{name: string, [field: string]: any} | null} */ (null));
/** The last failure, for people to read. */
export const trouble = signal("");
/** The newest message of the open room, for screen readers: rows of a virtual list come and go, so that is no live region. */
export const spoken = signal("");

export const room = computed(() => rooms.value.get(openRoom.value));
export const roomList = computed(() => listed([...rooms.value.values()].sort(byLatest), openRoom.value));
export const unread = computed(() => [...rooms.value.values()].reduce((sum, each) => sum + each.unread, 0) + requests.value.length);

/** @param {string} id @param {Partial<Room>} change */
export function updateRoom(id, change) {
  const before = rooms.value.get(id);
  if (!before) return;
  rooms.value = new Map(rooms.value).set(id, { ...before, ...change });
}

/** @param {Room} added */
export const addRoom = (added) => { rooms.value = new Map(rooms.value).set(added.id, added); };

/** @param {string} id */
export function removeRoom(id) {
  const rest = new Map(rooms.value);
  rest.delete(id);
  rooms.value = rest;
}

/** @param {unknown} error */
export const tell = (error) => { trouble.value = error instanceof Error ? error.message : String(error); };
