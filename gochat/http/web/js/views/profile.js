// @ts-check
// A user as others see them; of oneself also the devices on which one is signed in.
import * as actions from "../actions.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { privateRoom } from "../rooms.js";
import { signOut } from "../session.js";
import * as state from "../state.js";
import * as when from "../time.js";
import { Avatar, Dialog, icon } from "./parts.js";

const close = () => { state.dialog.value = null; };

/** @param {{user: string, shown?: string}} props `shown`: the name that a list shows. */
export function Profile({ user, shown: given }) {
  const room = state.rooms.value.get(privateRoom(state.me.value, user));
  const own = user === state.me.value;
  const shown = given ?? (own ? user : room?.title ?? user);
  return html`
    <${Dialog} label=${own ? t("profile") : shown} onClose=${close}>
      <div class="person">
        <${Avatar} name=${shown} id=${user} size="huge" />
        ${shown !== user && html`<b dir="auto">${shown}</b>`}
        <p><bdi>${user}</bdi> <${Copy} text=${user} /></p>
        ${!own && room && html`<p>${presence(room)}</p>`}
      </div>
      ${own ? html`<${Devices} />` : html`<${Relation} user=${user} />`}
      ${own && html`<footer><button type="button" class="soft bad" onClick=${() => { close(); signOut(); }}>${t("sign-out")}</button></footer>`}
    <//>`;
}

/** @param {import("../rooms.js").Room} room */
const presence = (room) => (room.online ? t("online") : room.seen ? t("last-seen", { when: when.ago(room.seen) }) : t("offline"));

/** @param {{text: string}} props */
function Copy({ text }) {
  const [done, setDone] = useState(false);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true), state.tell);
  return html`<button type="button" class="ghost small" aria-label=${t("copy-id")} title=${t("copy-id")} onClick=${copy}>${icon(done ? "check" : "copy")}</button>`;
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
  const [devices, setDevices] = useState(/** @type {Awaited<ReturnType<typeof actions.devices>>} */ ([]));
  const [wrong, setWrong] = useState("");
  useEffect(() => { actions.devices().then(setDevices, (error) => setWrong(error.message)); }, []);
  return html`
    <h3>${t("devices")}</h3>
    ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
    <ul class="members devices">${devices.map(({ since, transport, address, device, current }) => html`
      <li key=${`${since} ${address} ${device}`}>
        <span class="mark tiny">${icon(isBrowser(transport) ? "chat" : "keyboard")}</span>
        <span><b><bdi>${device ?? t(isBrowser(transport) ? "a-browser" : "a-program")}</bdi></b> ${current && html`<small class="here">${t("this-one")}</small>`}<br />
          <small>${t("since-from", { when: when.ago(since), address })}</small></span>
      </li>`)}</ul>`;
}
