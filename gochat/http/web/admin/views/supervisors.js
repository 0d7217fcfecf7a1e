// @ts-check
// The live tree of supervisors: the tasks that each keeps, how often they were started again, and the latest crashes.
import { html } from "../../js/html.js";
import { t } from "../l10n.js";
import { count } from "../numbers.js";
import { Table, Time, View, Waiting } from "../parts.js";
import * as state from "../state.js";

export function Supervisors() {
  const now = state.samples.value.at(-1);
  return html`
    <${View} title=${t("supervisors")} how=${t("supervisors-how")}>
      ${now ? html`<ul class="tree">${now.supervisors.map((each) => html`<${Branch} key=${each.name} supervisor=${each} />`)}</ul>` : html`<${Waiting} />`}
    <//>`;
}

/** @param {{supervisor: state.Supervisor}} props */
function Branch({ supervisor: { name, crashes, given_up: lost = 0, children, more = 0, latest = [] } }) {
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("task"), cell: (crash) => html`<bdi>${crash.name}</bdi>`, main: true },
    { name: t("error"), cell: ({ error }) => html`<code>${error}</code>` },
    { name: t("when"), cell: ({ ts }) => html`<${Time} ts=${ts} />` },
  ];
  return html`
    <li>
      <h2>${name} <small class=${crashes ? "bad" : ""}>${t("n-crashes", { n: crashes })}${lost ? `, ${t("n-given-up", { n: lost })}` : ""}</small></h2>
      <ul>${children.map((child, index) => html`
        <li key=${`${child.name} ${index}`}><bdi>${child.name}</bdi>
          ${child.pausing && html` <span class="pill bad">${t("pauses")}</span>`}
          <small>${child.restarts ? html`<b class="bad">${t("n-restarts", { n: child.restarts })}</b> · ` : ""}
            ${t("runs-since")} <${Time} ts=${child.since} /></small></li>`)}
        ${more > 0 && html`<li>${t("and-more", { n: count(more) })}</li>`}
      </ul>
      ${latest.length > 0 && html`<h3>${t("latest-crashes")}</h3>
        <${Table} label=${t("latest-crashes")} columns=${columns} rows=${latest} empty="" />`}
    </li>`;
}
