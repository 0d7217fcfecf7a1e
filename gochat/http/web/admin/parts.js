// @ts-check
// Parts that the views of the operator's page share: tables, links, times, and the question before an act.
import { html, useState } from "../js/html.js";
import * as when from "../js/time.js";
import { Dialog } from "../js/views/parts.js";
import { address } from "./address.js";
import { t } from "./l10n.js";
import * as state from "./state.js";

/** @param {{ts?: number}} props */
export const Time = ({ ts }) => (ts ? html`<time datetime=${new Date(ts).toISOString()} title=${when.inFull(ts)}>${when.ago(ts)}</time>` : "–");

/** A time that lies ahead. @param {{ts: number}} props */
export const Moment = ({ ts }) => html`<time datetime=${new Date(ts).toISOString()} title=${when.inFull(ts)}>${when.until(ts)}</time>`;

/** @param {{id: string, name?: string}} props */
export const UserLink = ({ id, name = id }) => html`
  <a href=${address("users", id)}><bdi>${name}</bdi></a>${name !== id && html` <small><bdi>${id}</bdi></small>`}`;

/** A group leads to its view; a private room is only named. @param {{id: string, title?: string}} props */
export const RoomLink = ({ id, title }) => (id.startsWith("group:")
  ? html`<a href=${address("rooms", id.slice(6))}><bdi>${title || id.slice(6)}</bdi></a>` : html`<bdi>${id}</bdi>`);

/** @typedef {{name: string, cell: (row: any) => any, number?: boolean, main?: boolean}} Column `main` heads the card that a row is on a phone. */

/** A table, or on a phone a card for each row. @param {{label: string, columns: Column[], rows: any[], id?: string, empty: string}} props
 *   `id`: the field that tells rows apart; without one their order does. */
export const Table = ({ label, columns, rows, id, empty }) => (rows.length === 0 ? html`<p class="none">${empty}</p>` : html`
  <table aria-label=${label}>
    <thead><tr>${columns.map(({ name, number }) => html`<th key=${name} scope="col" class=${number ? "number" : ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row, index) => html`
      <tr key=${id ? row[id] : index}>${columns.map(({ name, cell, number, main }) => html`
        <td key=${name} data-label=${name} class=${`${number ? "number" : ""} ${main ? "main" : ""}`}>${cell(row)}</td>`)}</tr>`)}</tbody>
  </table>`);

/** A list of `usePages`: its table, the button for more, and what went wrong.
 *  @param {{list: any, label: string, columns: Column[], id?: string, empty: string}} props */
export const PagedTable = ({ list, ...table }) => html`
  <${Wrong} text=${list.wrong} />
  ${list.key && !list.wrong ? html`<${Table} ...${table} rows=${list.rows} />` : !list.wrong && html`<${Waiting} />`}
  <${More} list=${list} />`;

/** @param {{list: any}} props */
export const More = ({ list }) => list.next && html`<button type="button" class="soft more" disabled=${list.busy} onClick=${list.more}>${t("more")}</button>`;

/** @param {{text: string}} props */
export const Wrong = ({ text }) => (text ? html`<p class="bad" role="alert">${text}</p>` : null);

export const Waiting = () => html`<p class="none" role="status">${t("reading")}</p>`;

/** A view: its heading, what stands beside it, and the rest. @param {{title: any, how?: string, side?: any, children?: any}} props */
export const View = ({ title, how, side, children }) => html`
  <section class="view">
    <header><h1 tabindex="-1" id="heading">${title}</h1>${side}</header>
    ${how && html`<p class="how">${how}</p>`}
    ${children}
  </section>`;

/** A field that narrows a list: to ids that begin so, or to what has these `words`.
 *  @param {{label: string, value: string, onInput: (value: string) => void, words?: boolean}} props */
export const Find = ({ label, value, onInput, words = false }) => html`
  <label class="labelled find-in"><span>${label}</span>
    <input type="search" value=${value} autocomplete="off" autocapitalize="none" spellcheck=${false} maxlength="64"
      onInput=${(/** @type {any} */ event) => onInput(words ? event.target.value : event.target.value.trim().toLowerCase())} /></label>`;

/** @param {{label: string, how?: string, checked: boolean, onChange: (checked: boolean) => void}} props */
export const Switch = ({ label, how, checked, onChange }) => html`
  <label class="check"><input type="checkbox" checked=${checked} onChange=${(/** @type {any} */ event) => onChange(event.target.checked)} />
    <span>${label} ${how && html`<small>${how}</small>`}</span></label>`;

/** A button that asks before it acts. @param {{question: import("./state.js").Question, name?: string}} props */
export const Act = ({ question, name }) => html`
  <button type="button" class=${question.bad ? "soft bad" : "soft"} onClick=${() => { state.question.value = question; }}>${name ?? question.label}</button>`;

const SPANS = [3_600, 86_400, 7 * 86_400, 30 * 86_400, 0];
const HOUR = 3_600, DAY = 86_400;
/** @param {number} seconds */
const named = (seconds) => (!seconds ? t("for-good") : seconds < DAY ? t("for-hours", { n: seconds / HOUR }) : t("for-days", { n: seconds / DAY }));

/** The question that is open, in a dialog. */
export function Asking() {
  const asked = state.question.value;
  const [seconds, setSeconds] = useState(DAY);
  const [reason, setReason] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  if (!asked) return null;
  const close = () => {
    state.question.value = null;
    setWrong("");
    setReason("");
  };
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await asked.act({ ...(asked.spans && seconds && { seconds }), ...(asked.reason && reason.trim() && { reason: reason.trim() }) });
      state.done.value = asked.done;
      state.version.value++;
      if (state.question.value === asked) close(); // Another one may have been opened meanwhile.
    } catch (error) {
      setWrong(/** @type {Error} */ (error).message);
    }
    setBusy(false);
  };
  return html`
    <${Dialog} label=${asked.title} onClose=${close}>
      <form onSubmit=${submit}>
        ${asked.text && html`<p>${asked.text}</p>`}
        ${asked.spans && html`<label class="labelled"><span>${t("how-long")}</span>
          <select value=${seconds} onChange=${(/** @type {any} */ event) => setSeconds(Number(event.target.value))}>
            ${SPANS.map((each) => html`<option value=${each}>${named(each)}</option>`)}</select></label>`}
        ${asked.reason && html`<label class="labelled"><span>${t("reason")}</span>
          <input value=${reason} maxlength="500" autocomplete="off" onInput=${(/** @type {any} */ event) => setReason(event.target.value)} />
          <small>${t("reason-how")}</small></label>`}
        <${Wrong} text=${wrong} />
        <footer><button type="button" class="soft" onClick=${close}>${t("cancel")}</button>
          <button class=${asked.bad ? "primary danger" : "primary"} disabled=${busy}>${asked.label}</button></footer>
      </form>
    <//>`;
}
