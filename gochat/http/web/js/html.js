// @ts-check
// The one place where preact, its signals and htm meet; views import `html` and the hooks from here.
import { Component, h } from "../vendor/preact.mjs";
import htm from "../vendor/htm.mjs";
import { signal } from "../vendor/signals.mjs";
export { Fragment, render } from "../vendor/preact.mjs";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.mjs";
export { batch, computed, effect, signal } from "../vendor/signals.mjs";

export const html = htm.bind(h);

/** A component whose module is read when it is first drawn, or by `load` before. @param {() => Promise<(props: any) => any>} read */
export function lazy(read) {
  const view = signal(/** @type {((props: any) => any) | null} */ (null));
  const load = () => read().then((found) => { view.value = found; });
  const Lazy = (/** @type {any} */ props) => {
    if (view.value) return html`<${view.value} ...${props} />`;
    load();
    return null;
  };
  return Object.assign(Lazy, { load });
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
