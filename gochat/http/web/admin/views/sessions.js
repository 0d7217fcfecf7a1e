// @ts-check
// Live sessions: all of them by user, or those whose peers do not take what is sent.
import { html, useState } from "../../js/html.js";
import { address } from "../address.js";
import { t } from "../l10n.js";
import { bytes, span } from "../numbers.js";
import { Find, PagedTable, Table, Time, UserLink, View, Waiting, Wrong } from "../parts.js";
import { useLive, usePages } from "../poll.js";

const USER = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

/** @type {() => import("../parts.js").Column[]} */
export const sessionColumns = () => [
  { name: t("user"), cell: ({ user }) => html`<${UserLink} id=${user} />`, main: true },
  { name: t("signed-in"), cell: ({ since }) => html`<${Time} ts=${since} />` },
  { name: t("transport"), cell: ({ transport }) => transport },
  { name: t("from-address"), cell: ({ address: from }) => html`<bdi>${from}</bdi>` },
  { name: t("device"), cell: ({ device }) => html`<bdi>${device ?? "–"}</bdi>` },
];
/** @type {() => import("../parts.js").Column[]} */
const slowColumns = () => [
  ...sessionColumns(),
  { name: t("waits"), cell: ({ waiting }) => bytes(waiting), number: true },
  { name: t("stalled"), cell: ({ stalled_ms: stalled }) => span(stalled ?? 0), number: true },
];

/** @param {{of: string}} props */
export function Sessions({ of }) {
  const slow = of === "slow";
  const side = html`<span class="tabs"><a href=${address("sessions")} aria-current=${slow ? undefined : "true"}>${t("all")}</a>
    <a href=${address("sessions", "slow")} aria-current=${slow ? "true" : undefined}>${t("slow-ones")}</a></span>`;
  return html`
    <${View} title=${t("sessions")} side=${side} how=${t(slow ? "slow-how" : "sessions-how")}>
      ${slow ? html`<${Slow} />` : html`<${All} />`}
    <//>`;
}

function All() {
  const [user, setUser] = useState("");
  const list = usePages("admin/sessions", "sessions", { user: USER.test(user) ? user : "" });
  return html`
    <${Find} label=${t("of-user")} value=${user} onInput=${setUser} />
    <${PagedTable} list=${list} label=${t("sessions")} columns=${sessionColumns()} empty=${t("no-sessions")} />`;
}

function Slow() {
  const { told, wrong } = useLive("admin/sessions", { slow: true });
  return html`
    <${Wrong} text=${wrong} />
    ${told ? html`<${Table} label=${t("slow-ones")} columns=${slowColumns()} rows=${told.sessions} empty=${t("none-slow")} />` : html`<${Waiting} />`}`;
}
