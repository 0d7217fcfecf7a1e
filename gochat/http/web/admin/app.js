// @ts-check
// The frame of the operator's page: who one is, the state of the node, the views beside each other.
import { html, useEffect, useState } from "../js/html.js";
import { setTheme } from "../js/storage.js";
import { IconButton } from "../js/views/parts.js";
import { VIEWS, address } from "./address.js";
import { t } from "./l10n.js";
import { Asking } from "./parts.js";
import { watchOverview } from "./poll.js";
import { Again, SignIn, leave } from "./signin.js";
import * as state from "./state.js";
import { Audit } from "./views/audit.js";
import { Mailboxes } from "./views/mailboxes.js";
import { Overview } from "./views/overview.js";
import { Reports } from "./views/reports.js";
import { Rooms } from "./views/rooms.js";
import { Sessions } from "./views/sessions.js";
import { Supervisors } from "./views/supervisors.js";
import { Suspensions } from "./views/suspensions.js";
import { Users } from "./views/users.js";

/** @type {Record<string, (props: {of: string}) => any>} */
const SHOWN = {
  overview: Overview, reports: Reports, users: Users, rooms: Rooms, sessions: Sessions, suspensions: Suspensions, audit: Audit,
  mailboxes: Mailboxes, supervisors: Supervisors,
};

export function App() {
  const signedIn = state.me.value !== "";
  const { name, of } = state.view.value;
  useEffect(() => (signedIn ? watchOverview() : undefined), [signedIn]);
  useEffect(() => {
    document.title = signedIn ? `${of || t(name)} · ${t("admin")}` : t("admin");
    if (!signedIn) return;
    state.done.value = "";
    document.getElementById("heading")?.focus();
    scrollTo(0, 0);
    // On a phone the views stand in a row that scrolls.
    document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [signedIn, name, of]);
  if (!signedIn) return html`<${SignIn} />`;
  const Shown = SHOWN[name];
  return html`
    <div class="admin">
      <${Top} />
      <${Views} />
      <main>${state.ended.value && html`<p class="notice bad" role="alert">${state.ended.value} <${Again} /></p>`}<${Shown} key=${`${name}/${of}`} of=${of} />
      </main>
      <p class="done" role="status">${state.done.value}</p>
      <${Asking} />
    </div>`;
}

function Top() {
  const now = state.samples.value.at(-1);
  const bad = state.trouble.value !== "" || now?.ready === false;
  const said = state.trouble.value || (now ? t(now.ready ? "ready" : "not-ready") : t("reading"));
  return html`
    <header class="top">
      <b class="node"><bdi>${now?.node ?? "gochat"}</bdi></b>
      <span class=${bad ? "pill bad" : "pill"} role="status">${said}</span>
      <span class="who"><bdi>${state.me.value}</bdi></span>
      <${Theme} />
      <${IconButton} name="exit" label=${t("sign-out")} onClick=${() => leave()} />
    </header>`;
}

function Theme() {
  const [, redraw] = useState(0);
  const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const choose = () => {
    setTheme(dark ? "light" : "dark");
    redraw((times) => times + 1);
  };
  return html`<${IconButton} name=${dark ? "sun" : "moon"} label=${t(dark ? "theme-light" : "theme-dark")} onClick=${choose} />`;
}

const Views = () => html`
  <nav aria-label=${t("views")}>${VIEWS.map((name) => html`
    <a key=${name} href=${address(name)} aria-current=${state.view.value.name === name ? "page" : undefined}>${t(name)}</a>`)}</nav>`;
