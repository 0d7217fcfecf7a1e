// @ts-check
// Notices of the browser, for messages that come while nobody looks at the page. They are shown only where the user has
// allowed them, which is asked for only by a click.
import { signal } from "./html.js";
import { me } from "./state.js";
import { isQuiet } from "./wishes.js";
import { installed } from "./worker.js";

const here = "Notification" in window;
export const permission = signal(here ? Notification.permission : "denied");
/** @type {(room: string) => void} */
let onClick = () => {};

/** @param {(room: string) => void} show */
export const onNotice = (show) => { onClick = show; };

export async function askPermission() {
  if (here) permission.value = await Notification.requestPermission();
}

/** Between the user's tabs: each may be the one that is looked at. */
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("gochat.tabs") : null;
/** A tab that has not answered by then is not looked at. */
const ANSWER_MS = 200;
/** @type {Set<() => void>} */
const asking = new Set();
tabs?.addEventListener("message", ({ data }) => {
  if (data.user !== me.value) return;
  if (data.type === "looks") asking.forEach((found) => found());
  else if (document.hasFocus()) tabs.postMessage({ type: "looks", user: me.value });
});

/** Whether the user looks at another tab. @returns {Promise<boolean>} */
const looksElsewhere = () => new Promise((resolve) => {
  const end = (/** @type {boolean} */ looks) => {
    asking.delete(found);
    resolve(looks);
  };
  const found = () => end(true);
  asking.add(found);
  tabs?.postMessage({ type: "who-looks", user: me.value });
  setTimeout(end, tabs ? ANSWER_MS : 0, false);
});

/** @param {string} title @param {string} body @param {string} room @param {boolean} [mentioned] */
export async function notify(title, body, room, mentioned = false) {
  if (!here || document.hasFocus() || Notification.permission !== "granted" || isQuiet(room, mentioned)) return;
  if (await looksElsewhere() || document.hasFocus()) return;
  // One notice a room: a newer one takes its place.
  const options = { body, tag: room, icon: "icon.svg", data: { room } };
  const worker = await installed();
  if (worker?.active) {
    await worker.showNotification(title, options).catch(() => {});
    return;
  }
  try {
    const notice = new Notification(title, options);
    notice.onclick = () => {
      window.focus();
      onClick(room);
      notice.close();
    };
  } catch {
    // Phones allow notices to a service worker alone.
  }
}
