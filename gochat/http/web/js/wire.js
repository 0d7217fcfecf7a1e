// @ts-check
// The page's one session, for those who only want to ask.
import { Broken, Client, Refused } from "./client.js";
import { inWords } from "./refusals.js";
export { Broken, Refused };

/** @typedef {import("./client.js").Frame} Frame */

/** @type {Client | null} */
let current = null;

/** @param {import("./client.js").Options} options */
export function connect(options) {
  disconnect();
  current = new Client(options);
  return current.start();
}

export function disconnect() {
  current?.stop();
  current = null;
}

export const retryNow = () => current?.retryNow();
/** See Client.post. @param {Frame} frame */
export const post = (frame) => current?.post(frame);
/** See Client.ask. @param {Frame} frame @returns {Promise<any>} */
export const ask = (frame) => (current?.ask(frame) ?? Promise.reject(new Broken("there is no connection"))).catch(inWords);

/** See Client.pages. @param {Frame} frame @param {string} field @returns {AsyncGenerator<any>} */
export async function* pages(frame, field) {
  try {
    if (!current) throw new Broken("there is no connection");
    yield* current.pages(frame, field);
  } catch (error) {
    inWords(error);
  }
}
