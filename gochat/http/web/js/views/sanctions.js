// @ts-check
// Users who are muted in a group or banned from it, with the way back; for its moderators.
import * as actions from "../actions.js";
import { html } from "../html.js";
import { t } from "../l10n.js";
import * as when from "../time.js";
import { Avatar } from "./parts.js";

/** @typedef {{user: string, name: string, kind: "mute" | "ban", ts: number, until?: number}} Sanction */

/** @param {{sanctions: Sanction[], act: (action: string, fields: object) => void}} props */
export function Sanctions({ sanctions, act }) {
  if (!sanctions.length) return null;
  return html`
    <h3>${t("sanctions")}</h3>
    <ul class="members sanctions">${sanctions.map(({ user, name, kind, until }) => html`
      <li key=${`${user} ${kind}`}>
        <${Avatar} name=${name} id=${user} size="small" />
        <span><b dir="auto">${name}</b> <small>${t(kind === "ban" ? "is-banned" : "is-muted")}${until ? `, ${t("until", { when: when.until(until) })}` : ""}</small></span>
        <button type="button" class="soft" onClick=${() => act(`un${kind}`, { user })}>${t(kind === "ban" ? "unban" : "unmute")}</button>
      </li>`)}</ul>`;
}

/** The sanctions of a group, where the user may see them. @param {string} room @param {boolean} moderates */
export const read = async (room, moderates) => (moderates ? actions.sanctions(room) : []);
