// @ts-check
// Users: found by the beginning of their ids, and one of them with all that an operator may see and do.
import { html, useState } from "../../js/html.js";
import * as api from "../api.js";
import { address } from "../address.js";
import { t } from "../l10n.js";
import { count } from "../numbers.js";
import { Act, Find, Moment, PagedTable, RoomLink, Switch, Time, UserLink, View, Waiting, Wrong } from "../parts.js";
import { usePages } from "../poll.js";
import { roomColumns } from "./rooms.js";
import { sessionColumns } from "./sessions.js";

/** @param {{of: string}} props */
export const Users = ({ of }) => (of ? html`<${User} user=${of} />` : html`<${All} />`);

/** @type {() => import("../parts.js").Column[]} */
const columns = () => [
  { name: t("user"), cell: ({ user }) => html`<${UserLink} id=${user} />`, main: true },
  { name: t("name"), cell: ({ name, user }) => name !== user && html`<bdi>${name}</bdi>` },
  { name: t("seen"), cell: ({ last_seen: seen, sessions }) => (sessions ? t("now") : html`<${Time} ts=${seen} />`) },
  { name: t("sessions"), cell: ({ sessions }) => count(sessions ?? 0), number: true },
  { name: t("state"), cell: (account) => html`<${Standing} account=${account} />` },
];

/** @param {{account: any}} props */
const Standing = ({ account }) => (account.suspended
  ? html`<span class="pill bad">${t("suspended")}</span> ${account.until && html`${t("until")} <${Moment} ts=${account.until} />`}` : t("may-sign-in"));

function All() {
  const [prefix, setPrefix] = useState("");
  const list = usePages("admin/users", "users", { prefix });
  return html`
    <${View} title=${t("users")} how=${t("users-how")}>
      <${Find} label=${t("find-user")} value=${prefix} onInput=${setPrefix} />
      <${PagedTable} list=${list} label=${t("users")} columns=${columns()} id="user" empty=${t("no-users")} />
    <//>`;
}

/** The acts on a user that the page offers wherever one is named. @param {string} user */
export const suspending = (user) => ({
  title: t("suspend-user", { user }), text: t("suspend-how"), label: t("suspend"), bad: true, spans: true, reason: true, done: t("was-suspended", { user }),
  act: (/** @type {object} */ given) => api.call("PUT", `admin/suspensions/${api.part(user)}`, given),
});
/** @param {string} user */
export const unsuspending = (user) => ({
  title: t("unsuspend-user", { user }), label: t("unsuspend"), done: t("was-unsuspended", { user }),
  act: () => api.call("DELETE", `admin/suspensions/${api.part(user)}`),
});
/** @param {string} user */
const revoking = (user) => ({
  title: t("revoke-user", { user }), text: t("revoke-how"), label: t("revoke"), bad: true, reason: true, done: t("was-revoked", { user }),
  act: (/** @type {object} */ given) => api.call("POST", "admin/revocations", { user, ...given }),
});

/** @param {{user: string}} props */
function User({ user }) {
  const accounts = usePages("admin/users", "users", { user });
  const sessions = usePages("admin/sessions", "sessions", { user });
  const rooms = usePages("admin/rooms", "rooms", { user });
  const [account] = accounts.rows;
  const side = account && html`<span class="acts">
    ${account.suspended ? html`<${Act} question=${unsuspending(user)} />` : html`<${Act} question=${suspending(user)} />`}
    <${Act} question=${revoking(user)} /></span>`;
  return html`
    <${View} title=${html`<bdi>${user}</bdi>`} side=${side}>
      <p><a href=${address("users")}>${t("all-users")}</a></p>
      <${Wrong} text=${accounts.wrong} />
      ${!accounts.key ? html`<${Waiting} />` : !account && !accounts.wrong && html`<p class="none">${t("never-signed-in", { user })}</p>`}
      ${account && html`<dl class="facts">
        <div><dt>${t("name")}</dt><dd><bdi>${account.name}</bdi></dd></div>
        <div><dt>${t("seen")}</dt><dd>${account.sessions ? t("now") : html`<${Time} ts=${account.last_seen} />`}</dd></div>
        <div><dt>${t("state")}</dt><dd><${Standing} account=${account} /></dd></div>
      </dl>`}
      <h2>${t("sessions")}</h2>
      <${PagedTable} list=${sessions} label=${t("sessions")} columns=${sessionColumns().slice(1)} empty=${t("no-sessions")} />
      <h2>${t("groups")}</h2>
      <${PagedTable} list=${rooms} label=${t("groups")} columns=${roomColumns()} id="room" empty=${t("no-groups")} />
      <${Private} user=${user} />
    <//>`;
}

/** The private rooms of a user are shown only when an admin asks, since that is recorded. @param {{user: string}} props */
function Private({ user }) {
  const [shown, setShown] = useState(false);
  return html`
    <h2>${t("private-rooms")}</h2>
    <${Switch} label=${t("show-private")} how=${t("is-recorded")} checked=${shown} onChange=${setShown} />
    ${shown && html`<${PrivateRooms} user=${user} />`}`;
}

/** @param {{user: string}} props */
function PrivateRooms({ user }) {
  const rooms = usePages("admin/rooms", "rooms", { user, private: true });
  /** @type {import("../parts.js").Column[]} */
  const named = [{ name: t("room"), cell: ({ room }) => html`<${RoomLink} id=${room} />`, main: true }, ...roomColumns().slice(2)];
  return html`<${PagedTable} list=${rooms} label=${t("private-rooms")} columns=${named} id="room" empty=${t("no-private-rooms")} />`;
}
