// @ts-check
// The life of a sign-in: hello, welcome, what happens live, and what was missed.
import * as credentials from "./credential.js";
import { forgetDrafts } from "./drafts.js";
import { batch } from "./html.js";
import { t } from "./l10n.js";
import * as offline from "./offline.js";
import * as outbox from "./outbox.js";
import { Positions } from "./positions.js";
import * as push from "./push.js";
import { notify } from "./notices.js";
import * as receipts from "./receipts.js";
import { afterFact, begunAnew, blank, fromEntry, higher } from "./rooms.js";
import * as state from "./state.js";
import * as threads from "./threads.js";
import * as wire from "./wire.js";
import { wish } from "./wishes.js";

const TYPING_MS = 6_000;
/** The newest rooms' users, whose presence is watched; the server takes so many. */
const WATCHED = 15;
/** So long before the end of a sign-in people are told that they need a new link. */
const TELL_BEFORE_END_MS = 10 * 60_000;
/** A browser's timers end here. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

let positions = new Positions();
let frameBytes = 64 * 1024;
/** @type {credentials.Credential | null} */
let credential = null;
/** By room, the head that its last page or resume told of: what came with it is as it was then. @type {Map<string, number>} */
const readAt = new Map();

let endTimer = 0;
/** @param {credentials.Credential} given */
function keepCredential(given) {
  credential = given;
  credentials.keep(given);
  state.endsAt.value = 0;
  clearTimeout(endTimer);
  const left = given.expires - Date.now();
  if (!given.expires || left > LONGEST_TIMER_MS || window.parent !== window) return; // A host page gives a new one.
  endTimer = setTimeout(() => { state.endsAt.value = given.expires; }, left - TELL_BEFORE_END_MS);
}

/** @param {credentials.Credential} wanted */
export function signIn(wanted) {
  if (wanted.user !== state.me.value || !wanted.confirmed) {
    receipts.forgetAll();
    state.clear();
  }
  keepCredential(wanted);
  positions = new Positions();
  readAt.clear();
  threads.forgetAll();
  state.status.value = { phase: "connecting" };
  const remembered = offline.begin(wanted, (room) => positions.level(room));
  wire.connect({
    hello: async () => {
      if (credential?.expires && credential.expires < Date.now()) throw new Error(t("signed-in-too-long"));
      await remembered;
      return { type: "hello", token: credential?.token, client: "gochat-web", resume: positions.resume(4 * frameBytes) };
    },
    onWelcome: welcome,
    onEvent: event,
    onState: (phase, detail = {}) => {
      state.status.value = { phase, ...detail };
      if (phase === "online") threads.goOn();
      if (phase !== "ended") return;
      credentials.forget(credential?.token);
      offline.forget(); // What was kept may be no longer the user's to read.
    },
  });
}

/** Goes on with a newer token of the same user. @param {credentials.Credential} newer */
export function renew(newer) {
  keepCredential({ ...newer, confirmed: credential?.confirmed });
  wire.ask({ type: "refresh", token: newer.token }).catch(() => {});
}

export function signOut() {
  push.turnOff().catch(() => {});
  clearTimeout(endTimer);
  wire.disconnect();
  credentials.forget();
  credential = null;
  offline.forget();
  forgetDrafts(state.me.value);
  receipts.forgetAll();
  threads.forgetAll();
  state.clear();
  state.status.value = { phase: "signed-out" };
}

// ------------------------------------------------------------------------------------------------ welcome

/** @param {any} frame */
function welcome(frame) {
  frameBytes = frame.limits.frame_bytes;
  confirm(frame.user);
  [...frame.contacts, ...frame.rooms].forEach(goOnFrom);
  const resets = positions.welcomed(frame);
  const before = state.rooms.value;
  const next = new Map(before);
  for (const entry of [...frame.contacts, ...frame.rooms]) {
    next.set(entry.room, fromEntry(entry, frame.user, before.get(entry.room)));
  }
  batch(() => {
    state.me.value = frame.user;
    state.limits.value = frame.limits;
    state.rooms.value = next;
    state.requests.value = frame.requests;
    state.trouble.value = frame.unreadable ? t("unreadable", { rooms: frame.unreadable.join(", ") }) : "";
  });
  resets.forEach(restart);
  watch();
  outbox.resume();
  catchUp();
  readLists(frame.rooms_next).then(offline.readAhead).catch(() => {});
  wish().then(push.claim).catch(() => {});
}

/** The token is this user's: what was kept may be shown. @param {string} user */
function confirm(user) {
  if (!credential) return;
  credential = { ...credential, user, confirmed: true };
  credentials.keep(credential);
  offline.confirm(credential);
}

/** Goes on from the place that was kept of a room. @param {any} entry */
function goOnFrom(entry) {
  const kept = offline.claim(entry);
  if (kept && !positions.hold(entry.room, kept.seq, kept.epoch, entry.head)) threads.restart(entry.room, entry.head);
}

/** Reads the entries that `welcome` had no space for: other groups, other private rooms, and what one holds of whom.
 *  @param {string | undefined} groupsNext */
async function readLists(groupsNext) {
  const relations = new Map();
  for await (const entry of wire.pages({ type: "contacts", rooms: true, limit: 200 }, "contacts")) {
    if (entry.state !== "none") relations.set(entry.user, entry.state);
    if (entry.room) listed(entry);
  }
  state.relations.value = relations;
  if (groupsNext) {
    for await (const entry of wire.pages({ type: "groups", cursor: groupsNext, limit: 200 }, "groups")) listed(entry);
  }
  offline.dropUnclaimed();
  catchUp();
}

let groupsSoon = 0;
/** A group that just began is known by its id alone: its title and one's role stand in the list. */
function readGroupsSoon() {
  clearTimeout(groupsSoon);
  groupsSoon = setTimeout(async () => {
    try {
      for await (const entry of wire.pages({ type: "groups", limit: 200 }, "groups")) listed(entry);
    } catch {
      // The next `welcome` tells.
    }
  }, 50);
}

/** @param {any} entry */
function listed(entry) {
  goOnFrom(entry);
  positions.found(entry);
  const known = state.rooms.value.get(entry.room);
  state.addRoom(fromEntry(entry, state.me.value, known && { ...known, unread: entry.unread ?? known.unread }));
}

export function watch() {
  const others = state.roomList.value.filter((room) => room.other && room.other !== state.me.value).map((room) => room.other);
  const open = state.room.value?.other;
  const users = [...new Set(open && open !== state.me.value ? [open, ...others] : others)].slice(0, WATCHED);
  wire.ask({ type: "watch", users }).then(presence, () => {});
}

let soon = 0;
/** A private room that just began may have made its user's presence visible. */
function watchSoon() {
  clearTimeout(soon);
  soon = setTimeout(watch, 1000);
}

// ------------------------------------------------------------------------------------------------ catching up

/** Asks for what is missing, one room after the other. */
async function catchUp() {
  const current = positions;
  for (let room = current.nextBehind(); room !== undefined; room = current.nextBehind()) {
    for (let question = current.ask(room); question; question = current.ask(room)) {
      try {
        const reply = await wire.ask(question);
        if (current !== positions) return;
        const { facts, reset } = current.answered(question, reply);
        if (reply.head !== undefined) readAt.set(question.room, reply.head);
        facts.forEach(apply);
        if (reset) restart(reset);
      } catch (error) {
        if (error instanceof wire.Broken) return;
        const { temporary, retry_after_ms: wait = 1000 } = /** @type {wire.Refused} */ (error).frame;
        if (temporary) await new Promise((resolve) => setTimeout(resolve, wait));
        else current.refused(question);
        if (current !== positions) return;
      }
    }
  }
}

/** @param {import("./positions.js").Reset} reset */
function restart({ room, epoch, head }) {
  const known = state.rooms.value.get(room);
  if (known) state.addRoom(begunAnew(known, epoch, head));
  readAt.delete(room);
  receipts.restarted(room);
  threads.restart(room, head);
  offline.forgetRoom(room);
  catchUp();
}

// ------------------------------------------------------------------------------------------------ live

/** @param {any} frame */
function event(frame) {
  if (frame.seq !== undefined && frame.type !== "read") {
    if (positions.take(frame)) apply(frame); else catchUp();
    return;
  }
  handlers[frame.type]?.(frame);
}

/** @type {Record<string, (frame: any) => void>} */
const handlers = {
  presence,
  typing: ({ room, from }) => typing(room, from),
  read: ({ room, from, seq }) => {
    const known = state.rooms.value.get(room);
    if (!known) return;
    if (from !== state.me.value) state.updateRoom(room, { readBy: higher(known.readBy, { [from]: seq }) });
    else if (seq >= known.head) state.updateRoom(room, { read: seq, unread: 0, mentions: 0 });
    else state.updateRoom(room, { read: Math.max(known.read, seq) });
  },
  got: ({ room, got }) => {
    const known = state.rooms.value.get(room);
    if (known) state.updateRoom(room, { gotBy: higher(known.gotBy, got) });
  },
  request: (frame) => {
    state.requests.value = [...state.requests.value.filter((each) => each.user !== frame.user), frame];
    notify(frame.name, frame.last.body, frame.room);
  },
  contact: ({ user, state: relation }) => {
    state.relations.value = new Map(state.relations.value).set(user, relation);
    if (relation !== "request") state.requests.value = state.requests.value.filter((each) => each.user !== user);
    if (relation === "contact") opened(blank(privateRoomOf(user), state.me.value).id);
  },
  lag: (frame) => {
    const reset = positions.lagging(frame);
    if (reset) restart(reset); else catchUp();
  },
  reset: (frame) => restart(positions.reset(frame)),
};

/** @param {string} user */
const privateRoomOf = (user) => `dm:${[user, state.me.value].sort().join(":")}`;

/** A private room that waited for an answer is live. @param {string} room */
export function opened(room) {
  positions.opened(room);
  catchUp();
}

/** Hands on the next fact of a room. @param {import("./positions.js").Fact} fact */
function apply(fact) {
  const me = state.me.value;
  const known = state.rooms.value.get(fact.room) ?? blank(fact.room, me);
  const added = fact.type === "member" && fact.change === "added" && fact.users.includes(me);
  const thread = threads.opened(fact.room);
  const looking = fact.room === state.openRoom.value && document.hasFocus() && (thread?.timeline.attached ?? false);
  offline.touch(fact.room);
  batch(() => {
    state.addRoom(afterFact(known, fact, me, looking));
    thread?.timeline.append(fact, Math.max(known.head, readAt.get(fact.room) ?? 0));
    thread?.changed();
    if (added && known.kind === "group") readGroupsSoon();
    if (known.kind === "dm" && known.other !== me && !known.online) watchSoon();
    if (fact.type !== "message" || fact.from === me) return;
    if (looking) {
      wire.post({ type: "read", room: fact.room, seq: fact.seq });
      state.spoken.value = `${fact.from}: ${fact.body ?? ""}`;
    } else if (fact.seq > known.read) {
      receipts.got(fact.room, fact.seq);
      notify(known.kind === "group" ? `${fact.from} · ${known.title}` : known.title, fact.body ?? "", fact.room, fact.mentions?.includes(me));
    }
  });
}

/** @param {{users: {user: string, online: boolean, last_seen?: number}[]}} frame */
function presence({ users }) {
  const by = new Map(users.map((entry) => [entry.user, entry]));
  const next = new Map(state.rooms.value);
  for (const room of next.values()) {
    const entry = by.get(room.other);
    if (entry) next.set(room.id, { ...room, online: entry.online, seen: entry.last_seen ?? room.seen });
  }
  state.rooms.value = next;
}

/** @param {string} id @param {string} from */
function typing(id, from) {
  const known = state.rooms.value.get(id);
  if (!known) return;
  const until = Date.now() + TYPING_MS;
  state.updateRoom(id, { typing: { ...known.typing, [from]: until } });
  setTimeout(() => {
    const later = state.rooms.value.get(id);
    if (later?.typing[from] !== until) return;
    const { [from]: _, ...rest } = later.typing;
    state.updateRoom(id, { typing: rest });
  }, TYPING_MS);
}
