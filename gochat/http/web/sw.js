// @ts-check
/// <reference lib="webworker" />
// The page's service worker: it keeps the page's own files, so that the page opens without a connection, and shows what is
// pushed to this browser. It keeps nothing that anybody wrote.

/** The page's files, and a name for just these contents of them. The server fills both in. @type {string[]} */
const FILES = [];
const VERSION = "";

const CACHE = `gochat-${VERSION}`;
/** A network that says nothing for so long is taken for none. */
const PATIENCE_MS = 4_000;
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

worker.addEventListener("install", (event) => {
  worker.skipWaiting();
  event.waitUntil(keepFiles());
});

worker.addEventListener("activate", (event) => event.waitUntil(takeOver()));

async function keepFiles() {
  const cache = await caches.open(CACHE);
  // Programs get a text at "/"; the page is for those who ask for HTML.
  await cache.addAll(FILES.map((path) => new Request(path, path === "/" ? { headers: { accept: "text/html" } } : {})));
}

async function takeOver() {
  const old = (await caches.keys()).filter((name) => name.startsWith("gochat-") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await worker.clients.claim();
}

worker.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method === "GET" && origin === location.origin && FILES.includes(pathname)) {
    event.respondWith(answer(event.request, pathname, event.resultingClientId || event.clientId));
  }
});

/** By page, where its files come from, once that matters: a page never gets modules of two versions. "kept": one of them could
 *  not be had from the server. "served": the server has given another one than is kept. @type {Map<string, "kept" | "served">} */
const sources = new Map();
const MOST_PAGES = 100;

/** @param {string} page @param {"kept" | "served"} source */
function settle(page, source) {
  if (!page || sources.has(page)) return;
  sources.set(page, source);
  for (const oldest of sources.keys()) if (sources.size > MOST_PAGES) sources.delete(oldest);
}

/** The file as the server has it; where the server, or the proxy before it, has none to give, as it was kept.
 *  @param {Request} request @param {string} path @param {string} page */
async function answer(request, path, page) {
  const kept = await caches.match(path, { cacheName: CACHE, ignoreVary: true, ignoreSearch: true });
  if (kept && sources.get(page) === "kept") return kept;
  const asked = fetch(request);
  if (!kept) return asked;
  const given = await Promise.race([asked.catch(() => null), silence()]);
  const lacking = !given || given.status >= 500;
  if (lacking) settle(page, "kept");
  else if (given.headers.get("etag") !== kept.headers.get("etag")) settle(page, "served");
  const source = sources.get(page) ?? (lacking ? "kept" : "served");
  return source === "kept" ? kept : given ?? asked;
}

/** @returns {Promise<null>} */
const silence = () => new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));

// ------------------------------------------------------------------------------------------------ what is pushed

worker.addEventListener("push", (event) => {
  const told = event.data?.json() ?? {};
  // One notice a room: a newer one takes its place.
  event.waitUntil(worker.registration.showNotification(told.title || "gochat", {
    body: told.text ?? "", tag: told.room ?? "", icon: "/icon.svg", data: { room: told.room ?? "" },
  }));
});

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(show(String(event.notification.data?.room ?? "")));
});

/** Shows the room in a page that is open already, or in a new one. @param {string} room */
async function show(room) {
  const open = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = open.find(({ url }) => new URL(url).pathname === "/"); // The documentation and the operators' page are windows too.
  if (!page) {
    await worker.clients.openWindow(`/#room=${encodeURIComponent(room)}`);
    return;
  }
  page.postMessage({ type: "gochat.show", room });
  await page.focus().catch(() => page); // A browser may keep the window where it is.
}
