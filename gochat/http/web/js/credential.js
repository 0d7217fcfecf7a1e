// @ts-check
// The sign-in: a token from a link's ticket, from the fragment of the address, or pasted. It is kept for this tab alone.
import { tab } from "./storage.js";

const SLOT = "gochat.token";

/** @typedef {{user: string, token: string, expires: number, confirmed?: boolean}} Credential `expires` in ms since the epoch;
 *   0: unknown; `confirmed`: the server has said that the token is this user's, which until then the token alone says */

/** The link is of no use: it was used, is over, or is no ticket. */
export class BadTicket extends Error {}
/** The server did not say whether the link is of use: it is to be tried again. */
export class NoAnswer extends Error {}

/** A busy server is asked so often, with pauses of a second, two and four, or as long as it says. */
const TRIES = 4;
const FIRST_PAUSE_MS = 1_000;
/** A server that wants more time is asked again when the person says so. */
const LONGEST_PAUSE_MS = 10_000;

/** The claims of a token, which the server alone verifies. @param {string} token */
function claims(token) {
  const text = token.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/");
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** @param {string} token @returns {Credential} */
export function ofToken(token) {
  const { sub = "", exp = 0 } = claims(token);
  return { user: String(sub), token, expires: Number(exp) * 1000 };
}

/** Takes what the address carries, out of the bar and the history at once. @returns {{ticket?: string, token?: string}} */
export function fromAddress() {
  const carried = new URLSearchParams(location.hash.slice(1));
  const ticket = carried.get("ticket") ?? undefined;
  const token = carried.get("token") ?? undefined;
  if (ticket || token) history.replaceState(null, "", location.pathname + location.search);
  return { ticket, token };
}

/** A link or a bare token that a person pasted. @param {string} text */
export function fromText(text) {
  const carried = new URLSearchParams(text.trim().replace(/^[^#]*#/, ""));
  const ticket = carried.get("ticket");
  const token = carried.get("token");
  if (ticket) return { ticket };
  if (token) return { token };
  const bare = text.trim();
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(bare) ? { token: bare } : {};
}

/** Trades the single-use ticket for a token. Rejects with BadTicket where the server refuses it, with NoAnswer where it says
 *  neither yes nor no for long. @param {string} ticket @returns {Promise<Credential>} */
export async function redeem(ticket) {
  for (let tries = 0; ; tries++) {
    const { status, body } = await post(ticket);
    if (status === 200 && body.token) return { user: body.user, token: body.token, expires: body.expires, confirmed: true };
    if (status === 400 || status === 401) throw new BadTicket(body.detail ?? body.title);
    const pause = body.retry_after_ms ?? FIRST_PAUSE_MS * 2 ** tries;
    const passes = status === 429 || status >= 500;
    if (!passes || tries + 1 === TRIES || pause > LONGEST_PAUSE_MS) throw new NoAnswer(`HTTP ${status}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** @param {string} ticket @returns {Promise<{status: number, body: any}>} Status 0: the server did not answer. */
async function post(ticket) {
  try {
    const answer = await fetch("/v1/tickets", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ticket }),
    });
    return { status: answer.status, body: await answer.json().catch(() => ({})) };
  } catch {
    return { status: 0, body: {} };
  }
}

/** @returns {Credential | null} */
const stored = () => tab.value(SLOT);

/** @returns {Credential | null} */
export function kept() {
  const credential = stored();
  return credential?.expires && credential.expires < Date.now() ? null : credential;
}

/** One that is not confirmed takes the place of no other: a link that somebody made up signs nobody out.
 *  @param {Credential} credential */
export function keep(credential) {
  if (credential.confirmed || !kept()) tab.set(SLOT, JSON.stringify(credential));
}

/** Forgets what is kept; with a token, only where it is that one. @param {string} [token] */
export function forget(token) {
  if (token === undefined || stored()?.token === token) tab.remove(SLOT);
}
