// @ts-check
// Tells the server what this device has: of each room the latest, once a second at most, and of few rooms at once, for
// a page that was away has many. The twin of gochat/client/confirmed.py. No I/O but by `post`.

/** Between two confirmations of one room, and rooms that are confirmed at once: each is a read of the user's budget. */
export const EVERY_MS = 1_000;
export const AT_ONCE = 10;

export class Confirmed {
  /** @param {(frame: {type: string, room: string, seq: number}) => unknown} post */
  constructor(post) {
    this.post = post;
    /** By room, the seq that is still to be told; the room that waits longest is first. @type {Map<string, number>} */
    this.waiting = new Map();
    this.due = false;
  }

  /** This device has the room up to `seq`. @param {string} room @param {number} seq */
  note(room, seq) {
    this.waiting.set(room, Math.max(this.waiting.get(room) ?? 0, seq));
    this.later();
  }

  /** Confirmations of the room that wait are not told. @param {string} room */
  forget(room) {
    this.waiting.delete(room);
  }

  forgetAll() {
    this.waiting.clear();
  }

  later() {
    if (this.due || !this.waiting.size) return;
    this.due = true;
    setTimeout(() => this.tell(), EVERY_MS);
  }

  tell() {
    this.due = false;
    for (const [room, seq] of [...this.waiting].slice(0, AT_ONCE)) {
      this.waiting.delete(room);
      this.post({ type: "got", room, seq });
    }
    this.later();
  }
}
