// @ts-check
// Looks at the server again and again, while somebody looks at the page.
import { useEffect, useRef, useState } from "../js/html.js";
import * as api from "./api.js";
import * as state from "./state.js";

const EVERY_MS = 2_000;
/** After a failure, so long. */
const AGAIN_MS = 5_000;

/** Calls `look` every two seconds while the page is to be seen, and never twice at once. The result ends it.
 *  @param {() => Promise<boolean>} look Whether it went well. */
export function poll(look) {
  let timer = 0, ended = false, busy = false;
  const again = async () => {
    clearTimeout(timer);
    if (ended || busy || document.hidden) return;
    busy = true;
    const well = await look();
    busy = false;
    if (!ended) timer = setTimeout(again, well ? EVERY_MS : AGAIN_MS);
  };
  document.addEventListener("visibilitychange", again);
  again();
  return () => {
    ended = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", again);
  };
}

/** Keeps the overview fresh. */
export const watchOverview = () => poll(async () => {
  try {
    state.keep(await api.get("admin/overview"));
    state.trouble.value = "";
    return true;
  } catch (error) {
    state.trouble.value = /** @type {Error} */ (error).message;
    return false;
  }
});

/** The first page of a list, read anew every two seconds. @param {string} path @param {Record<string, any>} query */
export function useLive(path, query) {
  const [told, setTold] = useState(/** @type {any} */ (null));
  const [wrong, setWrong] = useState("");
  const key = JSON.stringify([path, query]);
  useEffect(() => poll(async () => {
    try {
      setTold(await api.get(path, query));
      setWrong("");
      return true;
    } catch (error) {
      setWrong(/** @type {Error} */ (error).message);
      return false;
    }
  }), [key]);
  return { told, wrong };
}

/** A list that is read page by page, and anew after each act. @param {string} path @param {string} field @param {Record<string, any>} [query] */
export function usePages(path, field, query = {}) {
  const [page, setPage] = useState({ key: "", rows: /** @type {any[]} */ ([]), next: "", wrong: "" });
  const [busy, setBusy] = useState(false);
  const key = JSON.stringify([path, query, state.version.value]);
  /** The list that is asked for now: an answer about another one comes too late. */
  const asked = useRef(key);
  asked.current = key;
  const read = async (/** @type {string} */ cursor) => {
    setBusy(true);
    const told = await api.get(path, { ...query, cursor }).catch((error) => ({ wrong: error.message }));
    if (asked.current !== key) return;
    if (told.wrong) setPage((before) => (cursor ? { ...before, wrong: told.wrong } : { key, rows: [], next: "", wrong: told.wrong }));
    else setPage((before) => ({ key, rows: cursor ? [...before.rows, ...told[field]] : told[field], next: told.next ?? "", wrong: "" }));
    setBusy(false);
  };
  useEffect(() => { read(""); }, [key]);
  return { ...page, busy, more: () => read(page.next) };
}
