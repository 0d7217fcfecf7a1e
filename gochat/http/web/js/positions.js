// @ts-check
// Where the page stands in each room's log, and what it must ask for to have all of it. No I/O.
//
// The law is that of gochat/client/positions.py, as tests/browser/test_twins.py sees: of each room only the fact that follows
// the last one counts, except where the server says that what lies between can't be had.

/** A room this near to its head is resumed; one further away is paged first. */
const RESUME_WITHIN = 250;
/** The server takes so many rooms in one `hello`. */
const RESUME_ROOMS = 1000;
export const PAGE = 200;

/** @typedef {{seq: number, epoch: string | null, state: "live" | "behind" | "gone", head: number, asked: Question | null,
 *   promised: boolean, resumedAt: number | null, noResume: boolean}} Place */
/** @typedef {{type: "resume", room: string, seq: number, epoch?: string} | {type: "history", room: string, after: number, limit: number}} Question */
/** @typedef {{room: string, epoch: string, head: number}} Reset */
/** @typedef {{type: string, room: string, seq: number, ts: number, from: string, [field: string]: any}} Fact */

/** @param {number} seq @param {string | null} epoch @returns {Place} */
const place = (seq, epoch) => ({
  seq, epoch, state: "live", head: seq, asked: null, promised: false, resumedAt: null, noResume: false,
});

/** @param {Place} p */
function goLive(p) {
  p.state = "live";
  p.asked = null;
  p.resumedAt = null;
  p.noResume = false;
}

export class Positions {
  constructor() {
    this.user = "";
    /** Of live facts, as `welcome` tells; older servers do not. The latest one counts. @type {string | null} */
    this.epoch = null;
    /** @type {Map<string, Place>} The rooms with the latest facts stand last. */
    this.places = new Map();
    /** @type {Set<string>} Rooms that nobody is catching up. */
    this.behind = new Set();
    /** @type {Set<string>} Rooms that somebody is catching up. */
    this.caught = new Set();
    /** @type {Set<string>} */
    this.named = new Set();
    /** Rooms that `hold` has begun, until `welcomed` takes the list that names them. @type {Set<string>} */
    this.held = new Set();
    this.greeted = false;
    this.returned = false;
  }

  // ---------------------------------------------------------------------------------------- a connection begins

  /** Takes the place that the page holds of a room from earlier, and the head that a list tells of. Called before
   *  `welcomed` or `found` take that list. Returns false where a live fact was first: then the place is of no use. The list may
   *  be some facts older than the place: where they differ the server is asked.
   *  @param {string} room @param {number} seq @param {string | null} epoch @param {number} head */
  hold(room, seq, epoch, head) {
    if (this.places.has(room)) return false;
    const p = place(seq, epoch);
    this.places.set(room, p);
    p.head = Math.max(seq, head);
    if (seq !== head) {
      this.held.add(room);
      this.fallBehind(room, p);
    }
    return true;
  }

  /** The place in a room of which all facts are there; null in any other. @param {string} room */
  level(room) {
    const p = this.places.get(room);
    return p && p.state !== "behind" ? { seq: p.seq, epoch: p.epoch } : null;
  }

  /** The rooms that `hello` names: as many as one frame holds, those with the latest facts first. @param {number} frameBytes */
  resume(frameBytes) {
    /** @type {Record<string, {seq: number, epoch?: string}>} */
    const named = {};
    let left = Math.floor((frameBytes * 3) / 4);
    let count = 0;
    for (const [room, p] of [...this.places].reverse()) {
      left -= room.length + (p.epoch ?? "").length + 45;
      if (left < 0 || count === RESUME_ROOMS) break;
      if (p.state === "gone") continue;
      named[room] = p.epoch === null ? { seq: p.seq } : { seq: p.seq, epoch: p.epoch };
      count++;
    }
    this.named = new Set(Object.keys(named));
    return named;
  }

  /** Takes the heads that `welcome` tells. @param {any} welcome @returns {Reset[]} */
  welcomed(welcome) {
    this.user = welcome.user;
    this.epoch = welcome.epoch ?? null;
    this.caught.clear();
    const listed = new Map([...welcome.contacts, ...welcome.rooms].map((entry) => [entry.room, entry]));
    const waiting = new Set(welcome.requests.map((/** @type {any} */ entry) => entry.room));
    for (const [room, p] of this.places) {
      if (p.state === "gone") continue;
      goLive(p);
      if (this.named.has(room) && !waiting.has(room)) p.epoch ??= this.epoch;
      if (this.held.has(room) || !(this.named.has(room) || listed.has(room) || waiting.has(room))) this.fallBehind(room, p);
    }
    const resets = [];
    for (const [room, entry] of listed) {
      if (this.named.has(room) || this.held.has(room)) continue;
      const reset = this.listed(entry);
      if (reset) resets.push(reset);
    }
    this.held.clear();
    this.returned = this.greeted;
    this.greeted = true;
    return resets;
  }

  /** @param {any} entry @returns {Reset | null} */
  listed({ room, epoch, head, read }) {
    let p = this.places.get(room);
    if (!p || p.state === "gone") {
      const missed = this.greeted && room.startsWith("dm:");
      p = place(missed ? Math.min(read, head) : head, epoch);
      this.places.set(room, p);
    } else if ((p.epoch !== null && p.epoch !== epoch) || p.seq > head) {
      return this.reset({ room, epoch, head });
    }
    p.epoch = epoch;
    p.head = head;
    if (p.seq < head) this.fallBehind(room, p);
    return null;
  }

  /** Takes a room that a list tells of and that `welcome` had no space for. @param {any} entry */
  found({ room, epoch, head, read }) {
    if (room === undefined || head === undefined || this.places.has(room)) return;
    const missed = this.returned && room.startsWith("dm:");
    const p = place(missed ? Math.min(read ?? 0, head) : head, epoch ?? null);
    this.places.set(room, p);
    p.head = head;
    if (p.seq < head) this.fallBehind(room, p);
  }

  // ---------------------------------------------------------------------------------------- what the server says

  /** Whether this fact is the next of its room. @param {Fact} fact */
  take(fact) {
    const { room, seq } = fact;
    let p = this.places.get(room);
    if (!p || (p.state === "gone" && (seq > p.seq || this.isOther(p)))) {
      p = place(seq - 1, this.epoch);
      this.places.set(room, p);
    }
    const other = this.isOther(p);
    if (seq <= p.seq && !other) return false;
    if (other || seq > p.seq + 1) {
      this.fallBehind(room, p);
      return false;
    }
    p.epoch ??= this.epoch;
    this.advance(room, p, fact);
    return true;
  }

  /** Whether live facts are of another log. @param {Place} p */
  isOther(p) {
    return (p.epoch ?? this.epoch) !== (this.epoch ?? p.epoch);
  }

  /** Facts were left out. Where nobody can know which, the room starts anew. @param {Reset} lag @returns {Reset | null} */
  lagging({ room, epoch, head }) {
    this.epoch &&= epoch;
    const p = this.places.get(room);
    if (!p || p.state === "gone" || (p.epoch !== null && p.epoch !== epoch)) {
      return this.reset({ room, epoch, head });
    }
    p.epoch = epoch;
    p.head = Math.max(head, p.seq);
    this.fallBehind(room, p);
    return null;
  }

  /** The room's log is another one: the page goes on from its head. @param {Reset} reset */
  reset({ room, epoch, head }) {
    this.epoch &&= epoch;
    const p = place(head, epoch);
    this.places.set(room, p);
    this.fallBehind(room, p);
    return { room, epoch, head };
  }

  /** A private room that may have waited for an answer is live again. @param {string} room */
  opened(room) {
    const p = this.places.get(room);
    if (!p) return;
    p.noResume = false;
    p.resumedAt = null;
    this.fallBehind(room, p);
  }

  // ---------------------------------------------------------------------------------------- catching up

  /** A room to catch up, which the caller now does by `ask` until that gives null. @returns {string | undefined} */
  nextBehind() {
    const [room] = this.behind;
    if (room !== undefined) {
      this.behind.delete(room);
      this.caught.add(room);
    }
    return room;
  }

  /** The next question about the room; null when it has caught up. @param {string} room @returns {Question | null} */
  ask(room) {
    const p = /** @type {Place} */ (this.places.get(room));
    if (p.state !== "behind") {
      this.caught.delete(room);
      return null;
    }
    if (p.noResume || p.resumedAt === p.seq || p.head - p.seq > RESUME_WITHIN) {
      p.resumedAt = null;
      p.asked = { type: "history", room, after: p.seq, limit: PAGE };
    } else {
      p.promised = true;
      p.resumedAt = p.seq;
      p.asked = { type: "resume", room, seq: p.seq, ...(p.epoch === null ? {} : { epoch: p.epoch }) };
    }
    return p.asked;
  }

  /** The facts to hand on now that the question was answered. @param {Question} asked @param {any} reply
   *  @returns {{facts: Fact[], reset: Reset | null}} */
  answered(asked, reply) {
    const p = this.places.get(asked.room);
    if (!p || p.asked !== asked) return { facts: [], reset: null };
    if (reply.type !== "page") {
      if (p.promised && p.state === "behind") {
        p.state = "live";
        p.epoch ??= this.epoch;
      }
      return { facts: [], reset: null };
    }
    this.epoch &&= reply.epoch;
    // Live facts may have come since the page was read: only the seq that was asked about must be in its log.
    const began = asked.type === "history" ? asked.after : 0;
    if ((p.epoch !== null && p.epoch !== reply.epoch) || began > reply.head) {
      return { facts: [], reset: this.reset({ room: asked.room, epoch: reply.epoch, head: reply.head }) };
    }
    p.epoch = reply.epoch;
    p.head = Math.max(reply.head, p.seq);
    return { facts: this.paged(asked.room, p, reply), reset: null };
  }

  /** @param {string} room @param {Place} p @param {any} page @returns {Fact[]} */
  paged(room, p, page) {
    const fresh = [];
    for (const fact of page.entries) {
      if (fact.seq !== p.seq + 1 && !(page.complete && fact.seq > p.seq)) continue;
      if (p.state === "gone") p.state = "behind";
      this.advance(room, p, fact);
      fresh.push(fact);
    }
    if (page.complete && !page.entries.length) p.seq = Math.max(p.seq, page.head);
    if (p.noResume && p.seq >= page.head) {
      if (room.startsWith("dm:")) goLive(p);
      else p.state = "gone";
    }
    return fresh;
  }

  /** The question was refused for good. Users who may not resume may still be allowed to page. @param {Question} asked */
  refused(asked) {
    const p = this.places.get(asked.room);
    if (!p || p.asked !== asked) return;
    if (asked.type === "resume") p.noResume = true;
    else if (p.state === "behind") p.state = "gone";
  }

  // ---------------------------------------------------------------------------------------- shared

  /** @param {string} room @param {Place} p @param {Fact} fact */
  advance(room, p, fact) {
    p.seq = fact.seq;
    p.head = Math.max(p.head, fact.seq);
    const ended = fact.type === "member" && ["removed", "left"].includes(fact.change) && fact.users.includes(this.user);
    if (fact.type === "closed" || ended) p.state = "gone";
    this.places.delete(room);
    this.places.set(room, p);
  }

  /** @param {string} room @param {Place} p */
  fallBehind(room, p) {
    p.promised = false;
    if (p.state !== "live") return;
    p.state = "behind";
    if (!this.caught.has(room)) this.behind.add(room);
  }
}
