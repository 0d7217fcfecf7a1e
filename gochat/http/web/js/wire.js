// @ts-check
// The page's one connection, for those who only want to ask.
import { Broken, Connection, Refused } from "./connection.js";
export { Broken, Refused };

/** @typedef {import("./connection.js").Frame} Frame */

/** @type {Connection | null} */
let current = null;

/** @param {import("./connection.js").Listener} listener */
export function connect(listener) {
  disconnect();
  current = new Connection(listener);
  current.start();
}

export function disconnect() {
  current?.stop();
  current = null;
}

export const retryNow = () => current?.retryNow();
/** See Connection.post. @param {Frame} frame */
export const post = (frame) => current?.post(frame);
/** See Connection.ask. @param {Frame} frame @returns {Promise<any>} */
export const ask = (frame) => current?.ask(frame) ?? Promise.reject(new Broken("there is no connection"));

/** All entries of a list, page by page. @param {Frame} frame @param {string} field @returns {AsyncGenerator<any>} */
export async function* pages(frame, field) {
  let cursor;
  do {
    const reply = await ask(cursor ? { ...frame, cursor } : frame);
    yield* reply[field];
    cursor = reply.next;
  } while (cursor);
}
