// @ts-check
// Small texts that the browser keeps for the page. A browser may refuse it, or have no space left: then the text is there for as
// long as the page is open, and nothing fails.

/** @typedef {ReturnType<typeof area>} Area */

/** @param {() => Storage} open Throws where the site may keep nothing. */
function area(open) {
  /** The texts that the browser did not take. @type {Map<string, string>} */
  const unkept = new Map();
  /** @template T @param {(storage: Storage) => T} act @param {T} otherwise @returns {T} */
  const attempt = (act, otherwise) => {
    try {
      return act(open());
    } catch {
      return otherwise;
    }
  };
  return {
    /** @param {string} name */
    get: (name) => unkept.get(name) ?? attempt((storage) => storage.getItem(name), null),
    /** @param {string} name @param {string} text */
    set(name, text) {
      unkept.delete(name);
      const taken = attempt((storage) => { storage.setItem(name, text); return true; }, false);
      if (!taken) unkept.set(name, text);
    },
    /** @param {string} name */
    remove(name) {
      unkept.delete(name);
      attempt((storage) => storage.removeItem(name), undefined);
    },
    /** The value of a text that was kept as JSON; null where it is none. @param {string} name @returns {any} */
    value(name) {
      try {
        return JSON.parse(this.get(name) ?? "null");
      } catch {
        return null;
      }
    },
    names: () => [...new Set([...attempt((storage) => Object.keys(storage), []), ...unkept.keys()])],
  };
}

/** The texts that all tabs of the browser share. */
export const shared = area(() => localStorage);
/** The texts that this tab alone has. */
export const tab = area(() => sessionStorage);

const THEME = "gochat.theme";

/** Shows the theme that was chosen before. */
export function showTheme() {
  const theme = shared.get(THEME);
  if (theme) document.documentElement.dataset.theme = theme;
}

/** @param {"light" | "dark"} theme */
export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  shared.set(THEME, theme);
}
