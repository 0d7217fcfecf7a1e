// @ts-check
// The picker of emoji: the ones used last, a search by name, all by group.
import { completions, groups } from "../emoji.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { t } from "../l10n.js";
import { shared } from "../storage.js";

const SLOT = "gochat.emoji";
const USUAL = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];
const MOST = 16;

/** The emoji used last, then the usual ones. */
export function recent() {
  const used = shared.value(SLOT);
  return [...new Set([...(Array.isArray(used) ? used : []), ...USUAL])].slice(0, MOST);
}

/** @param {string} emoji */
function used(emoji) {
  shared.set(SLOT, JSON.stringify([...new Set([emoji, ...recent()])].slice(0, MOST)));
}

/** @param {{onPick: (emoji: string) => void, onClose: () => void}} props */
export function Picker({ onPick, onClose }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  const [query, setQuery] = useState("");
  const [table, setTable] = useState(/** @type {[string, import("../emoji.js").Emoji[]][]} */ ([]));
  useEffect(() => {
    let stale = false;
    const names = t("emoji-groups").split("|");
    const all = () => groups().then((table) => Object.values(table).map((list, index) => [names[index], list]));
    const found = query.trim() ? completions(query, 64).then((list) => [[t("emoji"), list]]) : all();
    found.then((/** @type {any} */ list) => { if (!stale) setTable(list); });
    return () => { stale = true; };
  }, [query]);
  useEffect(() => {
    /** @type {HTMLElement | null | undefined} */ (element.current?.querySelector("input"))?.focus();
    const beside = (/** @type {Event} */ event) => {
      if (!element.current?.parentElement?.contains(/** @type {Node} */ (event.target))) onClose();
    };
    document.addEventListener("pointerdown", beside);
    return () => document.removeEventListener("pointerdown", beside);
  }, []);
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    onClose();
  };
  const pick = (/** @type {string} */ emoji) => { used(emoji); onPick(emoji); };
  const button = (/** @type {string} */ emoji, /** @type {string} */ name) => html`
    <button type="button" key=${emoji} title=${name} aria-label=${name} onClick=${() => pick(emoji)}>${emoji}</button>`;
  return html`
    <div class="picker" ref=${element} role="dialog" aria-label=${t("emoji")} onKeyDown=${keys}>
      <input type="search" aria-label=${t("find")} placeholder=${t("emoji")} value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          const first = table[0]?.[1][0]?.[0];
          if (first) pick(first);
        }} />
      <div class="sheets">
        ${!query && html`<div class="grid">${recent().map((emoji) => button(emoji, emoji))}</div>`}
        ${table.map(([group, list]) => html`<h2 key=${group}>${group}</h2><div class="grid">${list.map(([emoji, name]) => button(emoji, name))}</div>`)}
      </div>
    </div>`;
}
