// @ts-check
// A user's session, for the page and for other programs: of each room every fact, once and in order, over as many connections as
// that takes. It runs in browsers and in Node, and needs connection.js and positions.js beside it, and nothing else.
import { Broken, Connection, Refused } from "./connection.js";
import { PAGE, Positions } from "./positions.js";
export { Broken, Refused };

/** @typedef {import("./connection.js").Frame} Frame */
/** @typedef {import("./positions.js").Fact} Fact */
/** @typedef {import("./positions.js").Reset} Reset */
/** @typedef {"connecting" | "online" | "offline" | "ended"} State */
/** All but `token` may be left out.
 * @typedef {object} Options
 * @property {() => string | undefined | Promise<string | undefined>} token asked for each connection; an error that it throws ends
 *   the session
 * @property {string | URL} [url] `ws://HOST:PORT/v1/ws` or `wss://...`; without it, the server that the page came from
 * @property {string} [name] the program's name and version, which moderators see
 * @property {string} [device] a session with the same device is replaced
 * @property {(fact: Fact) => void} [onFact] the next fact of its room
 * @property {(reset: Reset) => void} [onReset] what came of this room so far is of another log; facts go on after `head`
 * @property {(event: any) => void} [onEvent] every other event, by its `type`: `read`, `typing`, `presence`, `request`, ...
 * @property {(welcome: any) => void} [onWelcome] there is a connection
 * @property {(state: State, detail?: {retryAt?: number, why?: string, code?: number}) => void} [onState]
 * @property {(welcome: any) => void} [before] `welcome` has come, and its rooms do not count yet: the time for `positions.hold`
 * @property {(entry: any) => void} [onEntry] a room or relation that `welcome` had no space for; it does not count yet either
 * @property {() => void} [onListed] there are no more of these
 * @property {(rooms: string[]) => void} [onUnreadable] rooms that are left out of `welcome` or a list, since the server's database is
 *   damaged: they are the user's all the same
 */

/** `hello` may have so many bytes, whatever the limit of other frames is. */
const HELLO_BYTES = 256 * 1024;

/** The session is over. */
export class Ended extends Error {}

export class Client {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.positions = new Positions();
    /** By room, the head that its last page or `resume` told of: facts up to there come with texts and reactions as they were
     *  then. @type {Map<string, number>} */
    this.readAt = new Map();
    /** That of the latest connection. @type {any} */
    this.welcome = null;
    this.stopped = false;
    /** @type {{resolve: () => void, reject: (error: Error) => void}[]} */
    this.absent = [];
    this.connection = new Connection({
      hello: () => this.hello(),
      onWelcome: (frame) => this.welcomed(frame),
      onEvent: (frame) => this.event(frame),
      onState: (state, detail) => this.changed(state, detail),
    }, options.url);
  }

  /** Connects, again and again until `stop`, or until the server says not to. */
  start() {
    this.connection.start();
    return this;
  }

  /** From here on nothing is told any more. */
  stop() {
    this.stopped = true;
    this.connection.stop();
    this.end("the session was closed");
  }

  /** Tries at once, in place of at the end of the pause. */
  retryNow() {
    this.connection.retryNow();
  }

  // ---------------------------------------------------------------------------------------- requests

  /** A request and its reply. Rejects with Refused, or with Broken where the connection went before the reply came: then the
   *  request may have been carried out. @param {Frame} frame @returns {Promise<any>} */
  ask(frame) {
    return this.connection.ask(frame);
  }

  /** A request whose reply nobody waits for. @param {Frame} frame */
  post(frame) {
    this.connection.post(frame);
  }

  /** All entries of a list, page by page. @param {Frame} frame @param {string} field @returns {AsyncGenerator<any>} */
  async *pages(frame, field) {
    let cursor;
    do {
      const reply = await this.patiently(cursor ? { ...frame, cursor } : frame);
      if (reply.unreadable && !this.stopped) this.options.onUnreadable?.(reply.unreadable);
      yield* reply[field];
      cursor = reply.next;
    } while (cursor);
  }

  /** Sends a message; resolves with the ack once it is recorded, over as many connections as that takes: it keeps its key, and
   *  so arrives once. Rejects with Refused where it is refused for good, or with Ended.
   *  @param {string} to `user:ID`, `group:NAME` or the id of a room @param {string} body
   *  @param {{key?: string, replyTo?: number}} [more] */
  async send(to, body, { key = newKey(), replyTo } = {}) {
    const reply = replyTo === undefined ? {} : { reply_to: replyTo };
    for (;;) {
      try {
        return await this.patiently({ type: "send", to, body, key, ...reply });
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        await this.online();
      }
    }
  }

  /** The private room with this user is no longer one that waits for an answer. @param {string} room */
  opened(room) {
    this.positions.opened(room);
    this.catchUp();
  }

  /** Asks again as long as the server says that a refusal is temporary. @param {Frame} frame */
  async patiently(frame) {
    for (;;) {
      try {
        return await this.ask(frame);
      } catch (error) {
        if (!(error instanceof Refused) || !error.frame.temporary) throw error;
        await pause(error);
      }
    }
  }

  /** Resolves once there is a connection. Rejects with Ended. @returns {Promise<void>} */
  online() {
    return new Promise((resolve, reject) => {
      if (this.connection.open) resolve();
      else if (this.connection.stopped) reject(new Ended("the session is over"));
      else this.absent.push({ resolve, reject });
    });
  }

  // ---------------------------------------------------------------------------------------- the connection

  async hello() {
    const { token, device, name = "gochat-js" } = this.options;
    const given = await token();
    const resume = this.positions.resume(HELLO_BYTES);
    return { type: "hello", token: given, client: name, ...(device === undefined ? {} : { device }), resume };
  }

  /** @param {any} frame */
  welcomed(frame) {
    this.welcome = frame;
    this.options.before?.(frame);
    const resets = this.positions.welcomed(frame);
    this.options.onWelcome?.(frame);
    if (frame.unreadable) this.options.onUnreadable?.(frame.unreadable);
    resets.forEach((reset) => this.begunAnew(reset));
    this.absent.splice(0).forEach(({ resolve }) => resolve());
    this.catchUp();
    this.findRooms(frame.rooms_next).catch(() => {}); // The next `welcome` begins again.
  }

  /** @param {State} state @param {any} [detail] */
  changed(state, detail) {
    this.options.onState?.(state, detail);
    if (state === "ended") this.end(detail?.why || "the session is over");
  }

  /** @param {string} why */
  end(why) {
    this.absent.splice(0).forEach(({ reject }) => reject(new Ended(why)));
  }

  /** Reads the entries that `welcome` had no space for: other groups, other private rooms, and what one holds of whom.
   *  @param {string | undefined} groupsNext */
  async findRooms(groupsNext) {
    for await (const entry of this.pages({ type: "contacts", rooms: true, limit: PAGE }, "contacts")) this.found(entry);
    if (groupsNext) {
      for await (const entry of this.pages({ type: "groups", cursor: groupsNext, limit: PAGE }, "groups")) this.found(entry);
    }
    if (this.stopped) return;
    this.options.onListed?.();
    this.catchUp();
  }

  /** Takes an entry of a list of groups or contacts. @param {any} entry */
  found(entry) {
    if (this.stopped) return;
    this.options.onEntry?.(entry);
    this.positions.found(entry);
  }

  // ---------------------------------------------------------------------------------------- what happens

  /** @param {any} frame */
  event(frame) {
    if (frame.type === "lag") {
      const reset = this.positions.lagging(frame);
      if (reset) this.begunAnew(reset);
      this.catchUp();
    } else if (frame.type === "reset") {
      this.begunAnew(this.positions.reset(frame));
      this.catchUp();
    } else if (frame.seq === undefined || frame.type === "read") this.options.onEvent?.(frame);
    else if (this.positions.take(frame)) this.options.onFact?.(frame);
    else this.catchUp();
  }

  /** @param {Reset} reset */
  begunAnew(reset) {
    this.readAt.delete(reset.room);
    this.options.onReset?.(reset);
  }

  /** Asks for what is missing, one room after the other. */
  async catchUp() {
    for (let room = this.positions.nextBehind(); room !== undefined; room = this.positions.nextBehind()) {
      for (let question = this.positions.ask(room); question; question = this.positions.ask(room)) {
        let reply;
        try {
          reply = await this.ask(question);
        } catch (error) {
          if (!(error instanceof Refused)) return; // The next `welcome` begins again.
          if (error.frame.temporary) await pause(error);
          else this.positions.refused(question);
        }
        if (this.stopped) return;
        if (reply) this.answered(question, reply);
      }
    }
  }

  /** @param {import("./positions.js").Question} question @param {any} reply */
  answered(question, reply) {
    const { facts, reset } = this.positions.answered(question, reply);
    if (reply.head !== undefined) this.readAt.set(question.room, reply.head);
    facts.forEach((fact) => this.options.onFact?.(fact));
    if (reset) this.begunAnew(reset);
  }
}

/** @param {Refused} refused @returns {Promise<void>} */
const pause = ({ frame }) => new Promise((resolve) => setTimeout(resolve, frame.retry_after_ms ?? 1000));

/** A random key. `crypto.randomUUID` is absent where a page does not come over TLS or from this machine. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
