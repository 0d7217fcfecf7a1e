// A site that shows the page in a frame, and how often it is asked for a token.
import assert from "node:assert/strict";
import test, { mock } from "node:test";

const SITE = "https://site.example";
const HOUR_MS = 3_600_000;
/** A server keeps a session for so long past the end of its token. */
const GRACE_MS = 25_000;

test("a site whose tokens live for a minute is asked in time for each", async () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: 1e12 });
  let hear, asked = 0, answerAt = Infinity;
  globalThis.window = { parent: { postMessage: () => { asked++; answerAt = Date.now() + 200; } } };
  globalThis.document = { querySelector: () => ({ getAttribute: () => SITE }) };
  globalThis.addEventListener = (type, listener) => { if (type === "message") hear = listener; };
  const { fromHost } = await import("../../gochat/http/web/js/host.js");
  const { status } = await import("../../gochat/http/web/js/state.js");
  const { forget, keep } = await import("../../gochat/http/web/js/credential.js");
  const claims = (exp) => Buffer.from(JSON.stringify({ sub: "ann", exp })).toString("base64url");
  let endsAt = Infinity, ended = 0;
  fromHost((credential) => {
    keep({ ...credential, confirmed: true });
    endsAt = credential.expires + GRACE_MS;
    status.value = { phase: "online" };
  });
  while (Date.now() < 1e12 + HOUR_MS) {
    mock.timers.tick(100);
    if (Date.now() >= answerAt) {
      answerAt = Infinity;
      hear({ origin: SITE, data: { type: "gochat.token", token: `e30.${claims(Date.now() / 1000 + 70)}.AAAA` } });
    }
    if (Date.now() >= endsAt) {
      endsAt = Infinity;
      ended++;
      forget();
      status.value = { phase: "ended" };
      await Promise.resolve();
    }
  }
  assert.equal(ended, 0);
  assert.ok(asked >= 51 && asked <= 75, `${asked}`);
  mock.timers.reset();
});
