// @ts-check
// Notices of the browser, for messages that come while nobody looks at the page. They are shown only where the user has
// allowed them, and are asked for only by a click.
import { signal } from "./html.js";

const here = "Notification" in window;
export const permission = signal(here ? Notification.permission : "denied");
/** @type {(room: string) => void} */
let onClick = () => {};

/** @param {(room: string) => void} show */
export const onNotice = (show) => { onClick = show; };

export async function askPermission() {
  if (here) permission.value = await Notification.requestPermission();
}

/** @param {string} title @param {string} body @param {string} room */
export function notify(title, body, room) {
  if (!here || document.hasFocus() || Notification.permission !== "granted") return;
  try {
    // One notice a room: a newer one takes its place.
    const notice = new Notification(title, { body, tag: room, icon: "icon.svg" });
    notice.onclick = () => {
      window.focus();
      onClick(room);
      notice.close();
    };
  } catch {
    // Phones allow notices to a service worker alone.
  }
}
