// @ts-check
// The table of emoji with their names, which is read when somebody first looks for one.

/** @typedef {[emoji: string, name: string]} Emoji */
/** @type {Promise<Record<string, Emoji[]>> | null} */
let table = null;

/** All emoji by group. */
export function groups() {
  table ??= fetch("emoji.json").then((answer) => answer.json());
  return table;
}

/** Emoji whose name has a word that begins so; `_` and `-` are spaces. @param {string} begun @param {number} [most] @returns {Promise<Emoji[]>} */
export async function completions(begun, most = 8) {
  const wanted = begun.toLowerCase().replace(/[_-]+/g, " ").trim();
  const all = Object.values(await groups()).flat();
  const first = all.filter(([, name]) => name.startsWith(wanted));
  const later = all.filter(([, name]) => !name.startsWith(wanted) && name.includes(` ${wanted}`));
  return [...first, ...later].slice(0, most);
}
