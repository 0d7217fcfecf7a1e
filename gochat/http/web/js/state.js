// @ts-check
// The page's knowledge as signals: views read them, frames and actions change them.
import { drafted } from "./drafts.js";
import { batch, computed, signal } from "./html.js";
import { byLatest, listed } from "./rooms.js";
import { roomsOf } from "./unsent.js";

/** @typedef {import("./rooms.js").Room} Room */
/** @typedef {{user: string, name: string, room: string, head: number, last: import("./rooms.js").Last}} ChatRequest */
/** @typedef {"signed-out" | "connecting" | "online" | "offline" | "ended"} Phase */

export const me = signal("");
export const status = signal(/** @type {{phase: Phase, retryAt?: number, why?: string}} */ ({ phase: "signed-out" }));
export const limits = signal({ body_chars: 4000 });
export const rooms = signal(/** @type {Map<string, Room>} */ (new Map()));
export const requests = signal(/** @type {ChatRequest[]} */ ([]));
/** The user's relations to others: contact, blocked, declined, request; none is left out. */
export const relations = signal(/** @type {Map<string, string>} */ (new Map()));
export const openRoom = signal("");
/** The room whose end is on the screen: what comes there is seen. */
export const endShown = signal("");
/** @typedef {{kind: "reply" | "edit", row: import("./timeline.js").Row}} Target */
/** By room, the message that its composer answers or edits: a visit to another room changes nothing of it. */
export const targets = signal(/** @type {Map<string, Target>} */ (new Map()));
export const draftTarget = computed(() => targets.value.get(openRoom.value) ?? null);
/** The dialog that is open, and what it is about. */
export const dialog = signal(/** @type {{name: string, [field: string]: any} | null} */ (null));
/** When the sign-in ends, once that is soon; 0: not soon. */
export const endsAt = signal(0);
/** The last failure, for people to read. */
export const trouble = signal("");
/** The newest messages of the open room, for screen readers: rows of a virtual list come and go, so that is no live region. Each is
 *  an object of its own, since what is said twice is read twice. */
export const spoken = signal(/** @type {{id: number, text: string}[]} */ ([]));
/** So many are in the document, where each was read when it came. */
const SPOKEN = 20;

export const room = computed(() => rooms.value.get(openRoom.value));
const begun = () => new Set([...drafted.value, ...roomsOf(me.value)]);
export const roomList = computed(() => listed([...rooms.value.values()].sort(byLatest), openRoom.value, begun()));
export const unread = computed(() => [...rooms.value.values()].reduce((sum, each) => sum + each.unread, 0) + requests.value.length);

/** @param {string} id @param {Partial<Room>} change */
export function updateRoom(id, change) {
  const before = rooms.value.get(id);
  if (!before) return;
  rooms.value = new Map(rooms.value).set(id, { ...before, ...change });
}

/** Has the composer of the room answer or edit this message, or none. @param {Target | null} target */
export function aim(target, id = openRoom.value) {
  const next = new Map(targets.value);
  if (target) next.set(id, target); else next.delete(id);
  targets.value = next;
}

/** @param {Room} added */
export const addRoom = (added) => { rooms.value = new Map(rooms.value).set(added.id, added); };

/** @param {string} id */
export function removeRoom(id) {
  const rest = new Map(rooms.value);
  rest.delete(id);
  rooms.value = rest;
}

/** Shows what was kept of an earlier connection, until the server tells how things are. @param {string} user
 *  @param {Map<string, Room>} kept @param {{requests: ChatRequest[], relations: Map<string, string>, limits: {body_chars: number}}} person */
export function remember(user, kept, person) {
  batch(() => {
    me.value = user;
    rooms.value = kept;
    requests.value = person.requests;
    relations.value = person.relations;
    limits.value = person.limits;
  });
}

/** Nothing is known of anybody. */
export function clear() {
  batch(() => {
    me.value = "";
    openRoom.value = "";
    endShown.value = "";
    rooms.value = new Map();
    requests.value = [];
    relations.value = new Map();
    targets.value = new Map();
    dialog.value = null;
    endsAt.value = 0;
    trouble.value = "";
    spoken.value = [];
  });
}

let said = 0;
/** Has screen readers read it. @param {string} text */
export const speak = (text) => { spoken.value = [...spoken.value.slice(1 - SPOKEN), { id: said++, text }]; };

/** @param {unknown} error */
export const tell = (error) => { trouble.value = error instanceof Error ? error.message : String(error); };
