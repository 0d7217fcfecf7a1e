// @ts-check
// TanStack's virtualiser, driven by preact: it measures rows, keeps the place while older ones come in above, and follows
// the end while the reader is there. Only it writes `scrollTop`.
import { useLayoutEffect, useRef, useState } from "./html.js";
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "../vendor/virtual-index.mjs";

/** @param {{count: number, key: (index: number) => string, estimate: (index: number) => number, follow: boolean}} wanted */
export function useVirtual({ count, key, estimate, follow }) {
  const [, again] = useState(0);
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const holder = useRef(/** @type {any} */ (null));
  const options = {
    count,
    getItemKey: key,
    estimateSize: estimate,
    overscan: 8,
    anchorTo: "end",
    followOnAppend: follow,
    scrollEndThreshold: 80,
    paddingStart: 16,
    paddingEnd: 8,
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    onChange: () => again((number) => number + 1),
  };
  if (holder.current) holder.current.setOptions(options);
  else holder.current = new Virtualizer(/** @type {any} */ (options));
  const list = holder.current;
  useLayoutEffect(() => list._didMount(), []);
  useLayoutEffect(() => list._willUpdate());
  return { list, scroller };
}
