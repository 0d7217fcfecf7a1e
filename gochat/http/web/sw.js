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
  if (method === "GET" && origin === location.origin && FILES.includes(pathname)) event.respondWith(answer(event.request, pathname));
});

/** The file as the server has it; without an answer of the server, as it was kept.
 *  @param {Request} request @param {string} path */
async function answer(request, path) {
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE_MS));
  try {
    return await Promise.race([fetch(request), late]);
  } catch {
    const kept = await caches.match(path, { cacheName: CACHE, ignoreVary: true, ignoreSearch: true });
    return kept ?? Response.error();
  }
}

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
  const [page] = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (!page) {
    await worker.clients.openWindow(`/#room=${encodeURIComponent(room)}`);
    return;
  }
  page.postMessage({ type: "gochat.show", room });
  await page.focus().catch(() => page); // A browser may keep the window where it is.
}
