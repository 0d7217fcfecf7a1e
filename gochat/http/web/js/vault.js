// @ts-check
// The browser's IndexedDB, as far as the page uses it: one record for each room, and one for each user. Where it can't be
// opened, as in some private windows, nothing is kept and nothing fails.

const NAME = "gochat";
const VERSION = 1;
const PEOPLE = "people";
const ROOMS = "rooms";

/** @type {Promise<IDBDatabase | null> | null} */
let opening = null;

function open() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(PEOPLE, { keyPath: "user" });
        request.result.createObjectStore(ROOMS, { keyPath: ["user", "id"] });
      };
      request.onsuccess = () => {
        const database = request.result;
        database.onversionchange = () => { database.close(); opening = null; };
        resolve(database);
      };
      request.onerror = request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opening;
}

/** All records of a user's rooms: an array of two sorts after every string. @param {string} user */
const roomsOf = (user) => IDBKeyRange.bound([user], [user, []]);

/** Runs `act` in a transaction on both stores, and waits for its end. Never rejects: a full disk costs no message.
 *  @template T @param {IDBTransactionMode} mode @param {(people: IDBObjectStore, rooms: IDBObjectStore) => T} act @returns {Promise<T | null>} */
async function run(mode, act) {
  const database = await open();
  if (!database) return null;
  return new Promise((resolve) => {
    try {
      const transaction = database.transaction([PEOPLE, ROOMS], mode);
      const result = act(transaction.objectStore(PEOPLE), transaction.objectStore(ROOMS));
      transaction.oncomplete = () => resolve(result);
      transaction.onerror = transaction.onabort = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
}

/** The records of a user, as they were written. @param {string} user @returns {Promise<{person: any, rooms: any[]} | null>} */
export async function read(user) {
  const asked = await run("readonly", (people, rooms) => [people.get(user), rooms.getAll(roomsOf(user))]);
  if (!asked?.[0].result) return null;
  return { person: asked[0].result, rooms: /** @type {any[]} */ (asked[1].result) };
}

/** Writes the user's record and those of some rooms, all or none; other rooms named in `gone` are forgotten.
 *  @param {{user: string, [field: string]: any}} person @param {{user: string, id: string, [field: string]: any}[]} rooms @param {string[]} [gone] */
export const write = (person, rooms, gone = []) => run("readwrite", (people, store) => {
  people.put(person);
  for (const id of gone) store.delete([person.user, id]);
  for (const room of rooms) store.put(room);
});

/** Forgets all that is kept of a user. @param {string} user */
export const clear = (user) => run("readwrite", (people, rooms) => remove(people, rooms, user));

/** Forgets all that is kept of users whose sign-in is over. @param {number} now In ms since the epoch. */
export const clearEnded = (now) => run("readwrite", (people, rooms) => {
  const asked = people.getAll();
  asked.onsuccess = () => {
    for (const { user, ends } of asked.result) if (ends && ends < now) remove(people, rooms, user);
  };
});

/** @param {IDBObjectStore} people @param {IDBObjectStore} rooms @param {string} user */
function remove(people, rooms, user) {
  people.delete(user);
  rooms.delete(roomsOf(user));
}
