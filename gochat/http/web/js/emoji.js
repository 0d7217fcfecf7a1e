// @ts-check
// The table of emoji with their names, which is read when somebody first looks for one.

/** @typedef {[emoji: string, name: string]} Emoji */
/** @type {Promise<Record<string, Emoji[]>> | null} */
let table = null;

/** Short names that people know from elsewhere, beside the Unicode names of the table. @type {Record<string, string>} */
const USUAL = {
  "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎", tada: "🎉", joy: "😂", rofl: "🤣", smile: "😄", laughing: "😆", wink: "😉",
  cry: "😢", sob: "😭", heart: "❤️", heart_eyes: "😍", thinking: "🤔", clap: "👏", pray: "🙏", wave: "👋", ok: "👌", 100: "💯", shrug: "🤷",
};

/** Each emoji apart from its name, from which the file parts it by a space. @param {Record<string, string[]>} lines @returns {Record<string, Emoji[]>} */
const parted = (lines) => Object.fromEntries(Object.entries(lines).map(([group, all]) => [group, all.map((line) => {
  const end = line.indexOf(" ");
  return [line.slice(0, end), line.slice(end + 1)];
})]));

/** All emoji by group. */
export function groups() {
  table ??= fetch("emoji.json").then((answer) => answer.json()).then(parted).catch((error) => {
    table = null; // The network was away: whoever asks next asks it again.
    throw error;
  });
  return table;
}

/** Emoji whose name has a word that begins so; `_` and `-` are spaces. @param {string} begun @param {number} [most] @returns {Promise<Emoji[]>} */
export async function completions(begun, most = 8) {
  const wanted = begun.toLowerCase().replace(/[_-]+/g, " ").trim();
  const all = Object.values(await groups()).flat();
  /** @type {Emoji[]} */
  const usual = Object.entries(USUAL).filter(([name]) => name.startsWith(begun.toLowerCase())).map(([name, sign]) => [sign, name]);
  const first = all.filter(([, name]) => name.startsWith(wanted));
  const later = all.filter(([, name]) => !name.startsWith(wanted) && name.includes(` ${wanted}`));
  const bySign = new Map([...usual, ...first, ...later].reverse().map(([sign, name]) => [sign, name]));
  return /** @type {Emoji[]} */ ([...bySign].reverse()).slice(0, most);
}

/** The emoji of that very name. @param {string} name @returns {Promise<string | undefined>} */
export async function named(name) {
  const wanted = name.toLowerCase();
  const spoken = wanted.replace(/[_-]+/g, " ");
  return USUAL[wanted] ?? Object.values(await groups()).flat().find(([, each]) => each === spoken)?.[0];
}
