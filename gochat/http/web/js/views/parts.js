// @ts-check
// Small parts that many views share: icons, avatars, dialogs, menus.
import { html, useEffect, useLayoutEffect, useRef } from "../html.js";
import { hue, initials } from "../format.js";
import { t } from "../l10n.js";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  send: "M5 12l14-7-4.5 14-3-5.5z M11.5 13.5l7.5-8.5",
  down: "M6 9l6 6 6-6",
  up: "M6 15l6-6 6 6",
  clock: "M12 7v5l3 2 M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  checks: "M2 12.5l4.5 4.5L15 7.5 M10.500 16l1 1L21 7.500",
  alert: "M12 8v5 M12 16.5v.1 M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  smile: "M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z M8.500 14.500c1.800 2.400 5.200 2.400 7 0 M9 9.500v.1 M15 9.500v.1",
  search: "M16.5 16.5L21 21 M18 10.5a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z",
  sun: "M12 4V2 M12 22v-2 M4 12H2 M22 12h-2 M6 6L4.600 4.600 M19.400 19.400L18 18 M6 18l-1.400 1.400 M19.400 4.600L18 6 M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  plus: "M12 5v14 M5 12h14",
  exit: "M14 4h5v16h-5 M4 12h10 M10 8l4 4-4 4",
  more: "M6 12v.1 M12 12v.1 M18 12v.1",
  reply: "M9 7l-5 5 5 5 M4 12h9a6 6 0 0 1 6 6v1",
  pencil: "M4 20l1-4L16 5l3 3L8 19z",
  bin: "M5 7h14 M9 7V4h6v3 M7 7l1 13h8l1-13",
  copy: "M9 9h11v11H9z M5 15H4V4h11v1",
  flag: "M5 21V4h12l-2 4 2 4H5",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1 M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  cross: "M6 6l12 12 M18 6L6 18",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7z M2.500 20a6.500 6.500 0 0 1 13 0 M16 4.500a3.500 3.500 0 0 1 0 6.500 M18 14a6.500 6.500 0 0 1 3.500 6",
  keyboard: "M3 6h18v12H3z M7 10v.1 M11 10v.1 M15 10v.1 M8 14h8",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l1.500 1.500h-15z M10 21h4",
  silent: "M6 17V11a6 6 0 0 1 1-3.300 M9.500 5.500A6 6 0 0 1 18 11v4 M16 18.500H4.500L6 17 M10 21h4 M4 3l17 18",
  chat: "M4 7.500A3.500 3.500 0 0 1 7.500 4h9A3.500 3.500 0 0 1 20 7.500v5a3.500 3.500 0 0 1-3.500 3.500H11l-4.500 4v-4.200A3 3 0 0 1 4 12.500z",
};

/** @param {keyof typeof PATHS} name @param {string} [extra] */
export const icon = (name, extra = "") => html`<svg class=${`icon ${extra}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

/** @param {{name: string, id: string, online?: boolean, size?: "" | "small" | "huge"}} props */
export const Avatar = ({ name, id, online, size = "" }) => html`
  <span class=${`avatar hue-${hue(id)} ${size}`} aria-hidden="true">
    ${initials(name)}${online !== undefined && html`<i class=${online ? "here" : "away"}></i>`}
  </span>`;

/** A button that is an icon. @param {{name: keyof typeof PATHS, label: string, onClick: (event: Event) => void, [more: string]: any}} props */
export const IconButton = ({ name, label, onClick, ...more }) => html`
  <button type="button" class="ghost" aria-label=${label} title=${label} onClick=${onClick} ...${more}>${icon(name)}</button>`;

/** A modal dialog; Escape and a click beside it close it, and the focus goes back to where it was.
 *  @param {{label: string, onClose: () => void, children?: any, wide?: boolean}} props */
export function Dialog({ label, onClose, children, wide = false }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    element.current?.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  /** A selection that is dragged out of a field ends beside the dialog, and is no click there. */
  const pressed = useRef(/** @type {EventTarget | null} */ (null));
  const press = (/** @type {Event} */ event) => { pressed.current = event.target; };
  const beside = (/** @type {Event} */ event) => { if (event.target === element.current && pressed.current === element.current) onClose(); };
  return html`
    <dialog ref=${element} class=${wide ? "wide" : ""} aria-label=${label} onClose=${onClose} onPointerDown=${press}
        onClick=${beside}>
      <div class="sheet">
        <header><h2>${label}</h2><${IconButton} name="cross" label=${t("close")} onClick=${onClose} /></header>
        ${children}
      </div>
    </dialog>`;
}

/** A menu of actions; arrow keys move in it, Escape closes it.
 *  @param {{label: string, items: {name: string, icon?: keyof typeof PATHS, act: () => void, bad?: boolean}[], onClose: () => void}} props */
export function Menu({ label, items, onClose }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    /** @type {HTMLElement | null | undefined} */ (element.current?.querySelector("button"))?.focus();
    const beside = (/** @type {Event} */ event) => {
      if (!element.current?.contains(/** @type {Node} */ (event.target))) onClose();
    };
    document.addEventListener("pointerdown", beside);
    return () => {
      document.removeEventListener("pointerdown", beside);
      if (before?.isConnected) before.focus();
    };
  }, []);
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const buttons = [.../** @type {HTMLElement} */ (element.current).querySelectorAll("button")];
    const index = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    if (event.key === "Escape") onClose();
    else if (event.key === "ArrowDown") buttons[(index + 1) % buttons.length].focus();
    else if (event.key === "ArrowUp") buttons[(index - 1 + buttons.length) % buttons.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`
    <div class="menu" role="menu" aria-label=${label} ref=${element} onKeyDown=${keys}>
      ${items.map((item) => html`
        <button type="button" role="menuitem" key=${item.name} class=${item.bad ? "bad" : ""} onClick=${() => { onClose(); item.act(); }}>
          ${item.icon && icon(item.icon)}<span>${item.name}</span>
        </button>`)}
    </div>`;
}
