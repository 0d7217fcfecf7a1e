// Web Push, as far as it needs no push service.
import assert from "node:assert/strict";
import test from "node:test";

let ended = 0;
const made = { endpoint: "https://push.example/1", unsubscribe: async () => { ended++; } };
const registration = { pushManager: { getSubscription: async () => (ended ? null : made) } };
globalThis.window = { PushManager: class {} };
Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: { getRegistration: async () => registration } } });
const { turnOff } = await import("../../gochat/http/web/js/push.js");

test("a page that was never online ends its browser's subscription too", async () => {
  await turnOff();
  assert.equal(ended, 1);
  await turnOff();
  assert.equal(ended, 1);
});
