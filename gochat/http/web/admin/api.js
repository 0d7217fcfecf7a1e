// @ts-check
// Requests to the server, each with the token: nothing that the page shows comes by another way.
import { reasonOf } from "../js/refusals.js";
import { t } from "./l10n.js";

/** The server said no; `message` is its reason, for people. */
export class Refused extends Error {
  /** @param {{detail?: string, title?: string, status: number, code?: string, rule?: string}} problem */
  constructor(problem) {
    super(reasonOf({ ...problem, code: problem.code ?? String(problem.status), message: problem.detail ?? problem.title ?? "" }));
    this.status = problem.status;
    this.code = problem.code ?? "";
  }
}

let token = "";
/** @type {(why: string) => void} */
let onRefusedToken = () => {};

/** Uses this token from now on. @param {string} given @param {(why: string) => void} [refused] Called when the server takes the token no longer. */
export function authorize(given, refused = () => {}) {
  token = given;
  onRefusedToken = refused;
}

/** The answer's value; null where it has none. Rejects with Refused, or with an Error where no answer came.
 *  @param {string} method @param {string} path @param {object} [body] @param {string} [used] Another token than that of the sign-in. */
export async function call(method, path, body, used = token) {
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${used}`, ...(body && { "content-type": "application/json" }) };
  const answer = await fetch(`/v1/${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store" }).catch(() => null);
  if (!answer) throw new Error(t("no-server"));
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => ({ status: answer.status }));
  if (answer.ok) return told;
  const refused = new Refused({ ...told, status: answer.status });
  if (refused.status === 401 && used === token) onRefusedToken(refused.message);
  throw refused;
}

/** @param {string} path @param {Record<string, string | number | boolean | undefined>} [query] Empty values are left out. */
export function get(path, query = {}, used = token) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  const text = new URLSearchParams(asked.map(([name, value]) => [name, String(value)])).toString();
  return call("GET", text ? `${path}?${text}` : path, undefined, used);
}

/** Names go into a path as they are, but for what would end it. */
export const part = encodeURIComponent;
