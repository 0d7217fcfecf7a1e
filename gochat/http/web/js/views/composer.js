// @ts-check
// The place to write: several lines, drafts, replies and edits, emoji by name, long texts as several messages.
import * as actions from "../actions.js";
import { completionsFor, forgetMembers, written } from "../completions.js";
import { draftOf, editOf, followDraft, keepDraft, keepEdit } from "../drafts.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { t } from "../l10n.js";
import { inNames, nameOf } from "../names.js";
import * as state from "../state.js";
import { thread } from "../threads.js";
import { Picker } from "./picker.js";
import { IconButton, icon } from "./parts.js";

/** A text that is longer than so many messages is not sent. */
const MOST_PARTS = 10;
/** The characters that are left are told from here on. */
const TELL_LEFT = 400;

/** An edit has a composer of its own, so that the draft of the room is as it was afterwards.
 *  @param {{room: import("../rooms.js").Room}} props */
export function Composer({ room }) {
  const target = state.draftTarget.value;
  return html`<${Field} key=${target?.kind === "edit" ? target.row.id : "new"} room=${room} target=${target} />`;
}

/** @param {{room: import("../rooms.js").Room, target: typeof state.draftTarget.value}} props */
function Field({ room, target }) {
  const me = state.me.value;
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const edited = target?.kind === "edit" ? target.row : null;
  const [text, setText] = useState(edited ? (editOf(me, room.id, edited.seq) ?? edited.body ?? "") : draftOf(me, room.id));
  const [wrong, setWrong] = useState("");
  /** Whether an edit is on its way, which may be asked to wait for some seconds. */
  const [busy, setBusy] = useState(false);
  const [picking, setPicking] = useState(false);
  const [offered, setOffered] = useState(/** @type {import("../completions.js").Completion[]} */ ([]));
  /** The offer that Enter and Tab take. */
  const [chosen, setChosen] = useState(0);
  const most = state.limits.value.body_chars;
  const length = [...text].length;
  const parts = length > most ? split(text, most) : [text];

  const write = (/** @type {string} */ value) => {
    setText(value);
    setWrong("");
    if (edited) keepEdit(me, room.id, edited.seq, value === edited.body ? null : value); else keepDraft(me, room.id, value);
  };
  /** The message is answered or edited, or left as it is; it may be that another one is by now. */
  const done = () => {
    if (edited) keepEdit(me, room.id, edited.seq, null);
    if (state.targets.value.get(room.id) === target) state.aim(null, room.id);
  };
  useEffect(forgetMembers, [room.id]);
  useEffect(() => followDraft(me, room.id, edited?.seq, setText), [room.id]);
  useLayoutEffect(() => { if (target || matchMedia("(hover: hover)").matches) field.current?.focus(); }, [target]);
  useLayoutEffect(() => { if (field.current && !CSS.supports("field-sizing", "content")) grow(field.current); }, [text]);

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!text.trim() || parts.length > MOST_PARTS || busy) return;
    if (edited) {
      setBusy(true);
      try {
        if (text !== edited.body) await actions.edit(room.id, edited.seq, text);
        // A text that was written on, here or after a visit to another chat, is the next edit.
        const now = field.current?.value ?? editOf(me, room.id, edited.seq) ?? text;
        if (now === text) done();
      } catch (error) {
        setWrong(/** @type {Error} */ (error).message);
      }
      setBusy(false);
      return;
    }
    write("");
    setOffered([]);
    done();
    parts.forEach((part, index) => actions.send(room.id, part, index === 0 ? target?.row.seq : undefined));
    field.current?.focus();
  };

  const insert = (/** @type {string} */ added, cut = 0) => {
    const element = /** @type {HTMLTextAreaElement} */ (field.current);
    const { selectionStart: start, selectionEnd: end } = element;
    // Text and cursor at once: what is typed before the next frame is drawn comes behind it.
    element.setRangeText(added, start - cut, end, "end");
    write(element.value);
    element.focus();
  };

  const input = async (/** @type {any} */ event) => {
    const { value, selectionStart } = event.target;
    write(value);
    if (value && !edited) actions.tellTyping(room.id);
    const before = value.slice(0, selectionStart);
    const whole = await written(before);
    const found = whole ? [] : await completionsFor(before, room.id, me);
    if (field.current?.value !== value) return;
    setChosen(0);
    if (whole) complete(whole); else setOffered(found);
  };
  const complete = (/** @type {import("../completions.js").Completion} */ taken) => {
    insert(taken.text, taken.cut);
    setOffered([]);
  };

  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing) return;
    if (offered.length && (event.key === "Tab" || event.key === "Enter")) {
      event.preventDefault();
      complete(offered[chosen] ?? offered[0]);
    } else if (offered.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      setChosen((chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length);
    } else if (event.key === "Enter" && !event.shiftKey && parts.length === 1) submit(event);
    else if (event.key === "ArrowUp" && !text) editLast(event, room.id);
    else if (event.key === "Escape" && (target || offered.length)) {
      event.stopPropagation();
      if (offered.length) setOffered([]); else done();
    }
  };

  return html`
    <form class="composer" onSubmit=${submit}>
      ${target && html`<${Target} target=${target} onCancel=${done} />`}
      ${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
      ${parts.length > 1 && html`<${LongText} parts=${parts.length} onSend=${submit} />`}
      ${offered.length > 0 && html`
        <ul class="offers" id="offers" role="listbox" aria-label=${t("completions")}>${offered.map((each, index) => html`
          <li key=${each.text} id=${`offer-${index}`} role="option" aria-selected=${index === chosen} onPointerMove=${() => setChosen(index)}
            onClick=${() => complete(each)}>${each.sign} <span>${each.label}</span></li>`)}</ul>`}
      <div class="line-of-tools">
        <div class="field">
          <textarea ref=${field} rows="1" dir="auto" enterkeyhint="send" value=${text} aria-label=${t("message-to", { title: room.title })}
            placeholder=${t("message-to", { title: room.title })} onInput=${input} onKeyDown=${keys} aria-autocomplete="list"
            aria-controls=${offered.length ? "offers" : undefined} aria-activedescendant=${offered.length ? `offer-${chosen}` : undefined} />
          ${most - length < TELL_LEFT && parts.length === 1 && html`<span class="count" role="status">${t("left", { n: most - length })}</span>`}
          <span class="anchor">
            <${IconButton} name="smile" label=${t("emoji")} aria-expanded=${picking} onClick=${() => setPicking(!picking)} />
            ${picking && html`<${Picker} onPick=${(/** @type {string} */ emoji) => { setPicking(false); insert(emoji); }} onClose=${() => setPicking(false)} />`}
          </span>
        </div>
        <button class="send" type="submit" aria-label=${t(edited ? "save" : "send")} aria-busy=${busy} disabled=${!text.trim() || parts.length > 1 || busy}>
          ${icon(edited ? "check" : "send")}
        </button>
      </div>
    </form>`;
}

/** @param {{target: state.Target, onCancel: () => void}} props */
const Target = ({ target: { kind, row }, onCancel }) => html`
  <div class="target">
    ${icon(kind === "reply" ? "reply" : "pencil")}
    <p><b>${kind === "reply" ? t("replying-to", { name: nameOf(row.from) }) : t("editing")}</b>
      <span dir="auto"> ${kind === "reply" ? inNames(row.body, row.mentions ?? []) : row.body}</span></p>
    <${IconButton} name="cross" label=${t("cancel")} onClick=${onCancel} />
  </div>`;

/** @param {{parts: number, onSend: (event: Event) => void}} props */
const LongText = ({ parts, onSend }) => html`
  <div class="target" role="status">
    <p>${t("long-paste", { n: parts })}</p>
    ${parts <= MOST_PARTS
      ? html`<button type="button" class="soft" onClick=${onSend}>${t("long-paste-send", { n: parts })}</button>`
      : html`<b class="bad">${t("too-many")}</b>`}
  </div>`;

/** Edits one's last message of the room. @param {Event} event @param {string} room */
function editLast(event, room) {
  const { rows } = thread(room).timeline;
  const row = rows.findLast((each) => each.kind === "message" && each.from === state.me.value && !each.deleted);
  if (!row) return;
  event.preventDefault();
  state.aim({ kind: "edit", row }, room);
}

/** The text in pieces of at most so many characters, cut at line ends and spaces where there are some. @param {string} text @param {number} most */
export function split(text, most) {
  const parts = [];
  let rest = [...text];
  while (rest.length > most) {
    const piece = rest.slice(0, most);
    const cut = Math.max(piece.lastIndexOf("\n"), piece.lastIndexOf(" "));
    const end = cut > most / 2 ? cut : most;
    parts.push(rest.slice(0, end).join("").trim());
    rest = rest.slice(end);
  }
  parts.push(rest.join("").trim());
  return parts.filter(Boolean);
}

/** Does what `field-sizing: content` does where it is known. @param {HTMLTextAreaElement} field */
function grow(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
