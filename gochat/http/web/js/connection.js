// @ts-check
// One WebSocket that comes back. It knows frames, requests and their replies, and when to try again; nothing of rooms.

/** @typedef {{type: string, id?: number, [field: string]: any}} Frame */
/** @typedef {{hello: () => Promise<Frame>, onWelcome: (frame: Frame) => void, onEvent: (frame: Frame) => void,
 *   onState: (state: "connecting" | "online" | "offline" | "ended", detail?: {retryAt?: number, why?: string, code?: number}) => void}} Listener */

const OPEN_MS = 10_000;
const LONGEST_WAIT_MS = 30_000;
/** A connection that is dead without a word is found out within the sum of the two. */
const PING_EVERY_MS = 15_000;
const PONG_WITHIN_MS = 8_000;
/** Close codes from here on say that another try would end the same way. */
const FINAL = 4500;

/** A request was answered by an `error`. */
export class Refused extends Error {
  /** @param {Frame} frame */
  constructor(frame) {
    super(frame.message);
    this.frame = frame;
    this.code = frame.code;
  }
}

/** The connection broke before the answer came: the request may have been carried out. */
export class Broken extends Error {}

function ownServer() {
  const url = new URL("/v1/ws", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

export class Connection {
  /** @param {Listener} listener @param {string | URL} [url] the server's WebSocket; without it, that of the page's own server */
  constructor(listener, url) {
    this.listener = listener;
    this.url = url ?? ownServer();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.ready = false;
    this.tries = 0;
    this.nextId = 1;
    /** @type {Map<number, {resolve: (frame: Frame) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.stopped = true;
    this.timer = 0;
    this.pings = 0;
    /** Set by `goaway`: when the server wants this page back. */
    this.comeBackAt = 0;
    this.reason = "";
    this.retryNow = this.retryNow.bind(this);
    this.close = this.close.bind(this);
  }

  start() {
    this.stopped = false;
    globalThis.addEventListener?.("online", this.retryNow);
    globalThis.addEventListener?.("offline", this.close);
    this.connect();
  }

  /** From here on the listener hears nothing more: the socket's own end, which comes later, is nobody's news. */
  stop() {
    this.stopped = true;
    globalThis.removeEventListener?.("online", this.retryNow);
    globalThis.removeEventListener?.("offline", this.close);
    clearTimeout(this.timer);
    const socket = this.socket;
    this.detach();
    socket?.close(1000);
  }

  /** Whether something sent now would leave. A socket that is closing, from either side, is not yet closed. */
  get open() { return this.ready && this.socket?.readyState === WebSocket.OPEN; }

  /** The network is gone: the end of the socket, which a browser may tell only much later, is not waited for. */
  close() {
    const socket = this.socket;
    if (!socket) return;
    socket.close();
    this.closed({ code: 1006, reason: "" });
  }

  retryNow() {
    if (this.stopped || this.socket) return;
    clearTimeout(this.timer);
    this.connect();
  }

  async connect() {
    this.listener.onState("connecting");
    /** @type {Frame} */
    let hello;
    try {
      hello = await this.listener.hello();
    } catch (error) {
      if (this.stopped) return;
      this.stopped = true;
      this.listener.onState("ended", { why: String(/** @type {Error} */ (error).message) });
      return;
    }
    if (this.stopped || this.socket) return;
    const socket = new WebSocket(this.url, ["gochat.v1.json"]);
    this.socket = socket;
    this.reason = "";
    const patience = setTimeout(() => {
      socket.close();
      end({ code: 1006, reason: "" });
    }, OPEN_MS);
    socket.onopen = () => socket.send(JSON.stringify(hello));
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      const frame = JSON.parse(event.data);
      if (frame.type === "welcome") clearTimeout(patience);
      this.receive(frame);
    };
    const end = (/** @type {{code: number, reason: string}} */ event) => {
      clearTimeout(patience);
      if (this.socket === socket) this.closed(event);
    };
    socket.onclose = end;
    // Node 20 says nothing more of a socket that could not be opened. Where it does, `close` comes in the same moment.
    socket.onerror = () => setTimeout(end, 0, { code: 1006, reason: "" });
  }

  /** @param {Frame} frame */
  receive(frame) {
    const call = frame.id === undefined ? undefined : this.waiting.get(frame.id);
    if (call) {
      this.waiting.delete(/** @type {number} */ (frame.id));
      if (frame.type === "error") call.reject(new Refused(frame)); else call.resolve(frame);
    } else if (frame.type === "welcome") {
      this.tries = 0;
      this.ready = true;
      clearTimeout(this.pings);
      this.pings = setTimeout(() => this.ping(), PING_EVERY_MS);
      this.listener.onWelcome(frame);
      this.listener.onState("online");
    } else if (frame.type === "error") {
      this.reason = frame.message;
    } else if (frame.type === "goaway") {
      this.comeBackAt = Date.now() + frame.reconnect_ms;
    } else {
      this.listener.onEvent(frame);
    }
  }

  /** Finds out whether the server is still there: a browser tells no page of pings below the WebSocket. */
  async ping() {
    const socket = this.socket;
    const dead = setTimeout(() => {
      if (this.socket !== socket) return;
      socket?.close();
      this.closed({ code: 1006, reason: "" });
    }, PONG_WITHIN_MS);
    try {
      await this.ask({ type: "ping" });
      this.pings = setTimeout(() => this.ping(), PING_EVERY_MS);
    } catch {
      // It was closed meanwhile.
    } finally {
      clearTimeout(dead);
    }
  }

  /** Lets the socket go; no answer to what was asked on it can come any more. */
  detach() {
    this.socket = null;
    this.ready = false;
    clearTimeout(this.pings);
    const calls = [...this.waiting.values()];
    this.waiting.clear();
    for (const call of calls) call.reject(new Broken("the connection broke"));
  }

  /** @param {{code: number, reason: string}} event */
  closed(event) {
    this.detach();
    const why = this.reason || event.reason;
    if (this.stopped || event.code >= FINAL) {
      this.stopped = true;
      this.listener.onState("ended", { why, code: event.code });
      return;
    }
    // Full jitter: a thousand pages that lost the same node do not come back in one instant.
    const jitter = Math.random() * Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.tries++);
    const wait = Math.max(jitter, this.comeBackAt - Date.now());
    this.comeBackAt = 0;
    this.listener.onState("offline", { retryAt: Date.now() + wait, why });
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Sends a request whose answer nobody waits for. @param {Frame} frame */
  post(frame) {
    if (this.open) this.socket?.send(JSON.stringify(frame));
  }

  /** Rejects with Refused, or with Broken where the answer can't come. @param {Frame} frame @returns {Promise<Frame>} */
  ask(frame) {
    return new Promise((resolve, reject) => {
      if (!this.open) {
        reject(new Broken("there is no connection"));
        return;
      }
      const id = this.nextId++;
      this.waiting.set(id, { resolve, reject });
      this.socket?.send(JSON.stringify({ ...frame, id }));
    });
  }
}
