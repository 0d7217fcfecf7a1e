// @ts-check
// Rooms: how much is in them and who is, and nothing that was said.
import { html, useState } from "../../js/html.js";
import * as api from "../api.js";
import { address } from "../address.js";
import { t } from "../l10n.js";
import { count } from "../numbers.js";
import { Act, Find, Moment, PagedTable, RoomLink, Switch, Time, UserLink, View, Wrong } from "../parts.js";
import { usePages } from "../poll.js";
import { ReportCards } from "./reports.js";

/** @type {() => import("../parts.js").Column[]} */
export const roomColumns = () => [
  { name: t("room"), cell: ({ room }) => html`<${RoomLink} id=${room} />`, main: true },
  { name: t("title"), cell: ({ title }) => title && html`<bdi>${title}</bdi>` },
  { name: t("messages"), cell: ({ messages }) => count(messages), number: true },
  { name: t("last-message"), cell: ({ last_message: last }) => html`<${Time} ts=${last} />` },
];

/** @param {{of: string}} props */
export const Rooms = ({ of }) => (of ? html`<${Room} name=${of} />` : html`<${All} />`);

function All() {
  const [wanted, setWanted] = useState("");
  const [shown, setShown] = useState(false);
  return html`
    <${View} title=${t("rooms")} how=${t("rooms-how")}>
      <div class="controls">
        <${Find} label=${t(shown ? "find-private" : "find-room")} value=${wanted} onInput=${setWanted} words=${!shown} />
        <${Switch} label=${t("private-instead")} how=${t("is-recorded")} checked=${shown} onChange=${setShown} />
      </div>
      <${Found} wanted=${wanted.trim()} shown=${shown} />
    <//>`;
}

/** Groups are found by words of their titles and ids, private rooms by the beginning of their ids. @param {{wanted: string, shown: boolean}} props */
function Found({ wanted, shown }) {
  const list = usePages("admin/rooms", "rooms", shown ? { prefix: wanted, private: true } : { q: wanted });
  const columns = shown ? roomColumns().filter(({ name }) => name !== t("title")) : roomColumns();
  return html`<${PagedTable} list=${list} label=${t("rooms")} columns=${columns} id="room" empty=${t(list.next ? "none-so-far" : "no-rooms")} />`;
}

/** The acts on a member of a group. @param {string} group @param {string} user */
export const sanctions = (group, user) => ({
  mute: {
    title: t("mute-user", { user, group }), label: t("mute"), spans: true, done: t("was-muted", { user, group }),
    act: (/** @type {object} */ given) => api.call("PUT", `groups/${api.part(group)}/mutes/${api.part(user)}`, given),
  },
  unmute: {
    title: t("unmute-user", { user, group }), label: t("unmute"), done: t("was-unmuted", { user, group }),
    act: () => api.call("DELETE", `groups/${api.part(group)}/mutes/${api.part(user)}`),
  },
  unban: {
    title: t("unban-user", { user, group }), label: t("unban"), done: t("was-unbanned", { user, group }),
    act: () => api.call("DELETE", `groups/${api.part(group)}/bans/${api.part(user)}`),
  },
  ban: {
    title: t("ban-user", { user, group }), text: t("ban-how"), label: t("ban"), bad: true, spans: true, done: t("was-banned", { user, group }),
    act: (/** @type {object} */ given) => api.call("PUT", `groups/${api.part(group)}/bans/${api.part(user)}`, given),
  },
});

/** @param {{name: string}} props */
function Room({ name }) {
  const found = usePages("admin/rooms", "rooms", { prefix: name, limit: 1 });
  const members = usePages(`groups/${api.part(name)}/users`, "members");
  const reports = usePages("reports", "reports", { room: `group:${name}` });
  const sanctioned = usePages(`groups/${api.part(name)}/sanctions`, "sanctions", { limit: 200 });
  const muted = new Set(sanctioned.rows.filter(({ kind }) => kind === "mute").map(({ user }) => user));
  const room = found.rows.find((each) => each.room === `group:${name}`);
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("user"), cell: ({ user, name: shown }) => html`<${UserLink} id=${user} name=${shown} />`, main: true },
    { name: t("role"), cell: ({ role }) => t(role) },
    { name: t("since"), cell: ({ since }) => html`<${Time} ts=${since} />` },
    { name: t("what-to-do"), cell: ({ user }) => {
      const { mute, unmute, ban } = sanctions(name, user);
      return html`<span class="acts"><${Act} question=${muted.has(user) ? unmute : mute} /><${Act} question=${ban} /></span>`;
    } },
  ];
  return html`
    <${View} title=${html`<bdi>${room?.title || name}</bdi>`}>
      <p><a href=${address("rooms")}>${t("all-rooms")}</a></p>
      <${Wrong} text=${found.wrong} />
      ${room && html`<dl class="facts">
        <div><dt>${t("room")}</dt><dd><bdi>${room.room}</bdi></dd></div>
        <div><dt>${t("messages")}</dt><dd>${count(room.messages)}</dd></div>
        <div><dt>${t("last-message")}</dt><dd><${Time} ts=${room.last_message} /></dd></div>
      </dl>`}
      ${reports.rows.length > 0 && html`<h2>${t("reports")}</h2><${ReportCards} reports=${reports.rows} />`}
      ${sanctioned.rows.length > 0 && html`<h2>${t("sanctions")}</h2><${Sanctions} group=${name} list=${sanctioned} />`}
      <h2>${t("members")}</h2>
      <${PagedTable} list=${members} label=${t("members")} columns=${columns} id="user" empty=${t("no-members")} />
    <//>`;
}

/** Users who are muted in a group or banned from it, with the way back. @param {{group: string, list: any}} props */
function Sanctions({ group, list }) {
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("user"), cell: ({ user, name }) => html`<${UserLink} id=${user} name=${name} />`, main: true },
    { name: t("state"), cell: ({ kind }) => t(kind === "ban" ? "is-banned" : "is-muted") },
    { name: t("since"), cell: ({ ts }) => html`<${Time} ts=${ts} />` },
    { name: t("until"), cell: ({ until }) => (until ? html`<${Moment} ts=${until} />` : t("for-good")) },
    { name: t("what-to-do"), cell: ({ user, kind }) => html`<span class="acts"><${Act} question=${sanctions(group, user)[kind === "ban" ? "unban" : "unmute"]} /></span>` },
  ];
  return html`<${PagedTable} list=${list} label=${t("sanctions")} columns=${columns} empty="" />`;
}
