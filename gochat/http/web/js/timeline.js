// @ts-check
// The messages of one room that the page holds: a dense run of the log, and after it what is on its way. No I/O.
//
// A row's id is `from/key`, before and after its ack, so that the list keeps the row where it stands.

/** So many rows are kept; beyond it the far end is let go. A browser ends at some 17 million pixels of height. */
const MOST_ROWS = 5000;

/** @typedef {{id: string, kind: "message" | "note", seq: number, ts: number, from: string, body?: string, key?: string,
 *   reply_to?: number, edited?: number, deleted?: number, reactions?: Record<string, number>, mentions?: string[], mine?: Set<string>,
 *   change?: any, asOf?: number, rev: number, state?: "sending" | "waiting" | "failed", why?: string}} Row
 *   `asOf`: the row is as it was at this seq of the room, or later */
/** @typedef {import("./positions.js").Fact} Fact */

/** @param {Fact} fact @returns {string} */
export const rowId = (fact) => (fact.key ? `${fact.from}/${fact.key}` : `#${fact.seq}`);

export class Timeline {
  /** @param {string} me The user who looks at it. @param {Row[]} [pending] What is on its way, which may outlive the timeline. */
  constructor(me, pending = []) {
    this.me = me;
    /** @type {Row[]} */ this.rows = [];
    this.pending = pending;
    /** @type {Map<number, Row>} */ this.bySeq = new Map();
    /** The run of the log that is held: from..to, both included; empty while from > to. */
    this.from = 1;
    this.to = 0;
    /** The room's head, as far as it is known. */
    this.head = 0;
    this.loaded = false;
    /** Changes of messages that came while a page is being read, for rows that it brings as they were before; null while none
     *  is. @type {Fact[] | null} */
    this.meanwhile = null;
    /** How often all was let go: a page that was asked for before is of no use. */
    this.clears = 0;
  }

  /** Whether nothing lies between what is held and the live end. */
  get attached() { return this.to >= this.head; }
  get complete() { return this.from <= 1; }
  /** Whether all of low..high is held. @param {number} low @param {number} high */
  holds(low, high) { return this.loaded && this.from <= low && this.to >= high; }
  get count() { return this.rows.length + (this.attached ? this.pending.length : 0); }
  /** @param {number} index @returns {Row | undefined} */
  at(index) { return index < this.rows.length ? this.rows[index] : this.pending[index - this.rows.length]; }

  /** The index of the row of a seq, or of the next row after it. @param {number} seq */
  indexOf(seq) {
    let low = 0, high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].seq < seq) low = middle + 1; else high = middle;
    }
    return low;
  }

  // ---------------------------------------------------------------------------------------- facts

  /** Takes the fact that follows, live or caught up. @param {Fact} fact @param {number} [asOf] The seq at which a message
   *  that comes now was read from the log: it has the changes up to there, whose own facts may still come.
   *  @returns {Row | null} The row that it made. */
  append(fact, asOf = 0) {
    this.head = Math.max(this.head, fact.seq);
    if (fact.target !== undefined) this.meanwhile?.push(fact);
    const row = this.take(fact, true, asOf);
    if (row) this.settle(row.id);
    if (fact.seq !== this.to + 1) return null; // The facts between are not held: the row comes with its page.
    this.to = fact.seq;
    this.loaded = true;
    if (row) {
      this.hold(row);
      this.rows.push(row);
    }
    return row;
  }

  /** Takes a page that ends right below what is held. @param {Fact[]} facts @param {number} [upto] The bound that was asked for.
   *  @param {number} [asOf] The head that the page tells of. */
  prepend(facts, upto = this.from, asOf = 0) {
    const rows = this.page(facts, asOf);
    for (const row of rows) this.settle(row.id);
    this.rows = [...rows, ...this.rows];
    if (facts.length) this.from = facts[0].seq;
    else this.from = Math.min(this.from, 1);
    if (this.to < this.from) this.to = facts.length ? facts[facts.length - 1].seq : upto - 1;
    this.loaded = true;
    if (this.rows.length > MOST_ROWS && this.rows.length > rows.length) this.drop(MOST_ROWS, Infinity);
  }

  /** Takes a page that begins right above what is held; live facts may have come first. @param {Fact[]} page
   *  @param {number} [asOf] The head that the page tells of. */
  extend(page, asOf = 0) {
    const facts = page.filter((fact) => fact.seq > this.to);
    const rows = this.page(facts, asOf);
    for (const row of rows) this.settle(row.id);
    this.rows = [...this.rows, ...rows];
    if (facts.length) this.to = facts[facts.length - 1].seq;
    else if (!page.length) this.to = this.head;
    if (this.rows.length > MOST_ROWS) this.drop(0, this.rows.length - MOST_ROWS);
  }

  /** Takes rows that were kept of the run from..to. @param {Row[]} rows @param {number} from @param {number} to */
  restore(rows, from, to) {
    this.rows = rows.map((row) => ({ ...row, rev: 0 }));
    for (const row of this.rows) {
      this.hold(row);
      this.settle(row.id);
    }
    this.from = from;
    this.to = this.head = to;
    this.loaded = true;
  }

  /** Lets go of what is held, to begin again elsewhere in the log. */
  clear() {
    this.clears++;
    this.rows = [];
    this.bySeq.clear();
    this.from = 1;
    this.to = 0;
    this.loaded = false;
  }

  /** Keeps the rows below `end` and from `begin` on. @param {number} end @param {number} begin */
  drop(end, begin) {
    const gone = begin === Infinity ? this.rows.splice(end) : this.rows.splice(0, begin);
    for (const row of gone) this.bySeq.delete(row.seq);
    if (!gone.length) return;
    if (begin === Infinity) this.to = gone[0].seq - 1;
    else this.from = this.rows.length ? this.rows[0].seq : this.to + 1;
  }

  /** @param {Fact[]} facts @param {number} asOf @returns {Row[]} */
  page(facts, asOf) {
    const rows = [];
    const came = new Set();
    for (const fact of facts) {
      const row = this.take(fact, false, asOf);
      if (row) {
        this.hold(row);
        rows.push(row);
        came.add(row.seq);
      }
    }
    for (const change of this.meanwhile ?? []) if (change.seq > asOf && came.has(change.target)) this.take(change, true, asOf);
    return rows;
  }

  /** @param {Row} row */
  hold(row) { this.bySeq.set(row.seq, row); }

  /** Changes the rows by a fact. In a page every message stands as it is now, so the facts about it change nothing.
   *  @param {Fact} fact @param {boolean} live @param {number} asOf @returns {Row | null} */
  take(fact, live, asOf) {
    switch (fact.type) {
      case "message":
        return { ...fact, id: rowId(fact), kind: "message", asOf, rev: 0 };
      case "edit":
        if (live) this.edit(fact);
        return null;
      case "delete":
        this.change(fact.target, (row) => { row.body = row.reactions = row.mentions = undefined; row.deleted = fact.ts; });
        return null;
      case "reaction":
        if (live) this.change(fact.target, (row) => this.react(row, fact));
        return null;
      case "hidden":
        return null;
      default:
        return { id: `#${fact.seq}`, kind: "note", seq: fact.seq, ts: fact.ts, from: fact.from, change: fact, rev: 0 };
    }
  }

  /** @param {Fact} fact */
  edit(fact) {
    const row = this.bySeq.get(fact.target);
    if (!row || fact.seq <= (row.asOf ?? 0)) return;
    // The edit comes from a page, without its text, and the row is older: the row's own page has the text.
    if (fact.body === undefined) this.drop(0, this.indexOf(row.seq) + 1);
    else this.change(row.seq, () => { row.body = fact.body; row.edited = fact.ts; row.mentions = fact.mentions; });
  }

  /** @param {Row} row @param {Fact} fact */
  react(row, fact) {
    if (fact.seq > (row.asOf ?? 0)) {
      const counts = { ...row.reactions };
      counts[fact.emoji] = (counts[fact.emoji] ?? 0) + (fact.on ? 1 : -1);
      if (counts[fact.emoji] <= 0) delete counts[fact.emoji];
      row.reactions = Object.keys(counts).length ? counts : undefined;
    }
    if (fact.from !== this.me) return;
    const mine = new Set(row.mine);
    if (fact.on) mine.add(fact.emoji); else mine.delete(fact.emoji);
    row.mine = mine;
  }

  /** @param {number} seq @param {(row: Row) => void} change */
  change(seq, change) {
    const row = this.bySeq.get(seq);
    if (!row) return;
    change(row);
    row.rev++;
  }

  // ---------------------------------------------------------------------------------------- what is on its way

  /** @param {Row} row */
  queue(row) { this.pending.push(row); }

  /** The row has its fact, or was given up. @param {string} id @returns {Row | undefined} */
  settle(id) {
    const index = this.pending.findIndex((row) => row.id === id);
    return index < 0 ? undefined : this.pending.splice(index, 1)[0];
  }
}
