// @ts-check
// The door: a link's ticket, or a link or token that a person pastes.
import { BadTicket, fromText, ofToken, redeem } from "../credential.js";
import { html, signal, useState } from "../html.js";
import { t } from "../l10n.js";
import { signIn } from "../session.js";
import { status } from "../state.js";
import { lacking } from "../unsent.js";

/** @typedef {{ticket?: string, token?: string}} Given */
/** The last link's fate: it is being traded for a token, or why that failed, and a ticket to try again with. */
export const entry = signal(/** @type {{busy?: boolean, wrong?: string, again?: Given}} */ ({}));

/** Signs in with what a link or a person gave; where it fails, `entry` says why. @param {Given} given */
export async function enter(given) {
  const mine = entry.value = { busy: true };
  const next = await traded(given);
  if (entry.value !== mine) return; // Another link was opened meanwhile.
  entry.value = "wrong" in next ? next : {};
  if ("user" in next) signIn(next);
}

/** @param {Given} given */
async function traded({ ticket, token }) {
  if (token) return ofToken(token);
  if (!ticket) return { wrong: t("no-credential") };
  try {
    return await redeem(ticket);
  } catch (error) {
    return error instanceof BadTicket ? { wrong: t("bad-ticket") } : { wrong: t("no-server"), again: { ticket } };
  }
}

/** Tries the link again that the server had no answer for. */
export function Again() {
  const { again } = entry.value;
  return again ? html`<button type="button" class="soft" onClick=${() => enter(again)}>${t("try-again")}</button>` : null;
}

export function SignIn() {
  const [text, setText] = useState("");
  const { busy, wrong } = entry.value;
  const { phase, why } = status.value;
  const connecting = busy || phase === "connecting";
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    enter(fromText(text));
  };
  const reason = busy ? "" : wrong || (phase === "ended" && why ? t("signed-out-why", { why }) : phase === "offline" ? t("no-server") : "");
  return html`
    <main class="door">
      <form onSubmit=${submit}>
        <img src="icon.svg" width="56" height="56" alt="" />
        <h1>${t("welcome")}</h1>
        <p>${t("welcome-how")}</p>
        <pre tabindex="0"><code>gochat link NAME</code></pre>
        <label>
          <span>${t("paste")}</span>
          <input name="credential" type="password" autocomplete="off" spellcheck=${false} value=${text} autofocus
            onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
        </label>
        <${Unsent} />
        <button class="primary" disabled=${!text.trim() || connecting}>${t(connecting ? "coming-in" : "come-in")}</button>
        ${reason && html`<p class="bad" role="alert">${reason}</p>`}
        <${Again} />
      </form>
    </main>`;
}

/** The messages that are lost where another user signs in. */
function Unsent() {
  const there = lacking();
  return there && html`<p>${t("unsent", there)}</p>`;
}

/** Asks before a link takes the place of another sign-in. @param {{old: string, user: string, onStay: () => void, onContinue: () => void}} props */
export const Replace = ({ old, user, onStay, onContinue }) => html`
  <main class="door">
    <form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); onContinue(); }}>
      <img src="icon.svg" width="56" height="56" alt="" />
      <h1>${t("continue-as", { user })}</h1>
      <p>${t("continue-as-why", { old, user })}</p>
      <${Unsent} />
      <button class="primary">${t("continue", { user })}</button>
      <button type="button" class="soft" onClick=${onStay}>${t("stay", { old })}</button>
    </form>
  </main>`;
