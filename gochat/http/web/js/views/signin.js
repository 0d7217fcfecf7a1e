// @ts-check
// The door: a link's ticket, or a link or token that a person pastes.
import { BadTicket, fromText, ofToken, redeem } from "../credential.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { signIn } from "../session.js";
import { status } from "../state.js";
import { lacking } from "../unsent.js";

/** Signs in with what a link or a person gave. Rejects with the reason, in words. @param {{ticket?: string, token?: string}} given */
export async function enter({ ticket, token }) {
  if (token) {
    signIn(ofToken(token));
    return;
  }
  if (!ticket) throw new Error(t("no-credential"));
  try {
    signIn(await redeem(ticket));
  } catch (error) {
    if (error instanceof BadTicket) throw new Error(t("bad-ticket"));
    throw new Error(t("no-server"));
  }
}

/** @param {{problem: string}} props What went wrong with the link that opened the page. */
export function SignIn({ problem }) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState(problem);
  useEffect(() => setWrong(problem), [problem]); // Another link was opened in this tab.
  const { phase, why } = status.value;
  const connecting = phase === "connecting";
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    setWrong("");
    enter(fromText(text)).catch((error) => setWrong(error.message));
  };
  const reason = wrong || (phase === "ended" && why ? t("signed-out-why", { why }) : phase === "offline" ? t("no-server") : "");
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
