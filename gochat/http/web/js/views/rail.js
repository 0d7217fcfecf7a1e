// @ts-check
// The list of chats, requests above it, and search in all that can be found.
import * as actions from "../actions.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import * as state from "../state.js";
import { setTheme } from "../storage.js";
import * as when from "../time.js";
import { isSilent } from "../wishes.js";
import { draftOf } from "../drafts.js";
import { Avatar, IconButton, Menu, icon } from "./parts.js";

const SEARCH_AFTER_MS = 200;
/** A well-formed user id: whoever has it can be written to, before they ever sign in. */
const USER_ID = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

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
function Preview({ room, open }) {
  const { last } = room;
  const draft = open ? "" : draftOf(state.me.value, room.id);
  if (Object.keys(room.typing).length) return html`<span class="preview typing">${t("typing")}</span>`;
  if (draft) return html`<span class="preview" dir="auto"><b>${t("draft")}:</b> ${draft}</span>`;
  if (!last) return html`<span class="preview">${t("no-messages")}</span>`;
  const from = last.from === state.me.value ? `${t("you")}: ` : room.kind === "group" ? `${nameOf(last.from)}: ` : "";
  return html`<span class="preview" dir="auto">${last.deleted ? html`<em>${t("deleted")}</em>` : from + inNames(last.body, last.mentions)}</span>`;
}

// ------------------------------------------------------------------------------------------------ search

/** @param {{wanted: string, onOpen: () => void}} props */
function Found({ wanted, onOpen }) {
  const [people, setPeople] = useState(/** @type {{user: string, name: string}[]} */ ([]));
  const [messages, setMessages] = useState(/** @type {any[]} */ ([]));
  const [next, setNext] = useState(/** @type {string | undefined} */ (undefined));
  const [searching, setSearching] = useState(true);
  const needle = wanted.toLowerCase();
  const there = (/** @type {import("../rooms.js").Room} */ room) => room.last || room.kind === "group";
  const rooms = [...state.rooms.value.values()].filter((room) => there(room) && (room.title.toLowerCase().includes(needle) || room.id.includes(needle)));
  useEffect(() => {
    let stale = false;
    setSearching(true);
    const timer = setTimeout(async () => {
      const [users, found] = await Promise.allSettled([actions.searchUsers(wanted), actions.searchMessages(wanted)]);
      if (stale) return;
      setPeople(users.status === "fulfilled" ? users.value : []);
      setMessages(found.status === "fulfilled" ? found.value.entries : []);
      setNext(found.status === "fulfilled" ? found.value.next : undefined);
      setSearching(false);
    }, SEARCH_AFTER_MS);
    return () => { stale = true; clearTimeout(timer); };
  }, [wanted]);
  const more = async () => {
    const found = await actions.searchMessages(wanted, next).catch(state.tell);
    if (!found) return;
    setMessages([...messages, ...found.entries]);
    setNext(found.next);
  };
  const known = new Set(rooms.map((room) => room.other));
  const strangers = people.filter((person) => !known.has(person.user) && person.user !== state.me.value);
  const typed = USER_ID.test(needle) && !known.has(needle) && !strangers.some((person) => person.user === needle);
  if (typed) strangers.push({ user: needle, name: needle });
  const open = (/** @type {() => void} */ act) => () => { onOpen(); act(); };
  if (!searching && !rooms.length && !strangers.length && !messages.length) return html`<p class="none" role="status">${t("nothing-found")}</p>`;
  return html`
    <div class="found chats" aria-busy=${searching}>
      ${rooms.length > 0 && html`<h2>${t("in-chats")}</h2>`}
      ${rooms.slice(0, 8).map((room) => html`
        <button class="chat" key=${room.id} onClick=${open(() => actions.show(room.id))}>
          <${Avatar} name=${room.title} id=${room.other || room.id} online=${room.kind === "dm" ? room.online : undefined} />
          <span class="line"><b dir="auto">${room.title}</b></span>
          <span class="line"><${Preview} room=${room} open=${false} /></span>
        </button>`)}
      ${strangers.length > 0 && html`<h2>${t("in-people")}</h2>`}
      ${strangers.map((person) => html`
        <button class="chat" key=${person.user} onClick=${open(() => actions.startWith(person.user))}>
          <${Avatar} name=${person.name} id=${person.user} />
          <span class="line"><b dir="auto">${person.name}</b></span>
          <span class="line"><span class="preview">${t("write-to", { user: person.user })}</span></span>
        </button>`)}
      ${messages.length > 0 && html`<h2>${t("in-messages")}</h2>`}
      ${messages.map((fact) => html`
        <button class="chat" key=${`${fact.room}:${fact.seq}`} onClick=${open(() => actions.showMessage(fact.room, fact.seq))}>
          <${Avatar} name=${nameOf(fact.from)} id=${fact.from} />
          <span class="line"><b dir="auto">${nameOf(fact.from)}</b><time>${when.brief(fact.ts)}</time></span>
          <span class="line"><span class="preview" dir="auto">${inNames(fact.body, fact.mentions ?? [])}</span></span>
        </button>`)}
      ${next && html`<button class="soft" onClick=${more}>${t("more")}</button>`}
    </div>`;
}
