// @ts-check
// Times as people say them, in the language of the page.
import { language, t } from "./l10n.js";

const DAY_MS = 86_400_000;
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
const daysAgo = (ts) => Math.round((midnight(Date.now()) - midnight(ts)) / DAY_MS);
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
  return new Date(ts).getFullYear() === new Date().getFullYear() ? date.format(ts) : dateAndYear.format(ts);
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
  const minutes = Math.round((Date.now() - ts) / 60_000);
  if (minutes < 1) return t("just-now");
  if (minutes < 60) return t("minutes-ago", { n: minutes });
  if (minutes < 1440) return t("hours-ago", { n: Math.round(minutes / 60) });
  return day(ts);
}
