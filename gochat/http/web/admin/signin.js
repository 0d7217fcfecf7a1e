// @ts-check
// The sign-in of an admin: by a link of `gochat link NAME --admin`, or a token. It is kept for this tab, apart from a sign-in of the chat.
import { BadTicket, fromText, ofToken, redeem } from "../js/credential.js";
import { batch, html, signal, useState } from "../js/html.js";
import { tab } from "../js/storage.js";
import * as api from "./api.js";
import { t } from "./l10n.js";
import * as state from "./state.js";

const SLOT = "gochat.admin.token";
const ADMIN = "admin";

/** Signs in, once the server has said that the token is an admin's. Rejects with the reason, in words, and leaves an earlier sign-in
 *  as it is: a link that somebody made up signs nobody out. @param {{ticket?: string, token?: string}} given */
export async function enter(given) {
  const { token, expires } = await credential(given);
  const who = await api.get("me", {}, token).catch((error) => {
    throw error instanceof api.Refused ? new Error(t("bad-token", { why: error.message })) : error;
  });
  if (!who.scopes.includes(ADMIN)) throw new Error(t("no-scope", { user: who.user }));
  api.authorize(token, (why) => leave(t("signed-out-why", { why })));
  tab.set(SLOT, JSON.stringify({ token, expires }));
  batch(() => {
    if (state.me.value !== who.user) state.clear("");
    state.me.value = who.user;
    state.ended.value = "";
  });
}

/** @param {{ticket?: string, token?: string}} given */
async function credential({ ticket, token }) {
  unanswered.value = "";
  if (token) return ofToken(token);
  if (!ticket) throw new Error(t("no-credential"));
  try {
    return await redeem(ticket);
  } catch (error) {
    if (error instanceof BadTicket) throw new Error(t("bad-ticket"));
    unanswered.value = ticket;
    throw new Error(t("no-server"));
  }
}

/** The ticket that the server had no answer for. */
const unanswered = signal("");
/** Tries it again. */
export const Again = () => (unanswered.value ? html`
  <button type="button" class="soft" onClick=${() => enter({ ticket: unanswered.value }).catch(tell)}>${t("try-again")}</button>` : null);

/** @param {Error} error */
export const tell = (error) => { state.ended.value = error.message; };

/** Goes on with the sign-in that this tab has kept. */
export function begin() {
  const { token = "", expires = 0 } = tab.value(SLOT) ?? {};
  if (!token || (expires && expires < Date.now())) return;
  enter({ token }).catch(tell);
}

/** @param {string} [why] */
export function leave(why = "") {
  tab.remove(SLOT);
  api.authorize("");
  state.clear(why);
}

export function SignIn() {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    await enter(fromText(text)).catch(tell);
    setBusy(false);
  };
  return html`
    <main class="door">
      <form onSubmit=${submit}>
        <img src="/icon.svg" width="56" height="56" alt="" />
        <h1>${t("admin")}</h1>
        <p>${t("admin-how")}</p>
        <pre tabindex="0"><code>gochat link NAME --admin</code></pre>
        <label>
          <span>${t("paste")}</span>
          <input name="credential" type="password" autocomplete="off" spellcheck=${false} value=${text} autofocus
            onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
        </label>
        <button class="primary" disabled=${!text.trim() || busy}>${t(busy ? "coming-in" : "come-in")}</button>
        ${state.ended.value && html`<p class="bad" role="alert">${state.ended.value}</p>`}
        <${Again} />
      </form>
    </main>`;
}
