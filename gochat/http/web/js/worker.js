// @ts-check
// The service worker as the page sees it: it is there where the page comes over TLS or from this machine.

const PATH = "/sw.js";
/** The page's policy allows a worker's address from here alone, and this is the only one. */
const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("gochat-worker", { createScriptURL: () => PATH });

export const here = "serviceWorker" in navigator;

/** Installs the worker, or has the browser look for a newer one. Resolves with null where there can be none. */
export async function install() {
  if (!here) return null;
  try {
    return await navigator.serviceWorker.register(/** @type {string} */ (policy?.createScriptURL("") ?? PATH));
  } catch {
    return null; // A private window, or storage that is full: the page works without.
  }
}

/** The worker that is installed, without waiting for one. @returns {Promise<ServiceWorkerRegistration | undefined>} */
export const installed = async () => (here ? navigator.serviceWorker.getRegistration().catch(() => undefined) : undefined);

/** Has `act` called with the room of a notice that somebody clicked. @param {(room: string) => void} act */
export function onShow(act) {
  if (!here) return;
  navigator.serviceWorker.addEventListener("message", (event) => {
    if (event.data?.type === "gochat.show" && event.data.room) act(event.data.room);
  });
}
