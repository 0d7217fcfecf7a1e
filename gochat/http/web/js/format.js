// @ts-check
// Message text to nodes. Text stays text: nothing here can make markup of it, so nothing has to be cleaned.
import { html } from "./html.js";

/** The end of its last line belongs to it: a block ends its line anyway. */
const BLOCK = /```(?:[a-z]*\n)?([\s\S]+?)```\n?/g;
const CODE = /`([^`\n]+)`/g;
/** An address with what follows it up to the next space: `addressIn` tells them apart. */
const LINK = /\bhttps?:\/\/[^\s<>"'`.,;:!?)\]}][^\s<>"'`]*/g;
const OPENING = /** @type {Record<string, string>} */ ({ ")": "(", "]": "[", "}": "{" });
const MENTION = /(?<![\p{L}\p{N}_.+/@-])@[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?/giu;
const EMOJI_ONLY = /^(?:\p{RGI_Emoji}\s*){1,3}$/v;

/** The part of what was found that is the address. Signs at its end belong to the sentence around it, and so does a closing bracket,
 *  unless the address has opened it, as in `.../Tea_(drink)`. @param {string} found */
function addressIn(found) {
  /** By closing bracket, how many there are more of than of its opening ones. */
  const surplus = /** @type {Record<string, number>} */ ({});
  for (const closing in OPENING) surplus[closing] = found.split(closing).length - found.split(OPENING[closing]).length;
  let end = found.length;
  for (; end > 0; end--) {
    const last = found[end - 1];
    if (last in OPENING ? surplus[last]-- <= 0 : !".,;:!?".includes(last)) break;
  }
  return found.slice(0, end);
}

/** @typedef {(text: string) => any[]} Reader */

/** A reader that turns what the pattern finds into nodes, and gives the rest to the next.
 *  @param {RegExp} pattern @param {(match: RegExpExecArray) => any} make @param {Reader} rest
 *  @param {(found: string) => string} [part] The beginning of what was found that is meant; without it, all of it. @returns {Reader} */
const reader = (pattern, make, rest, part = (found) => found) => (text) => {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) nodes.push(...rest(text.slice(end, match.index)));
    match[0] = part(match[0]);
    nodes.push(make(/** @type {RegExpExecArray} */ (match)));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(...rest(text.slice(end)));
  return nodes;
};

/** @param {string} me @param {(user: string) => string} nameOf @param {string[]} [named] The users that the text mentions, where the server has said so; without it everything
 *  that looks like a mention is taken for one. */
export function formatter(me, nameOf, named) {
  const mention = (/** @type {RegExpExecArray} */ [text]) => {
    const user = text.slice(1).toLowerCase();
    if (named && !named.includes(user)) return text;
    const name = nameOf(user);
    return html`<b class=${user === me ? "mention me" : "mention"} title=${text}>${name === user ? text : html`@<bdi>${name}</bdi>`}</b>`;
  };
  const mentions = reader(MENTION, mention, (text) => [text]);
  const link = (/** @type {RegExpExecArray} */ [address]) => html`
    <a href=${address} target="_blank" rel="noopener noreferrer nofollow">${address.replace(/^https?:\/\//, "")}</a>`;
  const links = reader(LINK, link, mentions, addressIn);
  const codes = reader(CODE, ([, code]) => html`<code>${code}</code>`, links);
  return reader(BLOCK, ([, code]) => html`<pre tabindex="0"><code>${code.trimEnd()}</code></pre>`, codes);
}

/** The text with names where it mentions users: for previews, which have no nodes. Code and addresses stay as they are.
 *  @param {string} text @param {(user: string) => string} nameOf @param {string[]} [named] See formatter. @returns {string} */
export function withNames(text, nameOf, named) {
  const mention = (/** @type {RegExpExecArray} */ [whole]) => {
    const user = whole.slice(1).toLowerCase();
    return named && !named.includes(user) ? whole : `@${nameOf(user)}`;
  };
  const whole = (/** @type {RegExpExecArray} */ [found]) => found;
  const mentions = reader(MENTION, mention, (rest) => [rest]);
  return reader(BLOCK, whole, reader(CODE, whole, reader(LINK, whole, mentions, addressIn)))(text).join("");
}

/** Whether the text is one to three emoji and nothing else. @param {string} text */
export const isJumbo = (text) => text.length < 40 && EMOJI_ONLY.test(text);

/** One of eight hues, always the same for an id. @param {string} id */
export function hue(id) {
  let hash = 0;
  for (const letter of id) hash = (hash * 31 + /** @type {number} */ (letter.codePointAt(0))) >>> 0;
  return hash % 8;
}

/** @param {string} name */
export function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean).slice(0, 2);
  return words.map((word) => [...word][0]).join("").toUpperCase() || "?";
}
