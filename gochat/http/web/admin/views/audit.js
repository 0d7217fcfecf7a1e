// @ts-check
// The audit log, newest first: acts of users and admins, and looks at private rooms.
import { html } from "../../js/html.js";
import * as when from "../../js/time.js";
import { t } from "../l10n.js";
import { PagedTable, RoomLink, Time, UserLink, View } from "../parts.js";
import { usePages } from "../poll.js";

/** All else that was recorded of an act, as a line; null: nothing. @param {{detail?: string}} entry */
function detail({ detail: text }) {
  const known = Object.entries(JSON.parse(text ?? "{}"));
  return known.length ? html`<span dir="auto">${known.map(([name, value]) => `${name === "until" ? t("until") : name}: ${said(name, value)}`).join(", ")}</span>` : null;
}

/** @param {string} name @param {any} value */
const said = (name, value) => (name === "until" ? when.inFull(Number(value)) : value);

export function Audit() {
  const list = usePages("admin/audit", "entries");
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("when"), cell: ({ ts }) => html`<${Time} ts=${ts} />` },
    { name: t("actor"), cell: ({ actor }) => html`<${UserLink} id=${actor} />` },
    { name: t("act"), cell: ({ action }) => html`<code>${action}</code>`, main: true },
    { name: t("room"), cell: ({ room }) => (room ? html`<${RoomLink} id=${room} />` : "") },
    { name: t("subject"), cell: ({ subject }) => subject && html`<bdi>${subject}</bdi>` },
    { name: t("detail"), cell: detail },
  ];
  return html`
    <${View} title=${t("audit")} how=${t("audit-how")}>
      <${PagedTable} list=${list} label=${t("audit")} columns=${columns} id="id" empty=${t("no-audit")} />
    <//>`;
}
