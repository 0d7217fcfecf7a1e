// @ts-check
// The messages that the server does not have: on their way, or refused. They are kept by user and room, apart from the threads,
// so that a user whose sign-in ended goes on with them after the next one. Nobody else sees or sends them.

/** @typedef {import("./timeline.js").Row} Row */

/** By user, then by room. Rows that were acknowledged stay until their fact has come. @type {Map<string, Map<string, Row[]>>} */
const queues = new Map();

/** The rows of a room that are on their way, for its timeline to change. @param {string} user @param {string} room @returns {Row[]} */
export function queueOf(user, room) {
  let rooms = queues.get(user);
  if (!rooms) queues.set(user, rooms = new Map());
  let rows = rooms.get(room);
  if (!rows) rooms.set(room, rows = []);
  return rows;
}

/** The rooms that the server lacks a message of. @param {string} user */
export const roomsOf = (user) => [...(queues.get(user) ?? [])].filter(([, rows]) => rows.some((row) => row.state)).map(([room]) => room);

/** @param {string} user */
const countOf = (user) => roomsOf(user).reduce((sum, room) => sum + queueOf(user, room).filter((row) => row.state).length, 0);

/** Messages that would be lost with the tab, and whose they are; null: none. @returns {{user: string, n: number} | null} */
export function lacking() {
  for (const user of queues.keys()) if (countOf(user)) return { user, n: countOf(user) };
  return null;
}

/** Forgets what is on its way to a room, and returns the texts that were not sent. @param {string} user @param {string} room */
export function drop(user, room) {
  const rows = queueOf(user, room).splice(0).filter((row) => row.state);
  return rows.map((row) => row.body ?? "");
}

/** Forgets the messages of everybody else. @param {string} [user] */
export function keepOnly(user = "") {
  for (const each of queues.keys()) if (each !== user) queues.delete(each);
}
