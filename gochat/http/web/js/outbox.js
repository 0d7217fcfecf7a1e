// @ts-check
// The messages on their way: one of a room at a time, in the order in which it was written, with the same key until the
// server has it. Nothing is lost with the connection, or with the sign-in: the next `welcome` of the user goes on.
import { newKey } from "./client.js";
import * as state from "./state.js";
import { opened, thread } from "./threads.js";
import { queueOf, roomsOf } from "./unsent.js";
import { Broken, Refused, ask } from "./wire.js";

/** @typedef {import("./timeline.js").Row} Row */

/** Rooms whose first message is on its way, and when the next try is due where the server asked to wait. */
const busy = new Set();

/** @param {string} room @param {string} body @param {number} [replyTo] */
export function send(room, body, replyTo) {
  const found = thread(room);
  const key = newKey();
  const from = state.me.value;
  found.timeline.queue({
    id: `${from}/${key}`, kind: "message", seq: 0, ts: Date.now(), from, body, key, reply_to: replyTo, rev: 0, state: "sending",
  });
  found.changed();
  next(room);
}

/** Tries a message again that was refused. @param {string} room @param {Row} row */
export function retry(room, row) {
  mark(room, row, "sending");
  next(room);
}

/** Gives a message up that was refused. @param {string} room @param {Row} row */
export function discard(room, row) {
  thread(room).timeline.settle(row.id);
  thread(room).changed();
}

/** There is a connection again: everything that waits is sent. */
export function resume() {
  roomsOf(state.me.value).forEach(next);
}

/** @param {string} room */
function next(room) {
  if (busy.has(room)) return;
  const row = queueOf(state.me.value, room).find((each) => each.state === "sending" || each.state === "waiting");
  if (row) deliver(room, row);
}

/** @param {string} room @param {Row} row */
async function deliver(room, row) {
  busy.add(room);
  let wait = 0;
  let goesOn = true;
  try {
    const reply = row.reply_to === undefined ? {} : { reply_to: row.reply_to };
    const ack = await ask({ type: "send", to: room, body: row.body, key: row.key, ...reply });
    acknowledged(room, row, ack);
  } catch (error) {
    if (error instanceof Refused && error.frame.temporary) {
      wait = error.frame.retry_after_ms ?? 1000;
      mark(room, row, "waiting");
    } else if (error instanceof Broken) goesOn = false;
    else mark(room, row, "failed", /** @type {Error} */ (error).message);
  }
  const done = () => {
    busy.delete(room);
    if (goesOn) next(room);
  };
  if (wait) setTimeout(done, wait); else done();
}

/** The message is stored. Its fact follows where the room is live; a repeat, or a message that asks, has the ack alone.
 *  @param {string} room @param {Row} row @param {any} ack */
function acknowledged(room, row, ack) {
  const { timeline } = thread(room);
  row.state = undefined;
  row.why = undefined;
  row.seq = ack.seq;
  row.ts = ack.ts;
  row.rev++;
  const known = timeline.bySeq.has(ack.seq);
  if (known || ack.duplicate) timeline.settle(row.id);
  if (!known && ack.duplicate && ack.seq === timeline.to + 1) {
    timeline.append({ type: "message", room, seq: ack.seq, ts: ack.ts, from: row.from, body: row.body, key: row.key });
  }
  thread(room).changed();
}

/** @param {string} room @param {Row} row @param {"sending" | "waiting" | "failed"} how @param {string} [why] */
function mark(room, row, how, why) {
  row.state = how;
  row.why = why;
  row.rev++;
  opened(room)?.changed();
}
