// @ts-check
// The view that the address names behind its #: `#/users`, or `#/users/ann`. Without the slash it would be a place in the page.
import * as state from "./state.js";

export const VIEWS = ["overview", "reports", "users", "rooms", "sessions", "suspensions", "audit", "mailboxes", "supervisors"];

/** Shows the view of the address; one that there is not is the first. */
export function follow() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  state.view.value = VIEWS.includes(name) ? { name, of: decoded(rest.join("/")) } : { name: VIEWS[0], of: "" };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** @param {string} name @param {string} [of] */
export const address = (name, of) => (of ? `#/${name}/${encodeURIComponent(of)}` : `#/${name}`);
