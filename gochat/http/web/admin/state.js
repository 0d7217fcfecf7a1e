// @ts-check
// The page's knowledge as signals: views read them, answers of the server change them.
import { batch, signal } from "../js/html.js";

/** @typedef {{node: string, server: string, ts: number, ready: boolean, checks: {check: string, problem?: string}[],
 *   metrics: Record<string, Record<string, number>>, supervisors: Supervisor[]}} Overview */
/** @typedef {{name: string, crashes: number, given_up?: number, more?: number, children: Child[], latest?: Crash[]}} Supervisor */
/** @typedef {{name: string, since: number, restarts?: number, pausing?: boolean}} Child */
/** @typedef {{name: string, ts: number, error: string}} Crash */
/** @typedef {{title: string, text?: string, label: string, bad?: boolean, spans?: boolean, reason?: boolean, done: string,
 *   act: (given: {seconds?: number, reason?: string}) => Promise<any>}} Question */

/** The admin's user id; empty: nobody is signed in. */
export const me = signal("");
/** Why nobody is, where that has a reason to be told. */
export const ended = signal("");
/** The view that is shown, and what it is about: `users`, `ann`. */
export const view = signal({ name: "overview", of: "" });
/** The latest overviews, the newest last; the rates come from two of them. */
export const samples = signal(/** @type {Overview[]} */ ([]));
/** Why the latest overview did not come. */
export const trouble = signal("");
/** A question before an act, in a dialog. */
export const question = signal(/** @type {Question | null} */ (null));
/** The last act, for people and screen readers. */
export const done = signal("");
/** Counts up with each act: lists are read anew. */
export const version = signal(0);

/** Five minutes of overviews. */
const KEPT = 150;
/** @param {Overview} overview */
export const keep = (overview) => { samples.value = [...samples.value.slice(1 - KEPT), overview]; };

/** Nothing is known any more. @param {string} why */
export function clear(why) {
  batch(() => {
    me.value = "";
    ended.value = why;
    samples.value = [];
    trouble.value = "";
    question.value = null;
    done.value = "";
  });
}
