// @ts-check
// Why the server refuses something, in the language of the page. A refusal that has no text here is told in the server's words.
import { Broken, Refused } from "./client.js";
import { t } from "./l10n.js";

/** Rejects with the same error, whose message is for people to read. @param {unknown} error @returns {never} */
export function inWords(error) {
  if (error instanceof Refused) error.message = told(error);
  else if (error instanceof Broken) error.message = t("is-broken");
  throw error;
}

/** @param {Refused} error */
function told({ code, frame, message }) {
  for (const name of [`rule-${frame.rule?.replace(".", "-")}`, `code-${code}`]) {
    const text = t(name);
    if (text !== name) return text;
  }
  return message.charAt(0).toUpperCase() + message.slice(1);
}
