// @ts-check
// Notices of the browser, for messages that come while nobody looks at the page. They are shown only where the user has
// allowed them, which is asked for only by a click.
import { signal } from "./html.js";
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

/** @param {string} title @param {string} body @param {string} room @param {boolean} [mentioned] */
export async function notify(title, body, room, mentioned = false) {
  if (!here || document.hasFocus() || Notification.permission !== "granted" || isQuiet(room, mentioned)) return;
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
