// @ts-check
// Times as people say them, in the language of the page.
import { signal } from "./html.js";
import { language, t } from "./l10n.js";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Another number each minute: what is said of a time, as "Today" or "5 min ago", holds no longer. */
const ticks = signal(0);
/** The time. */
export function present() {
  void ticks.value; // A view that asks is drawn anew with the next one.
  return Date.now();
}

/** Begins to tick: at each full minute, midnight among them, and when somebody looks at the page again, whose timers may have
 *  slept. */
export function keepTime() {
  let timer = 0;
  const tick = () => {
    clearTimeout(timer);
    timer = setTimeout(tick, MINUTE_MS - Date.now() % MINUTE_MS);
    if (!document.hidden) ticks.value++;
  };
  document.addEventListener("visibilitychange", tick);
  tick();
}

/** @param {Intl.DateTimeFormatOptions} options */
const format = (options) => new Intl.DateTimeFormat(language, options);
const clock = format({ hour: "2-digit", minute: "2-digit" });
const weekday = format({ weekday: "long" });
const shortWeekday = format({ weekday: "short" });
const date = format({ day: "numeric", month: "long" });
const shortDate = format({ day: "numeric", month: "short" });
const dateAndYear = format({ day: "numeric", month: "long", year: "numeric" });
const momentSoon = format({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const whole = format({ dateStyle: "full", timeStyle: "short" });

/** @param {number} ts */
const midnight = (ts) => new Date(ts).setHours(0, 0, 0, 0);
/** @param {number} ts */
const daysAgo = (ts) => Math.round((midnight(present()) - midnight(ts)) / DAY_MS);
/** @param {number} one @param {number} other */
export const sameDay = (one, other) => midnight(one) === midnight(other);
/** @param {number} ts */
export const time = (ts) => clock.format(ts);
/** @param {number} ts */
export const inFull = (ts) => whole.format(ts);

/** The label above the first message of a day. @param {number} ts */
export function day(ts) {
  const days = daysAgo(ts);
  if (days === 0) return t("today");
  if (days === 1) return t("yesterday");
  if (days > 1 && days < 7) return weekday.format(ts);
  return new Date(ts).getFullYear() === new Date(present()).getFullYear() ? date.format(ts) : dateAndYear.format(ts);
}

/** For the list of chats. @param {number} ts */
export function brief(ts) {
  const days = daysAgo(ts);
  if (days === 0) return time(ts);
  return days > 0 && days < 7 ? shortWeekday.format(ts) : shortDate.format(ts);
}

/** Until when something holds. @param {number} ts */
export const until = (ts) => (daysAgo(ts) === 0 ? time(ts) : momentSoon.format(ts));

/** How long ago somebody was here. @param {number} ts */
export function ago(ts) {
  const minutes = Math.round((present() - ts) / MINUTE_MS);
  if (minutes < 1) return t("just-now");
  if (minutes < 60) return t("minutes-ago", { n: minutes });
  if (minutes < 1440) return t("hours-ago", { n: Math.round(minutes / 60) });
  return day(ts);
}
