// @ts-check
// The names that are shown of users. Messages tell ids alone: the names that a view lacks are asked for, many at a time.
import { withNames } from "./format.js";
import { batch, computed, signal } from "./html.js";
import * as state from "./state.js";
import { ask } from "./wire.js";

const ASK_AFTER_MS = 20;
/** The server takes so many at a time. */
const AT_A_TIME = 100;
/** So many names are kept, the latest. */
const MOST = 5_000;
/** A name that could be taken for one with an id. */
const QUALIFIED = /[(（)）]/;

/** By id. @type {import("../vendor/signals.mjs").Signal<Map<string, string>>} */
const names = signal(new Map());
/** Users who were asked for on this connection, and those of them who still wait to be. @type {Set<string>} */
let asked = new Set();
/** @type {Set<string>} */
const wanted = new Set();
let timer = 0;

/** Names, in lower case, that several of the users have. */
const shared = computed(() => {
  const once = new Set(), again = new Set();
  for (const [user, name] of names.value) {
    for (const each of new Set([user, name.toLowerCase()])) (once.has(each) ? again : once).add(each);
  }
  return again;
});

/** The user's name as it is shown, or the id where no name is known: it is asked for, and a view that shows it is drawn anew. Where
 *  the user could pass for another one by that name, the id stands with it. @param {string} user */
export function nameOf(user) {
  const name = names.value.get(user);
  want(user);
  if (!name || name === user) return user;
  const lower = name.toLowerCase();
  return (shared.value.has(lower) && lower !== user) || QUALIFIED.test(name) ? `${name} (${user})` : name;
}

/** A text with the names of those whom it mentions. @param {string | undefined} text @param {string[]} [mentions] As the message tells them;
 *  without, everything that looks like one is taken for a mention. */
export const inNames = (text, mentions) => (text ? withNames(text, nameOf, mentions) : "");

/** @param {string} user */
export function want(user) {
  if (!user || asked.has(user)) return;
  asked.add(user);
  wanted.add(user);
  timer ||= setTimeout(askForThem, ASK_AFTER_MS);
}

async function askForThem() {
  timer = 0;
  const users = [...wanted];
  wanted.clear();
  for (let first = 0; first < users.length; first += AT_A_TIME) {
    try {
      learn((await ask({ type: "names", users: users.slice(first, first + AT_A_TIME) })).users);
    } catch {
      // Without a connection, or from an older server, ids are shown; the next connection asks again.
    }
  }
}

/** Entries of lists tell names as well. @param {{user?: string, name?: string}[]} entries */
export function learn(entries) {
  const news = entries.filter(({ user, name }) => user && name && names.value.get(user) !== name);
  if (!news.length) return;
  const all = new Map(names.value);
  for (const { user, name } of /** @type {{user: string, name: string}[]} */ (news)) all.set(user, name);
  for (const oldest of all.keys()) if (all.size > MOST) all.delete(oldest); else break;
  batch(() => {
    names.value = all;
    for (const room of state.rooms.value.values()) {
      const name = room.kind === "dm" && all.get(room.other);
      if (name && name !== room.title) state.updateRoom(room.id, { title: name });
    }
  });
}

/** The page is connected: names may have changed, and questions may have been lost. The latest are asked for again by one
 *  request, since all pages may be connected anew at once; others when they are next shown. */
export function askAgain() {
  const again = [...asked].slice(-AT_A_TIME);
  asked = new Set();
  again.forEach(want);
}

/** The room, with the name of its other user for a title where that is known. @param {import("./rooms.js").Room} room */
export const titled = (room) => ({ ...room, title: (room.kind === "dm" && names.value.get(room.other)) || room.title });

/** The names to keep for reading without a connection. */
export const kept = () => names.value;

/** @param {Map<string, string>} [known] */
export const remember = (known = new Map()) => { names.value = new Map([...known, ...names.value]); };

/** Another user signs in. */
export function forgetAll() {
  names.value = new Map();
  asked = new Set();
  wanted.clear();
}
