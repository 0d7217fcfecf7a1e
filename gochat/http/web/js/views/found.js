// @ts-check
// The results of a search: chats, people, messages.
import * as actions from "../actions.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import * as state from "../state.js";
import * as when from "../time.js";
import { Avatar } from "./parts.js";
import { Preview } from "./rail.js";

const SEARCH_AFTER_MS = 200;
/** A well-formed user id: whoever has it can be written to, before they ever sign in. */
const USER_ID = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

/** @param {{wanted: string, onOpen: () => void}} props */
export function Found({ wanted, onOpen }) {
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
