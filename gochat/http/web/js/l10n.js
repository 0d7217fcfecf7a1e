// @ts-check
// The page's words. A language is one file of text/; what it lacks is English. A text with a count has a form for each
// plural category of its language.
import { texts as en } from "./text/en.js";

/** @typedef {string | {one?: string, few?: string, many?: string, other: string}} Text */
/** Languages beside English; each is a file of text/ that only its speakers read. */
const LANGUAGES = ["de"];

/** The tag as browsers take it, of what addresses and systems say: `de_DE`, `en-`. One that they don't take is English, or its first two
 *  letters. @param {string} said */
export function tagOf(said) {
  for (const tag of [said.replace(/_/g, "-"), said.slice(0, 2)]) {
    try {
      return Intl.getCanonicalLocales(tag)[0];
    } catch {
      // It is none.
    }
  }
  return "en";
}

// Programs outside of a browser have no address, and in older versions of Node no language.
const wanted = tagOf(new URLSearchParams(globalThis.location?.search).get("lang") ?? globalThis.navigator?.language ?? "en");
const chosen = wanted.slice(0, 2).toLowerCase();

/** The language that the page speaks, for `lang` and for dates. */
export const language = LANGUAGES.includes(chosen) ? wanted : chosen === "en" ? wanted : "en";
/** @type {Record<string, Text>} */
const own = LANGUAGES.includes(chosen) ? (await import(`./text/${chosen}.js`)).texts : en;
/** @type {Record<string, Text>} */
const english = en;
const plurals = new Intl.PluralRules(language);

/** The words of this page, for pages that add some. */
export const words = { own, english };

/** Makes the function that gives texts: those of the language, and for what it lacks the English ones.
 *  @param {Record<string, Text>} own @param {Record<string, Text>} english
 *  @returns {(name: string, words?: Record<string, string | number>) => string} */
export const translator = (own, english) => (name, words = {}) => {
  const text = own[name] ?? english[name] ?? name;
  const form = typeof text === "string" ? text : text[/** @type {"one"} */ (plurals.select(Number(words.n)))] ?? text.other;
  return form.replace(/\{(\w+)\}/g, (whole, word) => String(words[word] ?? whole));
};

/** The text of that name, with each {word} replaced. */
export const t = translator(own, english);
