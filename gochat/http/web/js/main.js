// @ts-check
// The page begins: the theme, who one is, and what the address asks to show.
import * as actions from "./actions.js";
import { fromAddress, kept } from "./credential.js";
import { fromHost } from "./host.js";
import { effect, html, render } from "./html.js";
import { language } from "./l10n.js";
import { onNotice } from "./notices.js";
import { forgetEnded } from "./offline.js";
import { renew, signIn } from "./session.js";
import * as state from "./state.js";
import { showTheme } from "./storage.js";
import { keepTime } from "./time.js";
import * as unsent from "./unsent.js";
import * as worker from "./worker.js";
import { App } from "./views/app.js";
import { Replace, enter } from "./views/signin.js";

const place = /** @type {HTMLElement} */ (document.getElementById("app"));
showTheme();
keepTime();
document.documentElement.lang = language;
document.documentElement.dir = /^(ar|he|fa|ur)\b/.test(language) ? "rtl" : "ltr";

const draw = () => render(html`<${App} />`, place);

/** Shows what the address names, once signed in: `#message=ROOM:SEQ`, or `#room=ROOM`. */
function followAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const room = wanted.get("room");
  const message = /^(.*):(\d+)$/.exec(wanted.get("message") ?? "");
  if (message) actions.showMessage(message[1], Number(message[2]));
  else if (room) actions.show(room);
}

/** @param {{ticket?: string, token?: string}} given */
function come(given) {
  enter(given);
  draw();
}

/** The user that a ticket or token is for, unverified: only to ask. @param {{ticket?: string, token?: string}} given */
function userOf(given) {
  try {
    const part = (given.ticket ?? given.token ?? "").split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return String(JSON.parse(atob(part)).sub);
  } catch {
    return "?";
  }
}

/** Signs in with what the address carries; asks first where the tab is signed in as somebody else, or has messages of theirs.
 *  @param {{ticket?: string, token?: string}} given */
function signInWith(given) {
  const before = kept();
  const user = userOf(given);
  const old = before?.user ?? unsent.lacking()?.user ?? user;
  if (old === user) {
    come(given);
    return;
  }
  const stay = () => {
    if (before && state.me.value !== old) signIn(before);
    draw();
  };
  render(html`<${Replace} old=${old} user=${user} onStay=${stay} onContinue=${() => come(given)} />`, place);
}

function begin() {
  forgetEnded();
  const given = fromAddress();
  if (given.ticket || given.token) {
    signInWith(given);
    return;
  }
  const before = kept();
  if (before) signIn(before);
  draw();
}

/** The page is read: the worker may take its time. */
const WORKER_AFTER_MS = 1_500;

let followed = false;
effect(() => {
  if (followed || state.status.value.phase !== "online") return;
  followed = true;
  queueMicrotask(followAddress);
  setTimeout(worker.install, WORKER_AFTER_MS);
});
addEventListener("hashchange", () => {
  const given = fromAddress();
  if (given.ticket || given.token) signInWith(given); else followAddress();
});
// Messages that were not sent are in this tab alone.
addEventListener("beforeunload", (event) => { if (unsent.lacking()) event.preventDefault(); });
onNotice(actions.show);
worker.onShow(actions.show);
fromHost((credential) => {
  if (credential.user === state.me.value && state.status.value.phase !== "ended") renew(credential);
  else {
    signIn(credential);
    draw();
  }
});
begin();
performance.mark("drawn");
