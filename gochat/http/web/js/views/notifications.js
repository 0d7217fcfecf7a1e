// @ts-check
// The dialog of notifications, and the choice for how long a room is silent.
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { askPermission, permission } from "../notices.js";
import * as push from "../push.js";
import * as state from "../state.js";
import * as when from "../time.js";
import { beQuiet, silence, unsilence, wish, wishes } from "../wishes.js";
import { Dialog } from "./parts.js";

const close = () => { state.dialog.value = null; };

export function Notifications() {
  const [wrong, setWrong] = useState("");
  const attempt = (/** @type {Promise<any>} */ act) => {
    setWrong("");
    return act.catch((error) => setWrong(error.message));
  };
  useEffect(() => { attempt(wish()); }, []);
  return html`
    <${Dialog} label=${t("notifications")} onClose=${close}>
      <${Permission} />
      ${push.supported && permission.value === "granted" && html`<${PushHere} attempt=${attempt} />`}
      <${QuietHours} key=${wishes.value.quiet ?? ""} attempt=${attempt} />
      <${SilentRooms} attempt=${attempt} />
      ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <//>`;
}

function Permission() {
  if (permission.value === "granted") return html`<p>${t("notices-are-on")}</p>`;
  if (permission.value === "denied") return html`<p>${t("notices-denied")}</p>`;
  return html`<button type="button" class="primary" onClick=${askPermission}>${t("notices-on")}</button>`;
}

/** @param {{attempt: (act: Promise<any>) => Promise<any>}} props */
function PushHere({ attempt }) {
  const [now, setNow] = useState(/** @type {push.Push | null} */ (null));
  const look = () => push.look().then(setNow);
  useEffect(() => { attempt(look()); }, []);
  if (!now) return null;
  if (!now.offered) return html`<p>${t("push-not-offered")}</p>`;
  const turn = (/** @type {any} */ event) => attempt((event.target.checked ? push.turnOn() : push.turnOff()).finally(look));
  return html`
    <label class="check"><input type="checkbox" checked=${now.on} onChange=${turn} />
      <span>${t("push-here")} <small>${t("push-devices", { n: now.devices })}</small></span></label>`;
}

/** @param {{attempt: (act: Promise<any>) => Promise<any>}} props */
function QuietHours({ attempt }) {
  const [before, after] = (wishes.value.quiet ?? "").split("-");
  const [from, setFrom] = useState(before);
  const [to, setTo] = useState(after ?? "");
  const clock = (/** @type {string} */ label, /** @type {string} */ value, /** @type {(value: string) => void} */ set) => html`
    <label class="labelled"><span>${label}</span>
      <input type="time" value=${value} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>`;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    attempt(beQuiet(from, to));
  };
  return html`
    <form onSubmit=${submit}>
      <h3>${t("quiet-hours")}</h3>
      <div class="inline three">
        ${clock(t("quiet-from"), from, setFrom)}
        ${clock(t("quiet-to"), to, setTo)}
        <button class="soft" disabled=${(!from !== !to) || `${from}-${to}` === (wishes.value.quiet || "-")}>${t("save")}</button>
      </div>
    </form>`;
}

/** @param {{attempt: (act: Promise<any>) => Promise<any>}} props */
function SilentRooms({ attempt }) {
  const silent = wishes.value.rooms;
  if (!silent.length) return html`<p>${t("no-silent-chats")}</p>`;
  const mentions = (/** @type {any} */ event) => attempt(wish({ mentions: event.target.checked }));
  return html`
    <h3>${t("silent-chats")}</h3>
    <label class="check"><input type="checkbox" checked=${wishes.value.mentions ?? false} onChange=${mentions} />
      <span>${t("mentions-anyway")}</span></label>
    <ul class="members">${silent.map(({ room, until }) => html`
      <li key=${room}><span></span><span><b dir="auto">${state.rooms.value.get(room)?.title ?? room}</b>
          <small>${until ? t("silent-until", { when: when.until(until) }) : ""}</small></span>
        <button type="button" class="soft" onClick=${() => attempt(unsilence(room))}>${t("unsilence")}</button></li>`)}</ul>`;
}

const WEEK = 7 * 24;
const HOURS = [1, 8, WEEK, 0];

/** @param {number} hours */
const span = (hours) => (hours ? t(hours === WEEK ? "silence-week" : "silence-hours", { n: hours }) : t("silence-ever"));

/** @param {{room: string}} props */
export function SilenceChoice({ room }) {
  const silent = wishes.value.rooms.find((each) => each.room === room);
  const choose = (/** @type {any} */ event) => {
    const { value } = event.target;
    (value === "off" ? unsilence(room) : silence(room, Number(value))).catch(state.tell);
  };
  return html`
    <label class="labelled"><span>${t("notifications")}</span>
      <select value=${silent ? "silent" : "off"} onChange=${choose}>
        <option value="off">${t("silence-off")}</option>
        ${silent && html`<option value="silent" disabled>${silent.until ? t("silent-until", { when: when.until(silent.until) }) : t("silent-now")}</option>`}
        ${HOURS.map((hours) => html`<option value=${hours}>${span(hours)}</option>`)}
      </select>
    </label>`;
}
