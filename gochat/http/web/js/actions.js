// @ts-check
// The actions of a person. A failure is told where it was tried, or in the banner.
import { t } from "./l10n.js";
import { learn, titled, want } from "./names.js";
import * as offline from "./offline.js";
import * as outbox from "./outbox.js";
import { blank, fromEntry, mayBeOf, privateRoom } from "./rooms.js";
import { opened, related, signOut, watch } from "./session.js";
import * as state from "./state.js";
import * as threads from "./threads.js";
import * as unsent from "./unsent.js";
import { Refused, ask, pages, post } from "./wire.js";

const TELL_TYPING_MS = 3_000;
/** A pause that is longer is told, in place of being waited for. */
const LONGEST_WAIT_MS = 10_000;

// ------------------------------------------------------------------------------------------------ rooms

/** Shows a room: at the first unread message, or at its end. @param {string} id */
export function show(id) {
  ifThere(id, () => {
    const { timeline, firstUnread } = enter(id);
    if (timeline.head) threads.open(id, firstUnread).then(() => offline.touch(id));
  });
}

/** Addresses and notices may name any room. A group that is not listed, as while the lists are still being read, is entered when
 *  the server says that it is the user's. @param {string} id @param {() => void} act */
async function ifThere(id, act) {
  const open = state.openRoom.value;
  if (!state.rooms.value.has(id)) {
    try {
      if (!mayBeOf(id, state.me.value)) throw new Error(t("no-such-chat"));
      if (id.startsWith("group:")) await ask({ type: "members", room: id, limit: 1 });
    } catch (error) {
      state.tell(error instanceof Refused && !error.frame.temporary ? new Error(t("no-such-chat")) : error);
      return;
    }
  }
  if (state.openRoom.value === open) act(); // Another chat was not chosen meanwhile.
}

/** Makes the room the open one. The caller says which part of it is shown first. @param {string} id */
function enter(id) {
  const me = state.me.value;
  if (!state.rooms.value.has(id)) state.addRoom(titled(blank(id, me)));
  const room = /** @type {import("./rooms.js").Room} */ (state.rooms.value.get(id));
  const thread = threads.visit(id);
  thread.timeline.head = Math.max(thread.timeline.head, room.head);
  thread.firstUnread = room.unread > 0 ? room.read + 1 : 0;
  state.openRoom.value = id;
  want(room.other);
  if (room.kind === "dm" && room.id !== privateRoom(me, me)) watch();
  return thread;
}

export const closeRoom = () => { state.openRoom.value = ""; };
/** @param {string} user */
export const startWith = (user) => show(privateRoom(state.me.value, user));

/** Shows a message of a room, which may stand far above what is unread. @param {string} id @param {number} seq */
export function showMessage(id, seq) {
  ifThere(id, () => {
    enter(id);
    threads.jumpTo(id, seq).then(() => offline.touch(id));
  });
}

/** The room before or after the open one. @param {number} step */
export function showNeighbour(step) {
  const list = state.roomList.value;
  const index = list.findIndex((room) => room.id === state.openRoom.value);
  const to = list[Math.max(0, Math.min(list.length - 1, index + step))];
  if (to) show(to.id);
}

// ------------------------------------------------------------------------------------------------ messages

/** @param {string} room @param {string} body @param {number} [replyTo] */
export function send(room, body, replyTo) {
  threads.jumpToEnd(room);
  outbox.send(room, body, replyTo);
}

let toldTyping = 0;
/** @param {string} room */
export function tellTyping(room) {
  if (Date.now() - toldTyping < TELL_TYPING_MS) return;
  toldTyping = Date.now();
  post({ type: "typing", room });
}

/** A request that counts as a message, and so may be asked to wait for the one before: it waits, and is tried once more. Rejects
 *  with the reason. @param {import("./client.js").Frame} frame */
async function patiently(frame) {
  try {
    return await ask(frame);
  } catch (error) {
    const wait = error instanceof Refused && error.frame.temporary ? error.frame.retry_after_ms : undefined;
    if (wait === undefined || wait > LONGEST_WAIT_MS) throw error;
    await new Promise((resolve) => setTimeout(resolve, wait));
    return ask(frame);
  }
}

/** Rejects with the reason. @param {string} room @param {number} seq @param {string} body */
export const edit = (room, seq, body) => patiently({ type: "edit", room, seq, body });

/** @param {string} room @param {number} seq */
export const remove = (room, seq) => ask({ type: "delete", room, seq }).catch(state.tell);

/** Adds the reaction, or takes it back where it is there already: the server knows that better than the page.
 *  @param {string} room @param {number} seq @param {string} emoji */
export async function react(room, seq, emoji) {
  const mine = threads.opened(room)?.timeline.bySeq.get(seq)?.mine?.has(emoji) ?? false;
  try {
    const ack = await ask({ type: "react", room, seq, emoji, on: !mine });
    if (ack.duplicate) await ask({ type: "react", room, seq, emoji, on: mine });
  } catch (error) {
    state.tell(error);
  }
}

/** @param {string} room @param {number} seq @param {string} reason */
export const report = (room, seq, reason) => ask({ type: "report", room, seq, ...(reason ? { reason } : {}) });

// ------------------------------------------------------------------------------------------------ people

/** @param {string} user @param {"add" | "remove" | "block" | "unblock" | "accept" | "decline"} action */
export async function relate(user, action) {
  try {
    const ok = await ask({ type: "contact", user, action });
    const request = state.requests.value.find((each) => each.user === user);
    state.requests.value = state.requests.value.filter((each) => each.user !== user);
    related(user, ok.state ?? "none");
    if (action !== "accept") return;
    const room = privateRoom(state.me.value, user);
    if (!state.rooms.value.has(room)) state.addRoom({ ...titled(blank(room, state.me.value)), head: ok.head, last: request?.last });
    opened(room);
    show(room);
  } catch (error) {
    state.tell(error);
  }
}

/** @param {string} q @returns {Promise<{user: string, name: string}[]>} */
export async function searchUsers(q) {
  const { users } = await ask({ type: "search", in: "users", q, limit: 8 });
  learn(users);
  return users;
}

/** @param {string} q @param {string} [cursor] @returns {Promise<{entries: any[], next?: string}>} */
export const searchMessages = (q, cursor) => ask({ type: "search", in: "messages", q, limit: 20, ...(cursor ? { cursor } : {}) });

// ------------------------------------------------------------------------------------------------ groups

/** Makes a group and shows it. Rejects with the reason. @param {string} name @param {string} title @param {string[]} users */
export async function createGroup(name, title, users) {
  const asked = { type: "group", name, action: "create", ...(title ? { title } : {}), ...(users.length ? { users } : {}) };
  await ask(asked).catch((error) => { throw error.code === "conflict" ? new Error(t("group-taken")) : error; });
  const room = `group:${name}`;
  if (!state.rooms.value.has(room)) state.addRoom(fromEntry({ room, title, role: "owner" }, state.me.value));
  show(room);
}

/** Rejects with the reason. @param {string} room @param {string} action @param {Record<string, any>} [fields] */
export const group = (room, action, fields = {}) => patiently({ type: "group", name: room.slice(6), action, ...fields });

/** @param {string} room @returns {Promise<{user: string, name: string, role: string, since: number}[]>} */
export async function members(room) {
  const found = [];
  for await (const entry of pages({ type: "members", room, limit: 200 }, "members")) {
    found.push(entry);
    if (found.length >= 1000) break;
  }
  learn(found);
  return found;
}

/** Users who are muted in a group or banned from it; for its moderators. Rejects with the reason. @param {string} room
 *  @returns {Promise<import("./views/sanctions.js").Sanction[]>} */
export async function sanctions(room) {
  const found = [];
  for await (const entry of pages({ type: "sanctions", name: room.slice(6), limit: 200 }, "sanctions")) {
    found.push(entry);
    if (found.length >= 1000) break;
  }
  return found;
}

/** Signs out; where messages would be lost by it, a dialog asks first. */
export function leave() {
  if (unsent.lacking()) state.dialog.value = { name: "sign-out" };
  else signOut();
}

/** @typedef {{since: number, transport: string, address: string, device?: string, handle?: string, current?: boolean}} Device */

/** The user's own live sessions, the oldest first, and the nodes of a cluster that did not tell of theirs. Rejects with the reason.
 *  @returns {Promise<{devices: Device[], missing?: string[]}>} */
export const devices = () => ask({ type: "devices" });

/** Signs one of them out. Whether its token ended too: otherwise its program might come back. Rejects with the reason.
 *  @param {string} handle @returns {Promise<boolean>} */
export const signOutDevice = async (handle) => (await ask({ type: "sign_out", handle })).state === "revoked";
