// @ts-check
// The messages of a room as a virtual list: only the rows on screen are in the document, and the place is kept while
// older ones come in above. Labels of days stand inside the row of the message after them, so that an index is a message.
import * as actions from "../actions.js";
import { html, useEffect, useLayoutEffect, useRef } from "../html.js";
import { t } from "../l10n.js";
import { markRead } from "../reading.js";
import { reaches } from "../rooms.js";
import * as state from "../state.js";
import { fromHere, jumpTo, jumpToEnd, newer, older } from "../threads.js";
import * as when from "../time.js";
import { useVirtual } from "../virtual.js";
import { Avatar, icon } from "./parts.js";
import { Row } from "./row.js";

/** Messages of one user within this time stand together. */
const TOGETHER_MS = 5 * 60_000;
/** So near to either end the next page is read. */
const NEAR = 30;
const ROW_PX = 46;
/** So near to the end of the list one is at it. */
const AT_END_PX = 120;

/** @typedef {import("../rooms.js").Room} Room */
/** @typedef {import("../threads.js").Thread} Thread */
/** @typedef {import("../timeline.js").Row} Item */
/** @typedef {import("../timeline.js").Timeline} Timeline */

/** @param {{room: Room, thread: Thread, version: number, loading: boolean, failed: string}} props */
export function Messages({ room, thread, loading, failed }) {
  const { timeline } = thread;
  const { list, scroller } = useVirtual({
    count: timeline.count,
    key: (index) => timeline.at(index)?.id ?? String(index),
    estimate: () => ROW_PX,
    follow: timeline.attached,
  });
  const rows = list.getVirtualItems();
  const first = rows[0]?.index ?? 0;
  const last = rows[rows.length - 1]?.index ?? 0;
  /** The run of the log in which the place was found that is shown first; -1: none yet. */
  const placed = useRef(-1);

  useLayoutEffect(() => {
    if (placed.current === timeline.clears || !timeline.count) return;
    placed.current = timeline.clears;
    const unread = thread.firstUnread ? timeline.indexOf(thread.firstUnread) : timeline.count;
    if (unread < timeline.count - 1) list.scrollToIndex(Math.max(0, unread - 1), { align: "start" }); else list.scrollToEnd();
  });
  const online = state.status.value.phase === "online";
  useEffect(() => {
    if (loading || !online || placed.current < 0) return;
    if (first < NEAR && !timeline.complete) older(room.id);
    else if (last > timeline.count - NEAR && !timeline.attached) newer(room.id);
  }, [first, last, loading, online, timeline.count]);

  const goal = thread.goal.value;
  useLayoutEffect(() => {
    if (!goal || !timeline.count) return;
    thread.goal.value = null;
    if (goal.seq === Infinity) {
      list.scrollToEnd();
      return;
    }
    const index = timeline.indexOf(goal.seq);
    list.scrollToIndex(index, { align: "center" });
    afterFrames(() => flash(scroller.current, index));
  }, [goal, timeline.count]);

  const atEnd = timeline.attached && (!timeline.count || list.isAtEnd(AT_END_PX));
  /** People at the end of what came while they were away are led to where it begins. */
  const up = atEnd && room.unread > 0 && isAbove(timeline, list, room.read + 1);
  useSeen(room.id, thread, list, () => !timeline.count || placed.current === timeline.clears);
  useEffect(() => {
    const log = /** @type {HTMLElement} */ (scroller.current);
    let height = log.clientHeight;
    const atItsEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight <= AT_END_PX;
    let ended = atItsEnd();
    // A list that was lower for a moment is scrolled by the browser: only a scroll in a list as high as before is one's own.
    const scrolled = () => { if (log.clientHeight === height) ended = atItsEnd(); };
    log.addEventListener("scroll", scrolled);
    // The place to write grows and shrinks: readers at the end stay there.
    const resized = new ResizeObserver(() => {
      // An observer is called at first too, with a height that is no other one: the first unread message is being scrolled to.
      if (log.clientHeight === height) return;
      height = log.clientHeight;
      if (ended && timeline.attached) list.scrollToEnd();
    });
    resized.observe(log);
    return () => {
      resized.disconnect();
      log.removeEventListener("scroll", scrolled);
    };
  }, [timeline.count > 0]);
  if (!timeline.count) return html`<div class="log" ref=${scroller}>${emptiness(room, thread, loading, failed)}</div>`;
  return html`
    <div class="log" ref=${scroller} role="feed" aria-label=${t("messages")} aria-busy=${loading} tabindex="0"
        onPointerOver=${(/** @type {any} */ event) => setNear(event.target.closest(".msg"))} onPointerLeave=${() => setNear(null)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => moveBetween(event, list, scroller.current, timeline.count)}>
      <div class="canvas" role="presentation" style=${{ height: `${list.getTotalSize()}px` }}>
        ${loading && html`<div class="older" aria-hidden="true"><i></i></div>`}
        ${rows.map((/** @type {any} */ row) => html`
          <div key=${row.key} class="row" data-index=${row.index} role="presentation" ref=${list.measureElement}
              style=${{ transform: `translateY(${row.start}px)` }}>
            <${Row} ...${rowProps(room, thread, row.index)} />
          </div>`)}
      </div>
    </div>
    ${(up || !atEnd) && html`
      <div class="jump-place"><button class="jump" onClick=${() => (up ? jumpTo(room.id, room.read + 1) : passOver(room.id, timeline))}>
        ${icon(up ? "up" : "down")}<span>${room.unread > 0 ? t("n-new", { n: room.unread }) : t("latest")}</span>
      </button></div>`}`;
}

/** Marks as read what is on the screen. Rows are measured in one frame and placed in the next: what was drawn is looked at
 *  after that. @param {string} room @param {Thread} thread @param {any} list @param {() => boolean} isPlaced */
function useSeen(room, thread, list, isPlaced) {
  const due = useRef(false);
  const gone = useRef(false);
  const look = () => {
    due.current = false;
    if (gone.current || !isPlaced()) return;
    const { timeline } = thread;
    const known = state.rooms.value.get(room);
    const atEnd = timeline.attached && (timeline.loaded || !known?.head) && list.isAtEnd(AT_END_PX);
    if (atEnd) state.endShown.value = room; else leave();
    if (document.hasFocus()) markRead(room, seenUpto(timeline, list, known?.read ?? 0, atEnd));
  };
  const back = () => {
    fromHere(thread);
    look();
  };
  const leave = () => { if (state.endShown.value === room) state.endShown.value = ""; };
  useEffect(() => {
    if (due.current) return;
    due.current = true;
    afterFrames(look);
  });
  useEffect(() => {
    addEventListener("focus", back);
    return () => {
      gone.current = true;
      removeEventListener("focus", back);
      leave();
    };
  }, []);
}

/** The rows of which a part is on the screen. @param {any} list */
function shown(list) {
  const top = list.scrollOffset ?? 0;
  const bottom = top + (list.scrollRect?.height ?? 0);
  return list.getVirtualItems().filter((/** @type {any} */ row) => row.end > top && row.start < bottom);
}

/** Whether the message stands above the screen. @param {Timeline} timeline @param {any} list @param {number} seq */
const isAbove = (timeline, list, seq) => timeline.from > seq || timeline.indexOf(seq) < (shown(list)[0]?.index ?? 0);

/** The seq of the last message of which the lower edge is on the screen, or at the end all that is held; 0 where messages above the
 *  screen are unread: nobody has seen those. @param {Timeline} timeline @param {any} list @param {number} read @param {boolean} atEnd */
function seenUpto(timeline, list, read, atEnd) {
  if (isAbove(timeline, list, read + 1)) return 0;
  if (atEnd) return timeline.to;
  const bottom = (list.scrollOffset ?? 0) + (list.scrollRect?.height ?? 0);
  const whole = shown(list).filter((/** @type {any} */ row) => row.end <= bottom);
  return timeline.at(whole[whole.length - 1]?.index ?? Infinity)?.seq ?? 0;
}

/** Goes to the end: people who want that pass over what stands above. @param {string} room @param {Timeline} timeline */
async function passOver(room, timeline) {
  await jumpToEnd(room);
  if (timeline.attached) markRead(room, timeline.to);
}

/** @param {Room} room @param {Thread} thread @param {boolean} loading @param {string} failed */
function emptiness(room, thread, loading, failed) {
  if (failed) return html`<div class="empty" role="alert"><p>${failed}</p><button class="soft" onClick=${() => older(room.id)}>${t("try-again")}</button></div>`;
  if (!thread.timeline.loaded && room.head > 0 && state.status.value.phase === "offline") {
    return html`<div class="empty"><span class="mark">${icon("chat")}</span><p>${t("not-kept")}</p></div>`;
  }
  if (loading || (room.head > 0 && !thread.timeline.loaded)) return html`<${Skeleton} />`;
  return html`
    <div class="empty">
      <${Avatar} name=${room.title} id=${room.other || room.id} size="huge" />
      <h2>${t("empty-room")}</h2>
      <p>${t("empty-room-how", { title: room.title })}</p>
      ${!room.ended && html`<button class="soft" onClick=${() => actions.send(room.id, "👋")}>👋 ${t("wave")}</button>`}
    </div>`;
}

const BARS = ["w38", "w52 right", "w25", "w61", "w34 right", "w44"];
const Skeleton = () => html`<div class="skeleton" aria-hidden="true">${BARS.map((bar) => html`<i key=${bar} class=${bar}></i>`)}</div>`;

/** @param {Item} one @param {Item | undefined} other */
function together(one, other) {
  return other?.kind === "message" && one.kind === "message" && one.from === other.from
    && Math.abs(other.ts - one.ts) < TOGETHER_MS && when.sameDay(one.ts, other.ts);
}

/** All that a row depends on as plain values: while scrolling, only the rows that come in are drawn.
 *  @param {Room} room @param {Thread} thread @param {number} index */
function rowProps(room, thread, index) {
  const { timeline, firstUnread } = thread;
  const item = /** @type {Item} */ (timeline.at(index));
  const before = timeline.at(index - 1);
  const after = timeline.at(index + 1);
  const newDay = !before || !when.sameDay(before.ts, item.ts);
  const firstNew = firstUnread > 0 && item.seq >= firstUnread && !(before && before.seq >= firstUnread);
  const quoted = item.reply_to ? thread.quoted(item.reply_to) : undefined;
  return {
    item, rev: item.rev, room: room.id, group: room.kind === "group", moderates: room.role === "owner" || room.role === "moderator",
    quoted, quotedRev: quoted?.rev ?? 0, day: newDay ? when.day(item.ts) : "", firstNew,
    reached: reaches(room, "readBy", item.seq) ? "read" : reaches(room, "gotBy", item.seq) ? "got" : "sent", place: index,
    head: newDay || firstNew || !before || !together(before, item), tail: !together(item, after),
  };
}

/** Arrow keys, Home and End move the focus between messages.
 *  @param {KeyboardEvent} event @param {any} list @param {HTMLElement | null} scroller @param {number} count */
function moveBetween(event, list, scroller, count) {
  const row = /** @type {HTMLElement} */ (event.target).closest("[data-index]");
  const now = row ? Number(row.getAttribute("data-index")) : count;
  const to = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: count - 1 }[event.key];
  if (to === undefined || /** @type {HTMLElement} */ (event.target).closest(".menu, .picker")) return;
  event.preventDefault();
  const index = Math.max(0, Math.min(count - 1, to));
  list.scrollToIndex(index, { align: "auto" });
  afterFrames(() => /** @type {HTMLElement | null | undefined} */ (scroller?.querySelector(`[data-index="${index}"] .msg`))?.focus());
}

/** The message under the pointer. @type {HTMLElement | null} */
let near = null;
/** Marks the message under the pointer: Chromium (156) does not draw `:hover` in a row that was moved in the document, as when a
 *  message goes before one that was refused. @param {HTMLElement | null} message */
function setNear(message) {
  if (message === near) return;
  near?.classList.remove("near");
  message?.classList.add("near");
  near = message;
}

/** Draws the eye to a message that was jumped to. @param {HTMLElement | null} scroller @param {number} index */
function flash(scroller, index) {
  const message = /** @type {HTMLElement | null | undefined} */ (scroller?.querySelector(`[data-index="${index}"] .msg`));
  message?.focus();
  message?.classList.add("flash");
  setTimeout(() => message?.classList.remove("flash"), 1500);
}

/** Two frames later the rows of a jump are in the document. @param {() => void} act */
const afterFrames = (act) => requestAnimationFrame(() => requestAnimationFrame(act));
