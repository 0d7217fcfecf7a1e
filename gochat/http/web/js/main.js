// @ts-check
// The page begins: the theme, who one is, and what the address asks to show.
import * as actions from "./actions.js";
import { fromAddress, fromHost, kept } from "./credential.js";
import { effect, html, render } from "./html.js";
import { language } from "./l10n.js";
import { onNotice } from "./notices.js";
import { renew, signIn } from "./session.js";
import * as state from "./state.js";
import { App } from "./views/app.js";
import { Replace, enter } from "./views/signin.js";

const place = /** @type {HTMLElement} */ (document.getElementById("app"));
const theme = localStorage.getItem("gochat.theme");
if (theme) document.documentElement.dataset.theme = theme;
document.documentElement.lang = language;
document.documentElement.dir = /^(ar|he|fa|ur)\b/.test(language) ? "rtl" : "ltr";

/** @param {string} [problem] */
const draw = (problem = "") => render(html`<${App} problem=${problem} />`, place);

/** Shows the message that `#message=ROOM:SEQ` names, once signed in. */
function followAddress() {
  const wanted = new URLSearchParams(location.hash.slice(1)).get("message");
  const found = /^(.*):(\d+)$/.exec(wanted ?? "");
  if (found) actions.showMessage(found[1], Number(found[2]));
}

/** @param {{ticket?: string, token?: string}} given */
const come = (given) => enter(given).then(() => draw(), (error) => draw(error.message));

/** The user that a ticket or token is for, unverified: only to ask. @param {{ticket?: string, token?: string}} given */
function userOf(given) {
  try {
    const part = (given.ticket ?? given.token ?? "").split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return String(JSON.parse(atob(part)).sub);
  } catch {
    return "?";
  }
}

function begin() {
  const given = fromAddress();
  const before = kept();
  if (!given.ticket && !given.token) {
    if (before) signIn(before);
    draw();
    return;
  }
  const user = userOf(given);
  if (!before || before.user === user) {
    come(given);
    return;
  }
  const stay = () => { signIn(before); draw(); };
  render(html`<${Replace} old=${before.user} user=${user} onStay=${stay} onContinue=${() => come(given)} />`, place);
}

let followed = false;
effect(() => {
  if (followed || state.status.value.phase !== "online") return;
  followed = true;
  queueMicrotask(followAddress);
});
addEventListener("hashchange", () => {
  const given = fromAddress();
  if (given.ticket || given.token) come(given); else followAddress();
});
onNotice(actions.show);
fromHost((credential) => {
  if (credential.user === state.me.value) renew(credential);
  else {
    signIn(credential);
    draw();
  }
});
begin();
performance.mark("drawn");
