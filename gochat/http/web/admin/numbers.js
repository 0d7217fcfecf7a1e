// @ts-check
// Numbers as people read them, and rates out of two overviews. Knows no page.
import { language } from "../js/l10n.js";

/** @typedef {{ts: number, metrics: Record<string, Record<string, number>>}} Sample */

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
const fine = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

/** A number that is counted: exact up to a million. @param {number | undefined} value */
export const count = (value) => (value === undefined ? "–" : value < 1_000_000 ? whole.format(value) : short.format(value));

/** A rate or another number of any size. @param {number | undefined} value */
export const rate = (value) => (value === undefined ? "–" : value < 100 ? fine.format(value) : count(Math.round(value)));

const BYTES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
/** @param {number | undefined} value */
export function bytes(value) {
  if (value === undefined) return "–";
  const power = Math.min(BYTES.length - 1, value < 1 ? 0 : Math.floor(Math.log(value) / Math.log(1024)));
  const unit = new Intl.NumberFormat(language, { style: "unit", unit: BYTES[power], unitDisplay: "short", maximumFractionDigits: power ? 1 : 0 });
  return unit.format(value / 1024 ** power);
}

const SPANS = /** @type {[number, string][]} */ ([[86_400_000, "day"], [3_600_000, "hour"], [60_000, "minute"], [1_000, "second"]]);
/** A span of time in its largest unit. @param {number | undefined} ms */
export function span(ms) {
  if (ms === undefined) return "–";
  const [length, unit] = SPANS.find(([least]) => ms >= least) ?? [1, "millisecond"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 }).format(Math.floor(ms / length));
}

/** The value of a metric, over all labels that begin so; undefined where the node does not tell it.
 *  @param {Sample | undefined} sample @param {string} name @param {string} [label] */
export function value(sample, name, label = "") {
  const found = sample?.metrics[name];
  if (!found) return undefined;
  const entries = Object.entries(found).filter(([labels]) => labels.startsWith(label));
  return entries.reduce((sum, [, each]) => sum + each, 0);
}

/** How much a counter grew a second between two overviews; undefined where there are not two, or the node began anew.
 *  @param {Sample | undefined} before @param {Sample | undefined} now @param {string} name @param {string} [label] */
export function perSecond(before, now, name, label) {
  const [from, to] = [value(before, name, label), value(now, name, label)];
  if (!before || !now || from === undefined || to === undefined || now.ts <= before.ts || to < from) return undefined;
  return (to - from) / ((now.ts - before.ts) / 1000);
}

/** The rate between each two neighbours of many overviews; 0 where it is not known. @param {Sample[]} samples @param {string} name */
export const course = (samples, name) => samples.slice(1).map((now, index) => perSecond(samples[index], now, name) ?? 0);

/** The points of a line through these values, in a box of that size, its lowest at 0. @param {number[]} values @param {number} width
 *  @param {number} height */
export function points(values, width, height) {
  const most = Math.max(...values, 1e-9);
  const step = width / Math.max(1, values.length - 1);
  return values.map((each, index) => `${(index * step).toFixed(1)},${(height - (each / most) * height).toFixed(1)}`).join(" ");
}
