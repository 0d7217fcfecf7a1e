// @ts-check
// The words of the operator's page: its own, and those of the chat for the parts that both have.
import { language, translator, words } from "../js/l10n.js";
import { texts as en } from "./text/en.js";

const german = language.slice(0, 2).toLowerCase() === "de";
const own = german ? (await import("./text/de.js")).texts : en;

/** The text of that name, with each {word} replaced. */
export const t = translator({ ...words.own, ...own }, { ...words.english, ...en });
