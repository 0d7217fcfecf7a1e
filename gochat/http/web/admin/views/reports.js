// @ts-check
// Open reports: the one place where this page shows what somebody wrote, since somebody asked for a look at it.
import { html } from "../../js/html.js";
import * as api from "../api.js";
import { t } from "../l10n.js";
import { Act, More, RoomLink, Time, UserLink, View, Waiting, Wrong } from "../parts.js";
import { usePages } from "../poll.js";
import { sanctions } from "./rooms.js";
import { suspending } from "./users.js";

export function Reports() {
  const list = usePages("reports", "reports");
  return html`
    <${View} title=${t("reports")} how=${t("reports-how")}>
      <${Wrong} text=${list.wrong} />
      ${!list.key ? html`<${Waiting} />` : list.rows.length === 0 && !list.wrong && html`<p class="none">${t("no-reports")}</p>`}
      <${ReportCards} reports=${list.rows} />
      <${More} list=${list} />
    <//>`;
}

/** @param {{reports: any[]}} props */
export const ReportCards = ({ reports }) => html`
  <ul class="cards">${reports.map((report) => html`<${Report} key=${report.report} report=${report} />`)}</ul>`;

/** @param {{report: any}} props */
function Report({ report }) {
  const { report: number, room, seq, from, body, by, rule, reason, ts } = report;
  const group = room.startsWith("group:") && room.slice(6);
  const closing = {
    title: t("close-report", { n: number }), text: t("close-report-how"), label: t("close-it"), done: t("was-closed", { n: number }),
    act: () => api.call("DELETE", `reports/${number}`),
  };
  const deleting = {
    title: t("delete-message"), text: t("delete-message-how"), label: t("delete"), bad: true, done: t("was-deleted"),
    act: () => api.call("DELETE", `messages/${api.part(`${room}:${seq}`)}`),
  };
  const { mute, ban } = sanctions(group || "", from);
  return html`
    <li class="card">
      <p><${UserLink} id=${from} /> ${t("in-room")} <${RoomLink} id=${room} /> · <${Time} ts=${ts} /></p>
      ${body === undefined ? html`<p class="none">${t("deleted")}</p>` : html`<blockquote dir="auto">${body}</blockquote>`}
      <p class="why">${by ? html`${t("reported-by")} <${UserLink} id=${by} />` : html`${t("found-by-rule")} <bdi>${rule}</bdi>`}${
        reason && html`: <q dir="auto">${reason}</q>`}</p>
      <div class="acts">
        <${Act} question=${closing} />
        ${body !== undefined && html`<${Act} question=${deleting} />`}
        ${group && html`<${Act} question=${mute} /><${Act} question=${ban} />`}
        <${Act} question=${suspending(from)} />
      </div>
    </li>`;
}
