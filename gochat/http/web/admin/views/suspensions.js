// @ts-check
// Users who are suspended now, and the way to suspend one by id.
import { html, useState } from "../../js/html.js";
import { t } from "../l10n.js";
import { Act, Find, Moment, PagedTable, Time, UserLink, View } from "../parts.js";
import { usePages } from "../poll.js";
import { suspending, unsuspending } from "./users.js";

const USER = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

export function Suspensions() {
  const [user, setUser] = useState("");
  const list = usePages("admin/suspensions", "suspensions");
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: t("user"), cell: ({ user: id }) => html`<${UserLink} id=${id} />`, main: true },
    { name: t("since"), cell: ({ ts }) => html`<${Time} ts=${ts} />` },
    { name: t("until"), cell: ({ until }) => (until ? html`<${Moment} ts=${until} />` : t("for-good")) },
    { name: t("suspended-by"), cell: ({ by }) => html`<${UserLink} id=${by} />` },
    { name: t("reason"), cell: ({ reason }) => reason && html`<span dir="auto">${reason}</span>` },
    { name: t("what-to-do"), cell: ({ user: id }) => html`<span class="acts"><${Act} question=${unsuspending(id)} /></span>` },
  ];
  return html`
    <${View} title=${t("suspensions")} how=${t("suspensions-how")}>
      <div class="controls">
        <${Find} label=${t("user-id")} value=${user} onInput=${setUser} />
        ${USER.test(user) && html`<${Act} question=${suspending(user)} />`}
      </div>
      <${PagedTable} list=${list} label=${t("suspensions")} columns=${columns} id="user" empty=${t("no-suspensions")} />
    <//>`;
}
