// @ts-check
// The one place where preact, its signals and htm meet; views import `html` and the hooks from here.
import { Component, h } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";
import { signal } from "../vendor/signals.mjs";
export { Fragment, render } from "../vendor/preact.mjs";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.mjs";
export { batch, computed, effect, signal } from "../vendor/signals.mjs";

export const html = htm.bind(h);

const AGAIN_MS = 1_000, AGAIN_AT_MOST_MS = 30_000;

/** A component whose module is read when it is first drawn, or by `load` before. Where the network is away, it is read
 * again until it is there. @param {() => Promise<(props: any) => any>} read */
export function lazy(read) {
  const view = signal(/** @type {((props: any) => any) | null} */ (null));
  let reading = /** @type {Promise<void> | null} */ (null);
  const load = () => (reading ??= patient(read).then((found) => { view.value = found; }));
  const Lazy = (/** @type {any} */ props) => {
    if (view.value) return html`<${view.value} ...${props} />`;
    load();
    return null;
  };
  return Object.assign(Lazy, { load });
}

/** @template T @param {() => Promise<T>} read @returns {Promise<T>} */
async function patient(read) {
  for (let wait = AGAIN_MS; ; wait = Math.min(2 * wait, AGAIN_AT_MOST_MS)) {
    try {
      return await read();
    } catch {
      await new Promise((resolve) => {
        setTimeout(resolve, wait);
        addEventListener("online", resolve, { once: true });
      });
    }
  }
}

/** A component that is drawn anew only when one of its props is another. @template P @param {(props: P) => any} draw */
export function steady(draw) {
  return class Steady extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      for (const name in next) if (next[name] !== /** @type {any} */ (this.props)[name]) return true;
      return false;
    }
    /** @param {any} props */
    render(props) { return draw(props); }
  };
}
