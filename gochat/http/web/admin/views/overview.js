// @ts-check
// The node at a glance: its checks, what it does now, and what it refuses.
import { html } from "../../js/html.js";
import { address } from "../address.js";
import { t } from "../l10n.js";
import { bytes, count, course, perSecond, points, rate, span, value } from "../numbers.js";
import { Table, View, Waiting } from "../parts.js";
import * as state from "../state.js";

/** Rates are told over so many overviews: ten seconds. */
const OVER = 5;

export function Overview() {
  const samples = state.samples.value;
  const now = samples.at(-1);
  if (!now) return html`<${View} title=${t("overview")}><${Waiting} /><//>`;
  const before = samples.at(-1 - OVER) ?? samples[0];
  const each = (/** @type {string} */ name, /** @type {string} */ label = "") => perSecond(before, now, name, label);
  const started = value(now, "process_start_time_seconds");
  const commits = each("gochat_commit_seconds_count"), took = each("gochat_commit_seconds_sum");
  const problems = now.checks.filter(({ problem }) => problem);
  return html`
    <${View} title=${t("overview")} side=${html`<small>${now.server}</small>`}>
      ${problems.map(({ check, problem }) => html`<p class="bad" role="alert" key=${check}>${t("check-fails", { check, why: problem ?? "" })}</p>`)}
      <div class="tiles">
        <${Tile} name=${t("online")} value=${count(value(now, "gochat_users_online"))} more=${t("n-sessions", { n: count(value(now, "gochat_sessions") ?? 0) })} />
        <${Tile} name=${t("connections")} value=${count(value(now, "gochat_connections"))}
          more=${t("n-strangers", { n: count(value(now, "gochat_connections_unauthenticated")) })} />
        <${Tile} name=${t("messages-s")} value=${rate(each("gochat_messages_recorded_total"))} line=${course(samples, "gochat_messages_recorded_total")} />
        <${Tile} name=${t("deliveries-s")} value=${rate(each("gochat_deliveries_total"))} line=${course(samples, "gochat_deliveries_total")} />
        <${Tile} name=${t("refusals-s")} value=${rate(each("gochat_denials_total"))} line=${course(samples, "gochat_denials_total")} />
        <${Tile} name=${t("commit-time")} value=${commits ? span(Math.max(1, ((took ?? 0) / commits) * 1000)) : "–"}
          more=${commits === undefined ? "" : t("n-commits-s", { n: rate(commits) })} />
        <${Tile} name=${t("cpu")} value=${percent(each("process_cpu_seconds_total"))} line=${course(samples, "process_cpu_seconds_total")} />
        <${Tile} name=${t("memory")} value=${bytes(value(now, "process_resident_memory_bytes"))} />
        <${Tile} name=${t("database")} value=${bytes(value(now, "gochat_store_bytes"))}
          more=${t("n-free", { n: bytes(value(now, "gochat_store_free_bytes")) })} />
        <${Tile} name=${t("uptime")} value=${started === undefined ? "–" : span(now.ts - started * 1000)} />
        <${Tile} name=${t("slowed")} value=${count(value(now, "gochat_users_slowed"))} more=${t("n-lags", { n: count(value(now, "gochat_lags_total")) })} />
        <${Tile} name=${t("crashes")} value=${count(value(now, "gochat_crashes_total"))} to=${address("supervisors")} />
      </div>
      <div class="beside">
        <${Counted} title=${t("by-transport")} metric="gochat_sessions" now=${now} what=${t("transport")} />
        <${Counted} title=${t("by-rule")} metric="gochat_refusals_total" now=${now} before=${before} what=${t("rule")} />
        <${Counted} title=${t("by-code")} metric="gochat_denials_total" now=${now} before=${before} what=${t("code")} />
        <${Counted} title=${t("by-status")} metric="gochat_http_responses_total" now=${now} before=${before} what=${t("status")} />
      </div>
    <//>`;
}

/** @param {number | undefined} share */
const percent = (share) => (share === undefined ? "–" : `${rate(share * 100)} %`);

const WIDTH = 120, HEIGHT = 28;
/** @param {{name: string, value: string, more?: string, line?: number[], to?: string}} props */
const Tile = ({ name, value: shown, more, line, to }) => html`
  <div class="tile">
    <h2>${to ? html`<a href=${to}>${name}</a>` : name}</h2>
    <b>${shown}</b>
    ${more && html`<small>${more}</small>`}
    ${line && line.length > 1 && html`<svg viewBox=${`0 -2 ${WIDTH} ${HEIGHT + 4}`} preserveAspectRatio="none" aria-hidden="true">
      <polyline points=${points(line, WIDTH, HEIGHT)} /></svg>`}
  </div>`;

/** A metric by its label, the largest first; of a counter also its rate.
 *  @param {{title: string, metric: string, what: string, now: state.Overview, before?: state.Overview}} props */
function Counted({ title, metric, what, now, before }) {
  /** @type {[string, number][]} */
  const rows = Object.entries(now.metrics[metric] ?? {}).filter(([, sum]) => sum > 0).sort(([, one], [, other]) => other - one);
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: what, cell: ([label]) => html`<bdi>${label}</bdi>`, main: true },
    { name: t("number"), cell: ([, sum]) => count(sum), number: true },
    ...(before ? [{ name: t("per-s"), cell: (/** @type {[string, number]} */ [label]) => rate(perSecond(before, now, metric, label)), number: true }] : []),
  ];
  return html`<section><h2>${title}</h2><${Table} label=${title} columns=${columns} rows=${rows} id="0" empty=${t("none-yet")} /></section>`;
}
