// @ts-check
// Web Push: this browser as a device of the user, told of messages while no page is open.
import { t } from "./l10n.js";
import { Refused, ask, post } from "./wire.js";
import { here, install, installed } from "./worker.js";

export const supported = here && "PushManager" in window;

/** @typedef {{offered: boolean, on: boolean, devices: number}} Push `offered`: the server pushes; `on`: to this browser too */

/** @type {PushSubscription | null} */
let device = null;

async function subscription() {
  device = (await (await installed())?.pushManager.getSubscription()) ?? null;
  return device;
}

/** @returns {Promise<Push>} */
export async function look() {
  const { key, devices } = await ask({ type: "push" });
  return { offered: key !== undefined, on: (await subscription()) !== null, devices };
}

/** Subscribes this browser. Rejects where it does not want to, or has no push service. */
export async function turnOn() {
  const { key } = await ask({ type: "push" });
  const registration = await install();
  if (!registration || key === undefined) return;
  await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: key };
  device = await registration.pushManager.subscribe(options).catch(() => { throw new Error(t("push-refused")); });
  await ask({ type: "push", subscription: device.toJSON() });
}

/** Ends this browser's subscription. The server is told at once where the page knows the subscription: after this a sign-out
 *  may end the connection. A page that was never online has yet to look for it; the push service refuses what is pushed then. */
export async function turnOff() {
  const made = device ?? (supported ? await subscription() : null);
  device = null;
  if (!made) return;
  post({ type: "push", forget: made.endpoint });
  await made.unsubscribe();
}

/** A browser that is subscribed belongs to the user who signed in last. */
export async function claim() {
  const made = supported ? await subscription() : null;
  if (!made) return;
  await ask({ type: "push", subscription: made.toJSON() }).catch((error) => {
    if (error instanceof Refused && error.code === "conflict") made.unsubscribe();
  });
}
