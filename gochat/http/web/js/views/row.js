// @ts-check
// One message, or a note of what happened in the group.
import * as actions from "../actions.js";
import { copy } from "../clipboard.js";
import { formatter, hue, isJumbo } from "../format.js";
import { html, steady, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import * as outbox from "../outbox.js";
import * as state from "../state.js";
import { jumpTo, readQuoted } from "../threads.js";
import * as when from "../time.js";
import { Picker, recent } from "./picker.js";
import { Avatar, IconButton, Menu, icon } from "./parts.js";

/** @typedef {import("../timeline.js").Row} Item */
/** @typedef {{item: Item, rev: number, room: string, group: boolean, moderates: boolean, quoted?: Item, quotedRev: number, day: string,
 *   firstNew: boolean, reached: "sent" | "got" | "read", place: number, head: boolean, tail: boolean}} RowProps */

const QUICK = 3;
const QUOTE_AFTER_MS = 250;

export const Row = steady((/** @type {RowProps} */ props) => {
  const { item, day, firstNew } = props;
  return html`
    ${day && html`<div class="day"><span>${day}</span></div>`}
    ${firstNew && html`<div class="day new"><span>${t("new")}</span></div>`}
    ${item.kind === "note"
      ? html`<article class="msg note" tabindex="-1" aria-posinset=${props.place + 1} aria-setsize="-1" dir="auto"><${Note} item=${item} /></article>`
      : html`<${Message} ...${props} />`}`;
});

/** A message as it is quoted. @param {Item} item */
const bodyOf = (item) => inNames(item.body, mentionsOf(item));

/** Those whom the message mentions; as long as it is on its way nobody has said. @param {Item} item */
const mentionsOf = (item) => (item.seq > 0 ? (item.mentions ?? []) : undefined);

/** @param {RowProps} props */
function Message(props) {
  const { item, room, group, head, tail, place } = props;
  const mine = item.from === state.me.value;
  const named = group && !mine;
  const name = nameOf(item.from);
  const classes = ["msg", mine ? "mine" : "theirs", head && "head", tail && "tail", named && "named", item.state];
  const label = `${mine ? t("you") : name}, ${when.time(item.ts)}: ${item.body === undefined ? t("deleted") : bodyOf(item)}`;
  return html`
    <article class=${classes.filter(Boolean).join(" ")} tabindex="-1" aria-posinset=${place + 1} aria-setsize="-1" aria-label=${label}>
      ${named && (tail ? html`<${Avatar} name=${name} id=${item.from} size="small" />` : html`<span class="avatar small gap"></span>`)}
      <div class="stack">
        ${named && head && html`<span class=${`name hue-${hue(item.from)}`} title=${item.from} dir="auto">${name}</span>`}
        ${item.reply_to && !item.deleted && html`<${Quote} room=${room} seq=${item.reply_to} quoted=${props.quoted} rev=${props.quotedRev} />`}
        <${Bubble} item=${item} rev=${item.rev} mine=${mine} reached=${props.reached} />
        ${item.reactions && html`<${Reactions} item=${item} rev=${item.rev} room=${room} />`}
        ${item.state === "failed" && html`
          <p class="failed-note" role="alert">${t("not-sent")}. ${item.why}
            <button type="button" onClick=${() => outbox.retry(room, item)}>${t("try-again")}</button>
            <button type="button" onClick=${() => outbox.discard(room, item)}>${t("discard")}</button>
          </p>`}
        ${!item.state && item.seq > 0 && !item.deleted && html`<${Tools} ...${props} mine=${mine} />`}
      </div>
    </article>`;
}

/** `rev` is what says that the item changed: preact's signals pass over a component whose props are the same objects.
 *  @param {{item: Item, rev: number, mine: boolean, reached: string}} props */
function Bubble({ item, mine, reached }) {
  const body = item.body ?? "";
  return html`
    <div class=${`bubble ${body && isJumbo(body) ? "jumbo" : ""}`} dir="auto">
      ${item.deleted ? html`<em>${t("deleted")}</em>` : formatter(state.me.value, nameOf, mentionsOf(item))(body)}
      <span class="meta" dir="ltr">
        ${item.edited && !item.deleted && `${t("edited")} `}<time title=${when.inFull(item.ts)}>${when.time(item.ts)}</time>
        ${mine && html`<${Progress} state=${item.state ?? ""} reached=${reached} />`}
      </span>
    </div>`;
}

/** @param {{state: string, reached: string}} props */
function Progress({ state: how, reached }) {
  const [name, label] = /** @type {Record<string, ["clock" | "alert", string]>} */ ({
    sending: ["clock", "sending"], waiting: ["clock", "waiting"], failed: ["alert", "not-sent"],
  })[how] ?? [reached === "sent" ? "check" : "checks", reached];
  return html`<span role="img" aria-label=${t(label)} title=${t(label)}>${icon(name, label === "read" ? "tick strong" : "tick")}</span>`;
}

/** @param {{room: string, seq: number, quoted?: Item, rev: number}} props */
function Quote({ room, seq, quoted }) {
  useEffect(() => {
    // Rows that only scroll by are not worth a request.
    const timer = quoted ? 0 : setTimeout(readQuoted, QUOTE_AFTER_MS, room, seq);
    return () => clearTimeout(timer);
  }, [quoted, seq]);
  return html`
    <button type="button" class="quote" onClick=${() => jumpTo(room, seq)}>
      <b dir="auto">${quoted ? nameOf(quoted.from) : "…"}</b> <span dir="auto">${quoted ? (quoted.body === undefined ? t("deleted") : bodyOf(quoted)) : ""}</span>
    </button>`;
}

/** @param {{item: Item, rev: number, room: string}} props */
const Reactions = ({ item, room }) => html`
  <div class="reactions">
    ${Object.entries(item.reactions ?? {}).map(([emoji, count]) => html`
      <button type="button" key=${emoji} class=${item.mine?.has(emoji) ? "own" : ""} aria-label=${`${emoji}, ${count}`}
        onClick=${() => actions.react(room, item.seq, emoji)}>${emoji} <b>${count}</b></button>`)}
  </div>`;

// ------------------------------------------------------------------------------------------------ what one can do with it

/** @param {RowProps & {mine: boolean}} props */
function Tools({ item, room, mine, moderates, group }) {
  const [open, setOpen] = useState(/** @type {"" | "menu" | "picker"} */ (""));
  const close = () => setOpen("");
  return html`
    <div class=${`tools ${open ? "open" : ""}`}>
      ${recent().slice(0, QUICK).map((emoji) => html`
        <button type="button" class="ghost" key=${emoji} aria-label=${`${t("react")} ${emoji}`} onClick=${() => actions.react(room, item.seq, emoji)}>${emoji}</button>`)}
      <span class="anchor">
        <${IconButton} name="smile" label=${t("react")} onClick=${() => setOpen(open === "picker" ? "" : "picker")} />
        ${open === "picker" && html`<${Picker} onClose=${close} onPick=${(/** @type {string} */ emoji) => { close(); actions.react(room, item.seq, emoji); }} />`}
      </span>
      <span class="anchor">
        <${IconButton} name="more" label=${t("actions")} aria-haspopup="menu" aria-expanded=${open === "menu"} onClick=${() => setOpen(open === "menu" ? "" : "menu")} />
        ${open === "menu" && html`<${Menu} label=${t("actions")} items=${choices(item, room, mine, moderates, group)} onClose=${close} />`}
      </span>
    </div>`;
}

/** @param {Item} item @param {string} room @param {boolean} mine @param {boolean} moderates @param {boolean} group */
function choices(item, room, mine, moderates, group) {
  const target = (/** @type {"reply" | "edit"} */ kind) => () => state.aim({ kind, row: item }, room);
  const link = () => new URL(`#message=${room}:${item.seq}`, location.href).href;
  return [
    { name: t("reply"), icon: /** @type {const} */ ("reply"), act: target("reply") },
    ...(mine ? [{ name: t("edit"), icon: /** @type {const} */ ("pencil"), act: target("edit") }] : []),
    { name: t("copy"), icon: /** @type {const} */ ("copy"), act: () => take(item.body ?? "") },
    { name: t("copy-link"), icon: /** @type {const} */ ("link"), act: () => take(link()) },
    ...(mine && group ? [{ name: t("readers"), icon: /** @type {const} */ ("checks"), act: () => { state.dialog.value = { name: "readers", room, item }; } }] : []),
    ...(mine ? [] : [{ name: t("report"), icon: /** @type {const} */ ("flag"), act: () => { state.dialog.value = { name: "report", room, item }; } }]),
    ...(mine || moderates ? [{ name: t("delete"), icon: /** @type {const} */ ("bin"), bad: true, act: () => { state.dialog.value = { name: "delete", room, item }; } }] : []),
  ];
}

/** @param {string} text */
const take = (text) => copy(text).catch(() => state.tell(t("not-copied")));

// ------------------------------------------------------------------------------------------------ notes

/** @param {{item: Item}} props */
function Note({ item }) {
  const { change } = item;
  const from = nameOf(item.from);
  const users = change.users?.map(nameOf).join(", ") ?? "";
  switch (change.type) {
    case "member":
      if (change.title !== undefined || (change.change === "added" && change.role === "owner" && users === from)) return t("note-created", { from });
      return t(`note-${change.change}`, { from, users, role: change.role ? t(change.role) : "" });
    case "group":
      return change.title ? t("note-title", { from, title: change.title }) : t("note-settings", { from });
    default:
      return t("note-closed", { from });
  }
}
