// @ts-check
// The dialogs: one is open at a time, and `state.dialog` says which.
import * as actions from "../actions.js";
import { html, useEffect, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import { reaches } from "../rooms.js";
import { signOut } from "../session.js";
import * as state from "../state.js";
import { lacking } from "../unsent.js";
import { Notifications, SilenceChoice } from "./notifications.js";
import { Avatar, Dialog } from "./parts.js";
import { People, usePeople } from "./people.js";
import { Profile } from "./profile.js";
import * as sanctions from "./sanctions.js";

const close = () => { state.dialog.value = null; };

export function Dialogs() {
  const open = state.dialog.value;
  const View = open && VIEWS[open.name];
  return View ? html`<${View} ...${open} />` : null;
}

/** A form that tells why it was refused, and closes when it was not.
 *  @param {{act: () => Promise<any>, label: string, bad?: boolean, children?: any}} props */
function Form({ act, label, bad = false, children }) {
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setWrong("");
    const own = state.dialog.value;
    try {
      await act();
      if (state.dialog.value === own) close(); // Another one may have been opened meanwhile.
    } catch (error) {
      setWrong(/** @type {Error} */ (error).message);
      setBusy(false);
    }
  };
  return html`
    <form onSubmit=${submit}>
      ${children}
      ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
      <footer><button type="button" class="soft" onClick=${close}>${t("cancel")}</button>
        <button class=${bad ? "primary danger" : "primary"} disabled=${busy}>${label}</button></footer>
    </form>`;
}

/** @param {{label: string, how?: string, value: string, onInput: (value: string) => void, [more: string]: any}} props */
const Field = ({ label, how, value, onInput, ...more }) => html`
  <label class="labelled"><span>${label}</span>
    <input value=${value} onInput=${(/** @type {any} */ event) => onInput(event.target.value)} autocomplete="off" ...${more} />
    ${how && html`<small>${how}</small>`}
  </label>`;

/** A short name for a group of that title; empty where none of its letters will do. @param {string} title */
const shortName = (title) => title.toLowerCase().replaceAll("ß", "ss").normalize("NFKD").replace(/\p{M}+/gu, "").replace(/[^a-z0-9]+/g, "-")
  .slice(0, 64).replace(/^-|-$/g, "");

/** The next text that is typed goes to the chat that the dialog has opened. */
const writeThere = () => requestAnimationFrame(() => {
  if (matchMedia("(hover: hover)").matches) document.querySelector("textarea")?.focus();
});

function NewGroup() {
  /** null: as the title suggests. */
  const [typed, setTyped] = useState(/** @type {string | null} */ (null));
  const [title, setTitle] = useState("");
  const name = typed ?? shortName(title);
  const people = usePeople();
  return html`
    <${Dialog} label=${t("new-group")} onClose=${close}>
      <${Form} label=${t("create")} act=${() => actions.createGroup(name, title.trim(), people.all()).then(writeThere)}>
        <${Field} label=${t("group-title")} value=${title} onInput=${setTitle} maxlength="100" />
        <${Field} label=${t("group-name")} how=${t("group-name-how")} value=${name} required pattern="[a-z0-9][a-z0-9_.\\-]{0,63}" autocapitalize="none"
          onInput=${(/** @type {string} */ value) => setTyped(value.toLowerCase())} />
        <${People} label=${t("group-users")} how=${t("group-users-how")} people=${people} />
      <//>
    <//>`;
}

/** @param {{room: string}} props */
function Members({ room }) {
  const [members, setMembers] = useState(/** @type {Awaited<ReturnType<typeof actions.members>>} */ ([]));
  const [sanctioned, setSanctioned] = useState(/** @type {sanctions.Sanction[]} */ ([]));
  const added = usePeople();
  const known = state.rooms.value.get(room);
  const head = known?.head;
  const owns = known?.role === "owner";
  const moderates = owns || known?.role === "moderator";
  const look = () => Promise.all([actions.members(room).then(setMembers), sanctions.read(room, moderates).then(setSanctioned)]);
  useEffect(() => { look().catch(state.tell); }, [room, head, moderates]);
  if (!known) return null;
  const muted = new Set(sanctioned.filter(({ kind }) => kind === "mute").map(({ user }) => user));
  const act = (/** @type {string} */ action, /** @type {Record<string, any>} */ fields) => actions.group(room, action, fields).then(look).catch(state.tell);
  return html`
    <${Dialog} label=${known.title} onClose=${close} wide>
      ${moderates && html`
        <form class="inline" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); act("add", { users: added.all() }); added.clear(); }}>
          <${People} label=${t("add-users")} people=${added} without=${members.map(({ user }) => user)} />
          <button class="soft" disabled=${!added.all().length}>${t("add")}</button>
        </form>`}
      <ul class="members">${members.map((member) => html`
        <li key=${member.user}>
          <${Avatar} name=${member.name} id=${member.user} size="small" />
          <span><button type="button" class="member-name" onClick=${() => { state.dialog.value = { name: "profile", user: member.user, shown: member.name }; }}>
              <b dir="auto">${member.name}</b></button>
            <small>${about(member)}</small></span>
          ${member.user !== state.me.value && moderates && html`<${MemberActions} member=${member} owns=${owns} muted=${muted.has(member.user)} act=${act} />`}
        </li>`)}</ul>
      <${sanctions.Sanctions} sanctions=${sanctioned} act=${act} />
      <${SilenceChoice} room=${room} />
      ${owns && html`<${Settings} room=${known} act=${act} />`}
      ${!known.ended && html`<footer>
        <button type="button" class="soft bad" onClick=${() => { state.dialog.value = { name: "leave", room }; }}>${t("leave")}</button>
        ${owns && html`<button type="button" class="soft bad" onClick=${() => { state.dialog.value = { name: "delete-group", room }; }}>${t("delete-group")}</button>`}
      </footer>`}
    <//>`;
}

/** The id of a member who has a name, and the role that not all have. @param {{user: string, name: string, role: string}} member */
const about = ({ user, name, role }) => [user !== name && user, role !== "member" && t(role)].filter(Boolean).join(" · ");

/** @param {{member: {user: string, role: string}, owns: boolean, muted: boolean, act: (action: string, fields: object) => void}} props */
function MemberActions({ member, owns, muted, act }) {
  const { user, role } = member;
  const choose = (/** @type {any} */ event) => {
    const [action, value] = event.target.value.split(" ");
    event.target.value = "";
    if (action === "role") act("role", { user, role: value });
    else if (action === "mute") act("mute", { user, seconds: 3600 });
    else if (action === "unmute") act("unmute", { user });
    else if (action === "remove") act("remove", { users: [user] });
    else if (action === "ban") act("ban", { user });
  };
  return html`
    <select aria-label=${`${t("more")}: ${nameOf(user)}`} onChange=${choose}>
      <option value="">${t("more")}</option>
      ${owns && ["owner", "moderator", "member"].filter((each) => each !== role).map((each) => html`<option value=${`role ${each}`}>${t(`make-${each}`)}</option>`)}
      ${(owns || role === "member") && html`
        <option value=${muted ? "unmute" : "mute"}>${t(muted ? "unmute" : "mute-hour")}</option>
        <option value="remove">${t("remove-from-group")}</option>
        <option value="ban">${t("ban")}</option>`}
    </select>`;
}

/** @param {{room: import("../rooms.js").Room, act: (action: string, fields: object) => void}} props */
function Settings({ room, act }) {
  const [title, setTitle] = useState(room.title);
  return html`
    <form class="inline" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); act("set", { title }); }}>
      <${Field} label=${t("group-title")} value=${title} onInput=${setTitle} maxlength="100" />
      <button class="soft" disabled=${title === room.title}>${t("save")}</button>
    </form>
    <label class="labelled"><span>${t("who-may-post")}</span>
      <select value=${room.post} onChange=${(/** @type {any} */ event) => act("set", { post: event.target.value })}>
        ${["members", "moderators", "owner"].map((each) => html`<option value=${each}>${t(`post-${each}`)}</option>`)}
      </select>
    </label>`;
}

/** @param {{room: string}} props */
function Leave({ room }) {
  const [successor, setSuccessor] = useState("");
  /** The others, once it is known that a successor is needed. */
  const [heirs, setHeirs] = useState(/** @type {Awaited<ReturnType<typeof actions.members>>} */ ([]));
  const act = () => actions.group(room, "leave", successor ? { successor } : {}).catch(async (error) => {
    if (error.code !== "conflict") throw error;
    const others = (await actions.members(room)).filter(({ user }) => user !== state.me.value);
    setHeirs(others);
    throw new Error(t(others.length ? "leave-successor" : "leave-alone"));
  });
  return html`
    <${Dialog} label=${t("leave")} onClose=${close}>
      <${Form} label=${t("leave")} act=${act} bad>
        ${heirs.length > 0 && html`
          <label class="labelled"><span>${t("successor")}</span>
            <select value=${successor} required onChange=${(/** @type {any} */ event) => setSuccessor(event.target.value)}>
              <option value=""></option>
              ${heirs.map(({ user }) => html`<option value=${user}>${nameOf(user)}</option>`)}
            </select>
          </label>`}
      <//>
    <//>`;
}

/** @param {{room: string}} props */
const DeleteGroup = ({ room }) => html`
  <${Dialog} label=${t("delete-group")} onClose=${close}>
    <${Form} label=${t("delete-group")} act=${() => actions.group(room, "delete")} bad><p>${t("delete-group-sure")}</p><//>
  <//>`;

/** @param {{room: string}} props */
function Person({ room }) {
  const known = state.rooms.value.get(room);
  if (!known) return null;
  const relation = state.relations.value.get(known.other) ?? "none";
  const act = (/** @type {Parameters<typeof actions.relate>[1]} */ action) => () => { close(); actions.relate(known.other, action); };
  return html`
    <${Dialog} label=${known.title} onClose=${close}>
      <div class="person"><${Avatar} name=${known.title} id=${known.other} size="huge" /><p>${known.other}</p></div>
      ${known.other !== state.me.value && html`<${SilenceChoice} room=${room} />`}
      ${known.other !== state.me.value && html`<footer>
        ${relation === "contact"
          ? html`<button type="button" class="soft" onClick=${act("remove")}>${t("remove-contact")}</button>`
          : relation !== "blocked" && html`<button type="button" class="soft" onClick=${act("add")}>${t("add-contact")}</button>`}
        ${relation === "blocked"
          ? html`<button type="button" class="soft" onClick=${act("unblock")}>${t("unblock")}</button>`
          : html`<button type="button" class="soft bad" onClick=${act("block")}>${t("block")}</button>`}
      </footer>`}
    <//>`;
}

const RELATIONS = ["contact", "blocked", "declined"];
/** The way out of each relation. @type {Record<string, ["remove" | "unblock" | "add", string]>} */
const ENDS = { contact: ["remove", "remove-from-group"], blocked: ["unblock", "unblock"], declined: ["add", "add"] };

function Contacts() {
  const related = [...state.relations.value].sort();
  return html`
    <${Dialog} label=${t("contacts")} onClose=${close}>
      ${RELATIONS.map((relation) => html`
        <${Related} key=${relation} relation=${relation} users=${related.filter(([, how]) => how === relation).map(([user]) => user)} />`)}
      ${!related.length && html`<p>${t("no-contacts")}</p>`}
    <//>`;
}

/** @param {{relation: string, users: string[]}} props */
function Related({ relation, users }) {
  if (!users.length) return null;
  const [action, label] = ENDS[relation];
  return html`
    <h3>${t(`are-${relation}`)}</h3>
    <ul class="members">${users.map((user) => html`
      <li key=${user}>
        <${Avatar} name=${nameOf(user)} id=${user} size="small" />
        <span><b dir="auto">${nameOf(user)}</b></span>
        ${relation !== "blocked" && html`<button type="button" class="soft" onClick=${() => { close(); actions.startWith(user); }}>${t("write")}</button>`}
        <button type="button" class="soft" onClick=${() => actions.relate(user, action)}>${t(label)}</button>
      </li>`)}</ul>`;
}

/** @param {{room: string, item: import("../timeline.js").Row}} props */
function Report({ room, item }) {
  const [reason, setReason] = useState("");
  const [done, setDone] = useState(false);
  const act = async () => {
    await actions.report(room, item.seq, reason.trim());
    setDone(true);
    await new Promise((resolve) => setTimeout(resolve, 1500));
  };
  return html`
    <${Dialog} label=${t("report")} onClose=${close}>
      <${Form} label=${t("report")} act=${act}>
        <blockquote dir="auto">${inNames(item.body, item.mentions ?? [])}</blockquote>
        ${done ? html`<p role="status">${t("reported")}</p>` : html`<${Field} label=${t("report-why")} value=${reason} onInput=${setReason} maxlength="200" />`}
      <//>
    <//>`;
}

/** @param {{room: string, item: import("../timeline.js").Row}} props */
const Delete = ({ room, item }) => html`
  <${Dialog} label=${t("delete")} onClose=${close}>
    <${Form} label=${t("delete")} act=${() => actions.remove(room, item.seq)} bad>
      <p>${t("delete-sure")}</p><blockquote dir="auto">${inNames(item.body, item.mentions ?? [])}</blockquote>
    <//>
  <//>`;

/** @param {{room: string, item: import("../timeline.js").Row}} props */
function Readers({ room, item }) {
  const [members, setMembers] = useState(/** @type {Awaited<ReturnType<typeof actions.members>>} */ ([]));
  useEffect(() => { actions.members(room).then(setMembers, state.tell); }, [room]);
  const known = state.rooms.value.get(room);
  const others = members.filter(({ user }) => user !== state.me.value);
  const has = (/** @type {"readBy" | "gotBy"} */ positions, /** @type {string} */ user) => known !== undefined && reaches(known, positions, item.seq, user);
  const how = (/** @type {string} */ user) => (has("readBy", user) ? "read" : has("gotBy", user) ? "got" : "sent");
  return html`
    <${Dialog} label=${t("readers")} onClose=${close}>
      <blockquote dir="auto">${inNames(item.body, item.mentions ?? [])}</blockquote>
      ${["read", "got", "sent"].map((reached) => {
        const list = others.filter(({ user }) => how(user) === reached);
        return list.length > 0 && html`
          <h3 key=${reached}>${t(`readers-${reached}`)}</h3>
          <ul class="members">${list.map(({ user, name }) => html`
            <li key=${user}><${Avatar} name=${name} id=${user} size="small" /><span dir="auto">${name}</span></li>`)}</ul>`;
      })}
    <//>`;
}

const SignOut = () => html`
  <${Dialog} label=${t("sign-out-sure")} onClose=${close}>
    <${Form} label=${t("sign-out")} act=${async () => signOut()} bad><p>${t("sign-out-unsent", { n: lacking()?.n ?? 0 })}</p><//>
  <//>`;

const KEYS = [
  [["key-ctrl", "K"], "keys-find"], [["Alt", "↑", "↓"], "keys-rooms"], [["↑"], "keys-edit"], [["↑", "↓"], "keys-messages"],
  [["key-enter"], "keys-send"], [["key-shift", "key-enter"], "keys-line"], [["Esc"], "keys-close"], [["?"], "keys-help"],
];

const Shortcuts = () => html`
  <${Dialog} label=${t("shortcuts")} onClose=${close}>
    <dl class="keys">${KEYS.map(([keys, name]) => html`
      <div key=${name}><dt>${/** @type {string[]} */ (keys).map((key) => html`<kbd>${t(key)}</kbd> `)}</dt><dd>${t(/** @type {string} */ (name))}</dd></div>`)}</dl>
  <//>`;

/** @type {Record<string, (props: any) => any>} */
const VIEWS = {
  "new-group": NewGroup, members: Members, person: Person, leave: Leave, "delete-group": DeleteGroup, report: Report, delete: Delete,
  shortcuts: Shortcuts, notifications: Notifications, contacts: Contacts, readers: Readers, profile: Profile,
  "sign-out": SignOut,
};
