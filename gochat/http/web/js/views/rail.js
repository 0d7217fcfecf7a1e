// @ts-check
// The list of chats, requests above it, and the field to search in.
import * as actions from "../actions.js";
import { html, lazy, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import * as state from "../state.js";
import { setTheme } from "../storage.js";
import * as when from "../time.js";
import { isSilent } from "../wishes.js";
import { draftOf } from "../drafts.js";
import { Avatar, IconButton, Menu, icon } from "./parts.js";

// The list stands before anybody searches.
const Found = lazy(async () => (await import("./found.js")).Found);
export { Found };

export function Rail() {
  const [query, setQuery] = useState("");
  const wanted = query.trim();
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || event.isComposing || !query) return;
    event.preventDefault();
    event.stopPropagation(); // The open chat stays.
    setQuery("");
  };
  return html`
    <nav class="rail" aria-label=${t("chats")}>
      <${Head} />
      <form class="find" role="search" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); openFirst(); }}>
        <label>
          ${icon("search")}<span class="sr">${t("find")}</span>
          <input id="find" type="search" placeholder=${t("find")} value=${query} autocomplete="off" maxlength="200"
            onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} onKeyDown=${keys} />
        </label>
      </form>
      ${wanted ? html`<${Found} wanted=${wanted} onOpen=${() => setQuery("")} />` : html`<${Requests} /><${Chats} />`}
    </nav>`;
}

const openFirst = () => /** @type {HTMLElement | null} */ (document.querySelector(".rail .chat"))?.click();

function Head() {
  const [menu, setMenu] = useState(false);
  const dark = isDark();
  const [, redraw] = useState(0);
  const items = [
    { name: t("profile"), icon: /** @type {const} */ ("people"), act: () => { state.dialog.value = { name: "profile", user: state.me.value }; } },
    { name: t("new-group"), icon: /** @type {const} */ ("people"), act: () => { state.dialog.value = { name: "new-group" }; } },
    { name: t("contacts"), icon: /** @type {const} */ ("chat"), act: () => { state.dialog.value = { name: "contacts" }; } },
    { name: t("shortcuts"), icon: /** @type {const} */ ("keyboard"), act: () => { state.dialog.value = { name: "shortcuts" }; } },
    { name: t("notifications"), icon: /** @type {const} */ ("bell"), act: () => { state.dialog.value = { name: "notifications" }; } },
    { name: t("sign-out"), icon: /** @type {const} */ ("exit"), act: actions.leave },
  ];
  return html`
    <header class="bar">
      <${Avatar} name=${nameOf(state.me.value)} id=${state.me.value} online=${state.status.value.phase === "online"} />
      <h1 class="self" dir="auto" title=${state.me.value}>${nameOf(state.me.value)}</h1>
      <${IconButton} name=${dark ? "sun" : "moon"} label=${t(dark ? "theme-light" : "theme-dark")}
        onClick=${() => { setTheme(dark ? "light" : "dark"); redraw((n) => n + 1); }} />
      <span class="anchor">
        <${IconButton} name="more" label=${t("more")} aria-haspopup="menu" aria-expanded=${menu} onClick=${() => setMenu(!menu)} />
        ${menu && html`<${Menu} label=${t("more")} items=${items} onClose=${() => setMenu(false)} />`}
      </span>
    </header>`;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const Requests = () => state.requests.value.map((request) => html`
  <section class="request" key=${request.user} aria-label=${t("request-of", { name: request.name })}>
    <p><bdi>${t("wants-to-chat", { name: request.name })}</bdi></p>
    <q dir="auto">${inNames(request.last.body)}</q>
    <div>
      <button class="primary" onClick=${() => actions.relate(request.user, "accept")}>${t("accept")}</button>
      <button class="soft" onClick=${() => actions.relate(request.user, "decline")}>${t("decline")}</button>
      <button class="soft bad" onClick=${() => actions.relate(request.user, "block")}>${t("block")}</button>
    </div>
  </section>`);

function Chats() {
  const rooms = state.roomList.value;
  if (!rooms.length) return html`<p class="none">${t("no-chats")}</p>`;
  return html`<ul class="chats">${rooms.map((room) => html`<li key=${room.id}><${Chat} room=${room} open=${room.id === state.openRoom.value} /></li>`)}</ul>`;
}

/** @param {{room: import("../rooms.js").Room, open: boolean}} props */
const Chat = ({ room, open }) => html`
  <button class="chat" aria-current=${open ? "true" : undefined} onClick=${() => actions.show(room.id)}>
    <${Avatar} name=${room.title} id=${room.other || room.id} online=${room.kind === "dm" ? room.online : undefined} />
    <span class="line"><b dir="auto">${room.title}</b>${isSilent(room.id) && html`<span role="img" aria-label=${t("silent-now")}>${icon("silent")}</span>`}
      ${room.last && html`<time>${when.brief(room.last.ts)}</time>`}</span>
    <span class="line">
      <${Preview} room=${room} open=${open} />
      ${room.mentions > 0 && html`<span class="badge" aria-label=${t("mentions", { n: room.mentions })}>@</span>`}
      ${room.unread > 0 && html`<span class="badge" aria-label=${t("unread", { n: room.unread })}>${room.unread > 99 ? "99+" : room.unread}</span>`}
    </span>
  </button>`;

/** @param {{room: import("../rooms.js").Room, open: boolean}} props */
export function Preview({ room, open }) {
  const { last } = room;
  const draft = open ? "" : draftOf(state.me.value, room.id);
  if (Object.keys(room.typing).length) return html`<span class="preview typing">${t("typing")}</span>`;
  if (draft) return html`<span class="preview" dir="auto"><b>${t("draft")}:</b> ${draft}</span>`;
  if (!last) return html`<span class="preview">${t("no-messages")}</span>`;
  const from = last.from === state.me.value ? `${t("you")}: ` : room.kind === "group" ? `${nameOf(last.from)}: ` : "";
  return html`<span class="preview" dir="auto">${last.deleted ? html`<em>${t("deleted")}</em>` : from + inNames(last.body, last.mentions)}</span>`;
}
