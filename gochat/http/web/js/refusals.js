// @ts-check
// Why the server refuses something, or ends the connection, in the language of the page: by the code, since the server's words are
// English. On an English page these are told where they say more than the code.
import { Broken, Refused } from "./client.js";
import { language, t } from "./l10n.js";

const english = language.startsWith("en");
/** Codes that stand for many reasons. */
const WIDE = new Set(["bad_request", "unauthorized", "conflict", "unavailable", "internal"]);

/** @param {string} name @param {string} other The text for codes without one. @param {string | number} code */
function textOf(name, other, code) {
  const text = t(name);
  return text === name ? t(other, { code }) : text;
}

/** @param {string} words */
const begun = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** @param {{code?: string, rule?: string, message: string}} refusal */
export function reasonOf({ code = "", rule, message }) {
  const name = `rule-${rule?.replace(".", "-")}`;
  if (rule && t(name) !== name) return t(name);
  if (english && message && (WIDE.has(code) || t(`code-${code}`) === `code-${code}`)) return begun(message);
  return textOf(`code-${code}`, "code-other", code);
}

/** Why a session has ended; the page's own reasons have no code. @param {{why?: string, code?: number}} end */
export const whyEnded = ({ why = "", code }) =>
  (code === undefined || (english && why) ? why : textOf(`close-${code}`, "close-other", code));

/** Rejects with the same error, whose message is for people to read. @param {unknown} error @returns {never} */
export function inWords(error) {
  if (error instanceof Refused) error.message = reasonOf({ code: error.code, rule: error.frame.rule, message: error.message });
  else if (error instanceof Broken) error.message = t("is-broken");
  throw error;
}
