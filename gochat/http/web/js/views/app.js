// @ts-check
// The whole page: the list of chats beside the open one; on a phone, one of the two.
import * as actions from "../actions.js";
import { html, lazy, useEffect } from "../html.js";
import { t } from "../l10n.js";
import * as state from "../state.js";
import * as when from "../time.js";
import { retryNow } from "../wire.js";
import { icon } from "./parts.js";
import { Found, Rail } from "./rail.js";
import { Again, SignIn, entry } from "./signin.js";

// The list of chats stands before these are there.
const Dialogs = lazy(async () => (await import("./dialogs.js")).Dialogs);
const ThreadView = lazy(async () => (await import("./thread.js")).ThreadView);

export function App() {
  const open = state.room.value;
  const unread = state.unread.value;
  useEffect(() => {
    document.title = `${unread ? `(${unread}) ` : ""}${open ? `${open.title} · ` : ""}gochat`;
  }, [unread, open?.title]);
  const signedIn = state.me.value !== "";
  useEffect(() => {
    if (signedIn) ThreadView.load().then(Found.load).then(Dialogs.load);
  }, [signedIn]);
  useEffect(() => {
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  if (!state.me.value || state.status.value.phase === "ended") return html`<${SignIn} />`;
  return html`
    <main class=${`app ${open ? "has-open" : ""}`}>
      <${Rail} />
      ${open ? html`<${ThreadView} room=${open} />` : html`<${Nothing} />`}
      <div class="sr" role="log" aria-live="polite">${state.spoken.value.map(({ id, text }) => html`<p key=${id}>${text}</p>`)}</div>
      <${Banner} />
      ${state.dialog.value && html`<${Dialogs} />`}
    </main>`;
}

const Nothing = () => html`
  <section class="thread blank">
    <div class="empty">
      <span class="mark">${icon("chat")}</span>
      <h2>${t("pick-a-chat")}</h2>
      <p>${t("pick-a-chat-how", { key: `${t("key-ctrl")} K` })}</p>
    </div>
  </section>`;

function Banner() {
  const { phase } = state.status.value;
  const trouble = entry.value.wrong || state.trouble.value;
  if (trouble) {
    return html`<div class="banner bad" role="alert">${trouble} <${Again} />
      <button class="ghost" onClick=${() => { entry.value = {}; state.trouble.value = ""; }}>${t("dismiss")}</button></div>`;
  }
  if (phase === "online" && state.endsAt.value) {
    return html`<div class="banner" role="status">${t("ends-soon", { when: when.time(state.endsAt.value) })}
      <button class="ghost" onClick=${() => { state.endsAt.value = 0; }}>${t("dismiss")}</button></div>`;
  }
  if (phase === "online") return null;
  return html`<div class="banner" role="status">${t(phase === "connecting" ? "coming-in" : "no-connection")}
    ${phase === "offline" && html`<button class="ghost" onClick=${retryNow}>${t("reconnect-now")}</button>`}</div>`;
}

/** @param {KeyboardEvent} event */
function keys(event) {
  if (event.isComposing) return; // Escape ends what an input method proposes.
  const element = /** @type {HTMLElement} */ (event.target);
  const writing = element.matches("input, textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key === "k") document.getElementById("find")?.focus();
  else if (event.altKey && event.key === "ArrowUp") actions.showNeighbour(-1);
  else if (event.altKey && event.key === "ArrowDown") actions.showNeighbour(1);
  else if (event.key === "?" && !writing) state.dialog.value = { name: "shortcuts" };
  else if (event.key === "Escape" && state.openRoom.value && !state.dialog.value && !element.closest(".menu, .picker")) actions.closeRoom();
  else return;
  event.preventDefault();
}
