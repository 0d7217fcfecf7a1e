// @ts-check
// The search in the documentation: every word must be the beginning of a word of the section. No I/O.

/** A section as the index has it: where it is, the page's title, its heading, its first words, its other words.
 *  @typedef {[address: string, title: string, heading: string, shown: string, others: string]} Section */
/** @typedef {{address: string, title: string, heading: string, shown: string}} Found */

/** The points of a word in each part of a section. A whole word has twice as many. */
const IN_TITLE = 6;
const IN_HEADING = 10;
const IN_TEXT = 2;
/** Names are told by the reference; why something is as it is, few people look for. */
const IN_REFERENCE = 1.5;
const IN_DECISIONS = 0.7;

/** @param {string} text */
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** The words that are looked for. @param {string} query */
export const words = (query) => folded(query).split(/[^\p{L}\p{N}_.:/-]+/u).filter(Boolean);

/** @param {string} text @param {string} word @returns {number} 2: it holds the word, 1: it has one that begins so, 0: none */
function holds(text, word) {
  let most = 0;
  for (let at = text.indexOf(word); at >= 0 && most < 2; at = text.indexOf(word, at + 1)) {
    if (at > 0 && /[\p{L}\p{N}]/u.test(text[at - 1])) continue;
    most = /[\p{L}\p{N}_]/u.test(text[at + word.length] ?? " ") ? 1 : 2;
  }
  return most;
}

/** @param {Section} section @param {string[]} wanted @returns {number} 0 where one of the words is missing */
function score([address, title, heading, shown, others], wanted) {
  let sum = 0;
  for (const word of wanted) {
    const found = holds(folded(title), word) * IN_TITLE + holds(folded(heading), word) * IN_HEADING
      + Math.max(holds(folded(shown), word), holds(folded(others), word)) * IN_TEXT;
    if (!found) return 0;
    sum += found;
  }
  return sum * (address.includes("/reference/") ? IN_REFERENCE : address.includes("/decisions") ? IN_DECISIONS : 1);
}

/** The sections that hold all words of the query, the best first.
 *  @param {Section[]} index @param {string} query @param {number} [most] @returns {Found[]} */
export function find(index, query, most = 20) {
  const wanted = words(query);
  if (!wanted.length) return [];
  const found = index.map((section) => ({ section, points: score(section, wanted) })).filter(({ points }) => points > 0);
  found.sort((one, other) => other.points - one.points);
  return found.slice(0, most).map(({ section: [address, title, heading, shown] }) => ({ address, title, heading, shown }));
}

/** A text in pieces, in turn beside and within what was looked for. @param {string} text @param {string} query */
export function pieces(text, query) {
  const wanted = words(query).map((word) => word.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  return wanted.length ? text.split(new RegExp(`(?<![\\p{L}\\p{N}])(${wanted.join("|")})`, "giu")) : [text];
}
