// @ts-check
// Mailboxes with mail that waits: how much, and since when.
import { html, useState } from "../../js/html.js";
import { t } from "../l10n.js";
import { count, span } from "../numbers.js";
import { PagedTable, RoomLink, Switch, Table, UserLink, View, Waiting, Wrong } from "../parts.js";
import { useLive, usePages } from "../poll.js";
import * as state from "../state.js";

/** @param {{entry: any}} props */
function Owner({ entry: { kind, id } }) {
  if (!id) return t("a-private-room");
  return kind === "user" ? html`<${UserLink} id=${id} />` : html`<${RoomLink} id=${id} />`;
}

export function Mailboxes() {
  const [named, setNamed] = useState(false);
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("mailbox-of"), cell: (entry) => html`<${Owner} entry=${entry} />`, main: true },
    { name: t("waiting"), cell: ({ waiting, capacity }) => t("n-of", { n: count(waiting), most: count(capacity) }), number: true },
    { name: t("age"), cell: ({ age_ms: age, turn_ms: turn }) => t("between", { least: span(age), most: span(turn) }), number: true },
    { name: t("peak"), cell: ({ peak }) => count(peak), number: true },
    { name: t("was-refused"), cell: ({ refused }) => count(refused ?? 0), number: true },
    { name: t("phase"), cell: ({ phase }) => phase },
  ];
  return html`
    <${View} title=${t("mailboxes")} how=${t("mailboxes-how")}>
      <${Switch} label=${t("name-private")} how=${t("is-recorded-each")} checked=${named} onChange=${setNamed} />
      ${named ? html`<${Named} columns=${columns} />` : html`<${Live} columns=${columns} />`}
    <//>`;
}

/** @param {{columns: import("../parts.js").Column[]}} props */
function Live({ columns }) {
  const { told, wrong } = useLive("admin/mailboxes", {});
  return html`
    <${Wrong} text=${wrong} />
    ${told ? html`${told.waiting > 0 && html`<p>${t("n-waiting", { n: count(told.waiting) })}</p>`}
      <${Table} label=${t("mailboxes")} columns=${columns} rows=${told.mailboxes} empty=${t("no-mail")} />`
      : html`<${Waiting} />`}`;
}

/** Each look is recorded, so the list is read when somebody says so. @param {{columns: import("../parts.js").Column[]}} props */
function Named({ columns }) {
  const list = usePages("admin/mailboxes", "mailboxes", { private: true });
  return html`
    <button type="button" class="soft" onClick=${() => { state.version.value++; }}>${t("look-again")}</button>
    <${PagedTable} list=${list} label=${t("mailboxes")} columns=${columns} id="id" empty=${t("no-mail")} />`;
}
