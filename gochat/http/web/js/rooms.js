// @ts-check
// Rooms as the list of chats shows them. No I/O, and no signal: values in, values out.

/** @typedef {{seq: number, ts: number, from: string, body: string, deleted?: number, mentions?: string[]}} Last `mentions`: where a fact has told */
/** @typedef {{id: string, kind: "dm" | "group", title: string, other: string, role: string, post: string, online: boolean, seen: number,
 *   head: number, read: number, unread: number, last?: Last, mentions: number, typing: Record<string, number>, readBy: Record<string, number>,
 *   gotBy: Record<string, number>, joined: Record<string, number>, ended: boolean,
 *   epoch?: string}} Room `other`: the other user of a private room; `mentions`: how many of the unread
 *   messages name the user; `readBy`, `gotBy`: by user, the seq up to which they have read, and have got; `joined`: the seq at
 *   which they came into the group: nothing from before counts; `ended`: the user is no
 *   longer in it; `epoch`: the log that head, read and counts are of, where a list has told */

const CONTACTS_SHOWN = 15;
const MOST_JOINED = 100;

/** The room id of a private chat. @param {string} one @param {string} other */
export const privateRoom = (one, other) => `dm:${one < other ? `${one}:${other}` : `${other}:${one}`}`;

const NAME = "[a-z0-9][a-z0-9_.-]{0,63}";
const GROUP = new RegExp(`^group:${NAME}$`), PRIVATE = new RegExp(`^dm:(${NAME}):(${NAME})$`);

/** Whether the id is of a room that may be the user's. @param {string} id @param {string} me */
export function mayBeOf(id, me) {
  const users = PRIVATE.exec(id)?.slice(1);
  return users ? id === privateRoom(users[0], users[1]) && users.includes(me) : GROUP.test(id);
}

/** A room of which nothing is known but its id. @param {string} id @param {string} me @returns {Room} */
export function blank(id, me) {
  const group = id.startsWith("group:");
  const users = group ? [] : id.slice(3).split(":");
  const other = group ? "" : (users.find((user) => user !== me) ?? me);
  return {
    id, kind: group ? "group" : "dm", title: group ? id.slice(6) : other, other, role: group ? "member" : "", post: "members",
    online: false, seen: 0, head: 0, read: 0, unread: 0, mentions: 0, typing: {}, readBy: {}, gotBy: {}, joined: {}, ended: false,
  };
}

/** A room as `welcome`, `groups` or `contacts` tell of it; what they leave out stays as it was.
 *  @param {any} entry @param {string} me @param {Room} [before] @returns {Room} */
export function fromEntry(entry, me, before) {
  const told = before ?? blank(entry.room, me);
  const other = told.epoch !== undefined && entry.epoch !== undefined && told.epoch !== entry.epoch;
  const base = other ? begunAnew(told, entry.epoch, 0) : told;
  return {
    ...base,
    epoch: entry.epoch ?? base.epoch,
    title: entry.title || entry.name || base.title,
    role: entry.role ?? base.role,
    post: entry.role === undefined ? base.post : entry.post ?? "members",
    online: entry.online ?? base.online,
    seen: entry.last_seen ?? base.seen,
    head: Math.max(entry.head ?? 0, base.head),
    read: Math.max(entry.read ?? 0, base.read),
    unread: entry.unread ?? base.unread,
    mentions: entry.unread === undefined ? base.mentions : entry.mentions ?? 0,
    readBy: higher(base.readBy, entry.reads),
    gotBy: higher(base.gotBy, entry.got),
    joined: latestJoined(base.joined, entry.joined),
    last: entry.last ?? base.last,
    ended: false,
  };
}

/** The room now that its log is another one: nothing that was counted in the old one holds. A list that has told of the new
 *  log already stands. @param {Room} room @param {string} epoch @param {number} head @returns {Room} */
export function begunAnew(room, epoch, head) {
  if (room.epoch === epoch && room.head <= head) return { ...room, head };
  return { ...room, epoch, head, read: Math.min(room.read, head), unread: 0, mentions: 0, last: undefined, readBy: {}, gotBy: {}, joined: {} };
}

/** Positions only rise: of two the higher counts. @param {Record<string, number>} one @param {Record<string, number>} [other] */
export function higher(one, other = {}) {
  const all = { ...one };
  for (const [user, seq] of Object.entries(other)) all[user] = Math.max(all[user] ?? 0, seq);
  return all;
}

/** Where members came in, of the latest of them: positions are told in small groups.
 *  @param {Record<string, number>} [one] @param {Record<string, number>} [other] */
export const latestJoined = (one, other) => Object.fromEntries(Object.entries(higher(one ?? {}, other)).slice(-MOST_JOINED));

/** Whether anybody whose position this is has come to a message: it was said after they had joined. @param {Room} room
 *  @param {"readBy" | "gotBy"} positions @param {number} seq @param {string} [user] that user alone */
export function reaches(room, positions, seq, user) {
  const of = room[positions];
  const reached = (/** @type {string} */ each) => seq > (room.joined?.[each] ?? 0) && seq <= (of[each] ?? 0);
  return seq > 0 && (user === undefined ? Object.keys(of).some(reached) : reached(user));
}

/** The room after a fact. @param {Room} room @param {any} fact @param {string} me @param {boolean} seen Whether the user looks at it. @returns {Room} */
export function afterFact(room, fact, me, seen) {
  /** @type {Room} */
  const next = { ...room, head: Math.max(room.head, fact.seq) };
  /** The state that a list told of the room holds for all facts up to its head, which may come only now. */
  const counted = fact.seq <= room.head;
  switch (fact.type) {
    case "message": {
      if (fact.seq >= (room.last?.seq ?? 0)) {
        const { seq, ts, from, body = "", deleted, mentions = [] } = fact;
        next.last = { seq, ts, from, body, deleted, mentions };
      }
      const { [fact.from]: _, ...typing } = room.typing;
      next.typing = typing;
      if (fact.from === me || seen) {
        next.read = Math.max(next.read, fact.seq);
        next.unread = next.mentions = 0;
      } else if (!counted && fact.seq > room.read && fact.deleted === undefined) {
        next.unread = room.unread + 1;
        if (fact.mentions?.includes(me)) next.mentions = room.mentions + 1;
      }
      break;
    }
    case "edit":
      if (room.last && room.last.seq === fact.target && fact.body) next.last = { ...room.last, body: fact.body, mentions: fact.mentions ?? [] };
      break;
    case "delete":
      if (room.last && room.last.seq === fact.target) next.last = { ...room.last, body: "", deleted: fact.ts };
      if (!counted && fact.target > room.read && fact.from !== me) next.unread = Math.max(0, room.unread - 1);
      break;
    case "group":
      if (fact.title !== undefined) next.title = fact.title || room.id.slice(6);
      if (fact.post) next.post = fact.post;
      break;
    case "member":
      if (fact.title) next.title = fact.title;
      if (fact.change === "added") next.joined = latestJoined(room.joined, Object.fromEntries(fact.users.map((/** @type {string} */ user) => [user, fact.seq])));
      if (!fact.users.includes(me)) break;
      if (fact.change === "removed" || fact.change === "left") next.ended = true;
      else {
        next.ended = false;
        if (fact.role) next.role = fact.role;
      }
      break;
    case "closed":
      next.ended = true;
      break;
  }
  return next;
}

/** @param {Room} one @param {Room} other */
export const byLatest = (one, other) => (other.last?.ts ?? 0) - (one.last?.ts ?? 0) || one.title.localeCompare(other.title);

/** The part of all rooms that the list shows, which come with the latest first: groups, the 15 contacts talked to last, and whatever
 *  has unread messages or a draft. Anybody else is found by search. @param {Room[]} rooms @param {string} open @param {Set<string>} [drafted] */
export function listed(rooms, open, drafted = new Set()) {
  let contacts = 0;
  return rooms.filter((room) => {
    if (room.id === open) return true;
    if (room.kind === "group") return !room.ended || room.unread > 0;
    if (room.last) contacts++;
    return drafted.has(room.id) || (room.last !== undefined && (contacts <= CONTACTS_SHOWN || room.unread > 0));
  });
}
