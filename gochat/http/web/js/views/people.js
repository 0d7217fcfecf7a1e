// @ts-check
// A field for several users: what is typed finds people, the chosen ones stand before it, and any id can be typed in full.
import * as actions from "../actions.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { t } from "../l10n.js";
import { nameOf } from "../names.js";
import * as state from "../state.js";
import { Avatar } from "./parts.js";

/** @typedef {{user: string, name: string}} Person */

const SEARCH_AFTER_MS = 200;
const MOST = 5;
/** A well-formed user id. */
const USER_ID = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

/** @param {string} text */
const ids = (text) => text.toLowerCase().split(/[\s,]+/).filter(Boolean);

/** The chosen users and the text that is being typed, for a form to keep: `all()` is both, `clear()` empties it. */
export function usePeople() {
  const [chosen, choose] = useState(/** @type {string[]} */ ([]));
  const [text, setText] = useState("");
  return {
    chosen, choose, text, setText,
    all: () => [...new Set([...chosen, ...ids(text)])],
    clear: () => { choose([]); setText(""); },
  };
}

/** The users of private chats whose name or id has a word that begins so. @param {string} wanted @returns {Person[]} */
const known = (wanted) => [...state.rooms.value.values()]
  .filter(({ kind, other, title }) => kind === "dm" && [other, ...title.toLowerCase().split(/\s+/)].some((word) => word.startsWith(wanted)))
  .map(({ other, title }) => ({ user: other, name: title }));

/** @param {{label: string, how?: string, people: ReturnType<typeof usePeople>, without?: string[]}} props `without`: users who are no choice */
export function People({ label, how, people: { chosen, choose, text, setText }, without = [] }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [found, setFound] = useState(/** @type {Person[]} */ ([]));
  const [at, setAt] = useState(0);
  /** Escape sent the offers away: an answer that comes now brings them back no more. */
  const [away, setAway] = useState(false);
  const wanted = ids(text).at(-1) ?? "";
  const taken = new Set([...chosen, ...without, state.me.value]);
  useEffect(() => {
    let stale = false;
    setAt(0);
    setAway(false);
    setFound(wanted ? known(wanted) : []);
    const timer = setTimeout(async () => {
      const users = wanted ? await actions.searchUsers(wanted).catch(() => []) : [];
      const all = new Map([...known(wanted), ...users].map((person) => [person.user, person]));
      if (!stale && wanted) setFound([...all.values()]);
    }, SEARCH_AFTER_MS);
    return () => { stale = true; clearTimeout(timer); };
  }, [wanted]);
  const offered = wanted && !away ? found.filter(({ user }) => !taken.has(user)).slice(0, MOST) : [];

  const take = (/** @type {string[]} */ users) => {
    choose([...new Set([...chosen, ...users])]);
    setText("");
    field.current?.focus();
  };
  /** Words before the one that found this user are whole ids. @param {string} user */
  const pick = (user) => take([...ids(text).slice(0, -1), user]);
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing) return;
    if (event.key === "Backspace" && !text && chosen.length) choose(chosen.slice(0, -1));
    else if (event.key === "Enter" && offered.length) pick(offered[at]?.user ?? offered[0].user);
    else if (event.key === "Enter" && text.trim() && ids(text).every((id) => USER_ID.test(id))) take(ids(text));
    else if (offered.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      setAt((at + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length);
    } else if (event.key === "Escape" && offered.length) setAway(true); // The dialog stays.
    else return;
    event.preventDefault();
  };
  return html`
    <div class="labelled people">
      <label><span>${label}</span>
        <input ref=${field} value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${keys} autocomplete="off"
          autocapitalize="none" spellcheck=${false} aria-autocomplete="list" aria-controls=${offered.length ? "people" : undefined}
          aria-activedescendant=${offered.length ? `person-${at}` : undefined} />
      </label>
      ${how && html`<small>${how}</small>`}
      ${offered.length > 0 && html`
        <ul class="offers" id="people" role="listbox" aria-label=${t("in-people")}>${offered.map(({ user, name }, index) => html`
          <li key=${user} id=${`person-${index}`} role="option" aria-selected=${index === at} onPointerMove=${() => setAt(index)} onClick=${() => pick(user)}>
            <${Avatar} name=${name} id=${user} size="small" /><b dir="auto">${name}</b> ${name !== user && html`<span>${user}</span>`}</li>`)}</ul>`}
      ${chosen.length > 0 && html`
        <ul class="chips" aria-label=${label}>${chosen.map((user) => html`
          <${Chip} key=${user} user=${user} onClick=${() => choose(chosen.filter((each) => each !== user))} />`)}</ul>`}
    </div>`;
}

/** One of the chosen. Whom one adds is the id, so it stands with the name. @param {{user: string, onClick: () => void}} props */
const Chip = ({ user, onClick }) => html`
  <li><button type="button" class="soft" aria-label=${t("not-this-user", { user: nameOf(user) })} onClick=${onClick}>
    <bdi>${nameOf(user)}</bdi> ${nameOf(user) !== user && html`<small>${user}</small>`} ×</button></li>`;
