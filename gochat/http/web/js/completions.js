// @ts-check
// Completions of the word before the cursor: emoji for `:name`, members of the room for `@name`.
import { members } from "./actions.js";
import { completions as emoji, named } from "./emoji.js";

/** @typedef {{text: string, sign: string, label: string, cut: number}} Completion `text` takes the place of the `cut` characters
 *   before the cursor; `sign` and `label` show it */

const MOST = 8;
const EMOJI = /(?<![\w:]):([a-z0-9_+-]{2,})$/;
const WHOLE_EMOJI = /(?<![\w:]):([a-z0-9_+-]{2,}):$/;
const MENTION = /(?<![\w@.-])@([\p{L}\p{N}_.-]*)$/u;

/** The members of the group that was written to last. @type {{room: string, list: ReturnType<typeof members>} | null} */
let known = null;

/** @param {string} room */
function membersOf(room) {
  if (known?.room !== room) {
    const list = members(room);
    known = { room, list };
    list.catch(() => { known = null; });
  }
  return known?.list ?? Promise.resolve([]);
}

/** The emoji whose name was just written to its end. @param {string} before @returns {Promise<Completion | null>} */
export async function written(before) {
  const whole = WHOLE_EMOJI.exec(before);
  const sign = whole && await named(whole[1]);
  return sign ? { text: sign, sign, label: "", cut: whole[0].length } : null;
}

/** Members may have changed: they are asked for again. */
export const forgetMembers = () => { known = null; };

/** @param {string} before The text before the cursor. @param {string} room @param {string} me @returns {Promise<Completion[]>} */
export async function completionsFor(before, room, me) {
  const begun = EMOJI.exec(before);
  if (begun) return (await emoji(begun[1], MOST)).map(([sign, label]) => ({ text: sign, sign, label, cut: begun[0].length }));
  const called = room.startsWith("group:") ? MENTION.exec(before) : null;
  if (!called) return [];
  const wanted = called[1].toLowerCase();
  const fits = (/** @type {{user: string, name: string}} */ each) => each.user !== me
    && (each.user.startsWith(wanted) || each.name.toLowerCase().split(/\s+/).some((word) => word.startsWith(wanted)));
  const found = (await membersOf(room).catch(() => [])).filter(fits).slice(0, MOST);
  if (found.some(({ user }) => user === wanted)) return []; // It is written in full: Enter sends.
  return found.map(({ user, name }) => ({ text: `@${user} `, sign: `@${user}`, label: name === user ? "" : name, cut: called[0].length }));
}
