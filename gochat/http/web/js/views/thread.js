// @ts-check
// One room: its head, its messages, and the place to write or the reason why there is none.
import * as actions from "../actions.js";
import { html } from "../html.js";
import { t } from "../l10n.js";
import { nameOf } from "../names.js";
import * as state from "../state.js";
import { thread as threadOf } from "../threads.js";
import * as when from "../time.js";
import { Composer } from "./composer.js";
import { Messages } from "./messages.js";
import { Avatar, IconButton } from "./parts.js";

/** @typedef {import("../rooms.js").Room} Room */

/** @param {{room: Room}} props */
export function ThreadView({ room }) {
  const thread = threadOf(room.id);
  const version = thread.version.value;
  const reason = whyNotWrite(room);
  return html`
    <section class="thread" aria-label=${t("chat-with", { title: room.title })}>
      <header class="bar">
        <${IconButton} name="back" label=${t("back")} class="ghost back" onClick=${actions.closeRoom} />
        <${Avatar} name=${room.title} id=${room.other || room.id} online=${room.kind === "dm" ? room.online : undefined} />
        <div class="who"><h1 dir="auto">${room.title}</h1><${Status} room=${room} /></div>
        <${IconButton} name="people" label=${t(room.kind === "group" ? "members" : "more")}
          onClick=${() => { state.dialog.value = { name: room.kind === "group" ? "members" : "person", room: room.id }; }} />
      </header>
      <${Messages} key=${thread} room=${room} thread=${thread} version=${version} loading=${thread.loading.value} failed=${thread.failed.value} />
      ${reason ? html`<p class="closed" role="status">${reason}</p>` : html`<${Composer} key=${`composer ${room.id}`} room=${room} />`}
    </section>`;
}

/** @param {{room: Room}} props */
function Status({ room }) {
  const typists = Object.keys(room.typing);
  if (typists.length) {
    const text = t(typists.length > 1 ? "typing-many" : "typing-one", { who: typists.map(nameOf).join(", ") });
    return html`<p class="typing" role="status">${text}<span class="dots"><i></i><i></i><i></i></span></p>`;
  }
  if (room.kind === "group") return html`<p>${room.id.slice(6)}</p>`;
  return html`<p role="status">${room.online ? t("online") : room.seen ? t("last-seen", { when: when.ago(room.seen) }) : t("offline")}</p>`;
}

/** @param {Room} room */
function whyNotWrite(room) {
  if (room.ended) return t("ended");
  if (room.kind === "dm" && state.relations.value.get(room.other) === "blocked") return t("is-blocked", { title: room.title });
  const rank = { member: 0, moderator: 1, owner: 2 }[room.role] ?? 0;
  const needed = { members: 0, moderators: 1, owner: 2 }[room.post] ?? 0;
  return room.kind === "group" && rank < needed ? t(room.post === "owner" ? "only-owners-post" : "may-not-post") : "";
}
