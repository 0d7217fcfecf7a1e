// @ts-check
// A user as others see them; of oneself also the devices on which one is signed in.
import * as actions from "../actions.js";
import { copy } from "../clipboard.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { nameOf } from "../names.js";
import { privateRoom } from "../rooms.js";
import * as state from "../state.js";
import * as when from "../time.js";
import { Avatar, Dialog, icon } from "./parts.js";

const close = () => { state.dialog.value = null; };

/** @param {{user: string, shown?: string}} props `shown`: the name that a list shows. */
export function Profile({ user, shown: given }) {
  const room = state.rooms.value.get(privateRoom(state.me.value, user));
  const own = user === state.me.value;
  const shown = given ?? nameOf(user);
  return html`
    <${Dialog} label=${own ? t("profile") : shown} onClose=${close}>
      <div class="person">
        <${Avatar} name=${shown} id=${user} size="huge" />
        ${shown !== user && html`<b dir="auto">${shown}</b>`}
        <p><bdi>${user}</bdi> <${Copy} text=${user} /></p>
        ${!own && room && html`<p>${presence(room)}</p>`}
      </div>
      ${own ? html`<${Devices} />` : html`<${Relation} user=${user} />`}
      ${own && html`<footer><button type="button" class="soft bad" onClick=${() => { close(); actions.leave(); }}>${t("sign-out")}</button></footer>`}
    <//>`;
}

/** @param {import("../rooms.js").Room} room */
const presence = (room) => (room.online ? t("online") : room.seen ? t("last-seen", { when: when.ago(room.seen) }) : t("offline"));

/** @param {{text: string}} props */
function Copy({ text }) {
  const [done, setDone] = useState(false);
  const take = () => copy(text).then(() => setDone(true), () => state.tell(t("not-copied")));
  return html`<button type="button" class="ghost small" aria-label=${t("copy-id")} title=${t("copy-id")} onClick=${take}>${icon(done ? "check" : "copy")}</button>`;
}

/** @param {{user: string}} props */
function Relation({ user }) {
  const relation = state.relations.value.get(user) ?? "none";
  const act = (/** @type {Parameters<typeof actions.relate>[1]} */ action) => () => { close(); actions.relate(user, action); };
  return html`
    <footer>
      ${relation !== "blocked" && html`<button type="button" class="primary" onClick=${() => { close(); actions.startWith(user); }}>${t("write")}</button>`}
      ${relation === "contact"
        ? html`<button type="button" class="soft" onClick=${act("remove")}>${t("remove-contact")}</button>`
        : relation !== "blocked" && html`<button type="button" class="soft" onClick=${act("add")}>${t("add-contact")}</button>`}
      ${relation === "blocked"
        ? html`<button type="button" class="soft" onClick=${act("unblock")}>${t("unblock")}</button>`
        : html`<button type="button" class="soft bad" onClick=${act("block")}>${t("block")}</button>`}
    </footer>`;
}

/** @param {string} transport */
const isBrowser = (transport) => transport === "ws";

function Devices() {
  const [found, setFound] = useState(/** @type {Awaited<ReturnType<typeof actions.devices>>} */ ({ devices: [] }));
  const [said, setSaid] = useState({ text: "", bad: false });
  const wrong = (/** @type {Error} */ error) => setSaid({ text: error.message, bad: true });
  const look = () => actions.devices().then(setFound, wrong);
  useEffect(() => { look(); }, []);
  const end = (/** @type {string} */ handle) => actions.signOutDevice(handle)
    .then((revoked) => setSaid({ text: t(revoked ? "device-is-out" : "device-is-closed"), bad: false }), wrong).then(look);
  return html`
    <h3>${t("devices")}</h3>
    ${said.text && html`<p class=${said.bad ? "bad" : ""} role=${said.bad ? "alert" : "status"}>${said.text}</p>`}
    <ul class="members devices">${found.devices.map((device) => html`
      <${Device} key=${device.handle ?? `${device.since} ${device.address}`} device=${device} onEnd=${end} />`)}</ul>
    ${found.missing && html`<p class="missing" role="status">${t("devices-missing", { nodes: found.missing.join(", ") })}</p>`}`;
}

/** @param {{device: actions.Device, onEnd: (handle: string) => void}} props */
function Device({ device: { since, transport, address, device, handle, current }, onEnd }) {
  const [asked, setAsked] = useState(false);
  const name = device ?? t(isBrowser(transport) ? "a-browser" : "a-program");
  return html`
    <li>
      <span class="mark tiny">${icon(isBrowser(transport) ? "chat" : "keyboard")}</span>
      <span><b><bdi>${name}</bdi></b> ${current && html`<small class="here">${t("this-one")}</small>`}<br />
        <small>${t("since-from", { when: when.ago(since), address })}</small></span>
      ${handle && html`<button type="button" class="soft bad" onBlur=${() => setAsked(false)} onClick=${() => (asked ? onEnd(handle) : setAsked(true))}>
        ${t(asked ? "sign-out-sure" : "sign-out")}</button>`}
    </li>`;
}
