// @ts-check
// Tells the server how far the user has read: at once, and while somebody scrolls once a second, of few rooms at a time.
// No I/O but by `post`. A position that is lost on its way is told after the next `welcome`, see reading.js.

/** Between two tellings, and rooms that are told of at once: each is a read of the user's budget. */
export const EVERY_MS = 1_000;
export const AT_ONCE = 10;

export class Marks {
  /** @param {(frame: {type: string, room: string, seq: number}) => unknown} post */
  constructor(post) {
    this.post = post;
    /** By room, the position that is still to be told. @type {Map<string, number>} */
    this.waiting = new Map();
    this.pausing = false;
  }

  /** The user has read the room up to `seq`. @param {string} room @param {number} seq */
  note(room, seq) {
    this.waiting.set(room, Math.max(this.waiting.get(room) ?? 0, seq));
    if (!this.pausing) this.tell();
  }

  /** The room's position is not told any more: its log is another one. @param {string} room */
  forget(room) { this.waiting.delete(room); }

  forgetAll() { this.waiting.clear(); }

  tell() {
    for (const [room, seq] of [...this.waiting].slice(0, AT_ONCE)) {
      this.waiting.delete(room);
      this.post({ type: "read", room, seq });
    }
    this.pausing = true;
    setTimeout(() => {
      this.pausing = false;
      if (this.waiting.size) this.tell();
    }, EVERY_MS);
  }
}
