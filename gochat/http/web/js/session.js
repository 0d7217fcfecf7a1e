// @ts-check
// The life of a sign-in: hello, welcome, what happens live, and what was missed.
import * as credentials from "./credential.js";
import * as drafts from "./drafts.js";
import { batch } from "./html.js";
import { t } from "./l10n.js";
import * as offline from "./offline.js";
import * as names from "./names.js";
import * as outbox from "./outbox.js";
import * as push from "./push.js";
import { notify } from "./notices.js";
import * as reading from "./reading.js";
import * as receipts from "./receipts.js";
import { whyEnded } from "./refusals.js";
import { afterFact, begunAnew, blank, fromEntry, higher } from "./rooms.js";
import * as state from "./state.js";
import * as threads from "./threads.js";
import * as unsent from "./unsent.js";
import * as wire from "./wire.js";
import { wish } from "./wishes.js";

/** The close code that says so: the access has ended, as where this device was signed out from another one. */
const REVOKED = 4503;
const TYPING_MS = 6_000;
/** The newest rooms' users, whose presence is watched; the server takes so many. */
const WATCHED = 15;
/** So long before the end of a sign-in people are told that they need a new link. */
const TELL_BEFORE_END_MS = 10 * 60_000;
/** Of what was missed the last messages are read out. */
const MISSED_SPOKEN = 3;
/** A browser's timers end here. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @type {credentials.Credential | null} */
let credential = null;
/** That of the sign-in; it is there as long as anything comes. @type {import("./client.js").Client} */
let client;
/** The state that one holds of each user, as far as the lists were read. @type {Map<string, string>} */
let relations = new Map();
/** Users whose relation has changed since `welcome`: a page of the lists may be older. @type {Set<string>} */
let changed = new Set();
/** Rooms that the server can't read. @type {Set<string>} */
let unreadable = new Set();
/** Whether rooms may be missing in the server's lists. */
let incomplete = false;

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
    reading.forgetAll();
    names.forgetAll();
    state.clear();
  }
  keepCredential(wanted);
  threads.forgetAll();
  state.status.value = { phase: "connecting" };
  const remembered = offline.begin(wanted, (room) => client.positions.level(room));
  client = wire.connect({
    name: "gochat-web",
    token: async () => {
      if (credential?.expires && credential.expires < Date.now()) throw new Error(t("signed-in-too-long"));
      await remembered;
      return credential?.token;
    },
    before: confirm,
    onWelcome: welcome,
    onEntry: listed,
    onUnreadable: (list) => list.forEach((room) => unreadable.add(room)),
    onListed: () => {
      state.relations.value = relations;
      if (!incomplete) offline.dropUnclaimed(unreadable);
      offline.readAhead();
    },
    onFact: apply,
    onReset: restart,
    onEvent: (frame) => handlers[frame.type]?.(frame),
    onState: (phase, detail = {}) => {
      state.status.value = { phase, ...detail, ...(phase === "ended" && { why: whyEnded(detail) }) };
      if (phase === "online") threads.goOn();
      if (phase !== "ended") return;
      if (detail.code === REVOKED && credential?.confirmed) push.turnOff().catch(() => {}); // This device is the user's no more.
      credentials.forget(credential?.token);
      offline.forget(); // The data kept may be no longer the user's to read.
    },
  });
}

/** Goes on with a newer token of the same user, for a session that has not ended. Without a connection the next one begins with
 *  it; where the server refuses it, the one from before stays. @param {credentials.Credential} newer */
export async function renew(newer) {
  const before = credential;
  keepCredential({ ...newer, confirmed: before?.confirmed });
  try {
    await wire.ask({ type: "refresh", token: newer.token });
  } catch (error) {
    if (error instanceof wire.Refused && before && credential?.token === newer.token) keepCredential(before);
  }
}

export function signOut() {
  push.turnOff().catch(() => {});
  clearTimeout(endTimer);
  wire.disconnect();
  credentials.forget();
  credential = null;
  unsent.keepOnly();
  offline.forget();
  drafts.forgetDrafts(state.me.value);
  receipts.forgetAll();
  reading.forgetAll();
  threads.forgetAll();
  names.forgetAll();
  state.clear();
  state.status.value = { phase: "signed-out" };
}

// ------------------------------------------------------------------------------------------------ welcome

/** @param {any} frame */
function welcome(frame) {
  relations = new Map();
  changed = new Set();
  unreadable = new Set();
  incomplete = frame.incomplete ?? false;
  const before = state.rooms.value;
  const next = new Map(before);
  for (const entry of [...frame.contacts, ...frame.rooms]) {
    const known = before.get(entry.room);
    next.set(entry.room, reading.settled(fromEntry(entry, frame.user, known), entry, known));
  }
  const begun = [...drafts.begun(frame.user), ...unsent.roomsOf(frame.user)].filter((room) => room.startsWith("dm:") && !next.has(room));
  for (const room of begun) next.set(room, names.titled(blank(room, frame.user)));
  batch(() => {
    state.me.value = frame.user;
    state.limits.value = frame.limits;
    state.rooms.value = next;
    state.requests.value = frame.requests;
    state.trouble.value = frame.unreadable ? t("unreadable", { rooms: frame.unreadable.join(", ") }) : "";
  });
  names.learn([...frame.contacts, ...frame.requests]);
  names.askAgain();
  begun.forEach((room) => names.want(next.get(room)?.other ?? ""));
  watch();
  outbox.resume();
  wish().then(push.claim).catch(() => {});
}

/** The token is this user's: what was kept may be shown, and gone on from. @param {any} frame */
function confirm(frame) {
  if (!credential) return;
  unsent.keepOnly(frame.user); // A token that only says another name takes nothing from anybody.
  credential = { ...credential, user: frame.user, confirmed: true };
  credentials.keep(credential);
  offline.confirm(credential);
  [...frame.contacts, ...frame.rooms].forEach(goOnFrom);
}

/** Goes on from the place that was kept of a room. @param {any} entry */
function goOnFrom(entry) {
  const kept = offline.claim(entry);
  if (kept && !client.positions.hold(entry.room, kept.seq, kept.epoch, entry.head)) threads.restart(entry.room, entry.head);
}

let groupsSoon = 0;
/** A group that just began is known by its id alone: its title and one's role stand in the list. */
function readGroupsSoon() {
  clearTimeout(groupsSoon);
  groupsSoon = setTimeout(async () => {
    try {
      for await (const entry of wire.pages({ type: "groups", limit: 200 }, "groups")) client.found(entry);
    } catch {
      // The next `welcome` tells.
    }
  }, 50);
}

/** @param {any} entry of a list of groups, or of contacts, which have a relation and may have no room */
function listed(entry) {
  if (entry.state !== undefined && entry.state !== "none" && !changed.has(entry.user)) relations.set(entry.user, entry.state);
  names.learn([entry]);
  if (!entry.room) return;
  goOnFrom(entry);
  const known = state.rooms.value.get(entry.room);
  state.addRoom(reading.settled(fromEntry(entry, state.me.value, known), entry, known));
  if (entry.room === state.openRoom.value && !known?.unread) threads.goOn(); // Its unread messages are known only now.
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

// ------------------------------------------------------------------------------------------------ what happens

/** @param {import("./positions.js").Reset} reset */
function restart({ room, epoch, head }) {
  const known = state.rooms.value.get(room);
  if (known) state.addRoom(begunAnew(known, epoch, head));
  receipts.restarted(room);
  reading.restarted(room);
  threads.restart(room, head);
  offline.forgetRoom(room);
}

/** @type {Record<string, (frame: any) => void>} */
const handlers = {
  presence,
  typing: ({ room, from }) => typing(room, from),
  read: ({ room, from, seq }) => {
    const known = state.rooms.value.get(room);
    if (!known) return;
    if (from !== state.me.value) state.updateRoom(room, { readBy: higher(known.readBy, { [from]: seq }) });
    else reading.readElsewhere(room, seq);
  },
  got: ({ room, got }) => {
    const known = state.rooms.value.get(room);
    if (known) state.updateRoom(room, { gotBy: higher(known.gotBy, got) });
  },
  request: (frame) => {
    state.requests.value = [...state.requests.value.filter((each) => each.user !== frame.user), frame];
    notify(frame.name, names.inNames(frame.last.body), frame.room);
  },
  contact: ({ user, state: relation }) => {
    related(user, relation);
    if (relation !== "request") state.requests.value = state.requests.value.filter((each) => each.user !== user);
    if (relation === "contact") opened(privateRoomOf(user));
  },
};

/** The relation to a user is this one from now on, whatever a list says that is still being read. @param {string} user
 *  @param {string} relation */
export function related(user, relation) {
  changed.add(user);
  relations.set(user, relation);
  state.relations.value = new Map(state.relations.value).set(user, relation);
}

/** @param {string} user */
const privateRoomOf = (user) => `dm:${[user, state.me.value].sort().join(":")}`;

/** A private room that waited for an answer is live. @param {string} room */
export function opened(room) {
  client.opened(room);
}

/** Hands on the next fact of a room. @param {import("./positions.js").Fact} fact */
function apply(fact) {
  const me = state.me.value;
  const known = state.rooms.value.get(fact.room) ?? { ...names.titled(blank(fact.room, me)), epoch: client.welcome.epoch };
  const added = fact.type === "member" && fact.change === "added" && fact.users.includes(me);
  const thread = threads.opened(fact.room);
  const here = fact.room === state.openRoom.value && document.hasFocus();
  /** Where much was missed, or is unread, the view tells what of it comes on the screen. */
  const looking = here && fact.room === state.endShown.value && (thread?.timeline.attached ?? false) && !known.unread && fact.seq > known.head;
  offline.touch(fact.room);
  batch(() => {
    state.addRoom(afterFact(known, fact, me, looking));
    thread?.timeline.append(fact, Math.max(known.head, client.readAt.get(fact.room) ?? 0));
    thread?.quotes.delete(fact.target); // It was edited, or deleted: what is quoted is as it is now.
    thread?.changed();
    names.want(fact.from);
    if (added && known.kind === "group") readGroupsSoon();
    if (known.kind === "dm" && known.other !== me && !known.online) watchSoon();
    if ((fact.type === "edit" || fact.type === "delete") && fact.target > known.read && fact.from !== me) {
      reading.recount(fact.room, fact.seq > known.head && (known.mentions > 0 || (fact.mentions?.includes(me) ?? false)));
    }
    if (fact.type !== "message" || fact.from === me) return;
    const body = names.inNames(fact.body, fact.mentions ?? []);
    if (here && fact.seq > known.head - MISSED_SPOKEN) state.speak(`${names.nameOf(fact.from)}: ${body}`);
    if (looking) reading.sees(fact.room, fact.seq);
    else if (fact.seq > known.read) {
      receipts.got(fact.room, fact.seq);
      notify(known.kind === "group" ? `${names.nameOf(fact.from)} · ${known.title}` : known.title, body, fact.room, fact.mentions?.includes(me));
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
