// @ts-check
// The site that shows the page in a frame, where the server lists it: it gives the tokens that the page signs in with. The page
// asks for one whenever it has none that is of use, as after a sleep in which its token ended.
import { kept, ofToken } from "./credential.js";
import { effect } from "./html.js";
import { status } from "./state.js";

/** A token that lives for less than three times as long is replaced when a third of its life is left. */
const REFRESH_BEFORE_MS = 60_000;
const LOOK_EVERY_MS = 15_000;
/** A site that does not answer, or whose tokens are refused, is asked at longer and longer intervals, up to this one. */
const LONGEST_PAUSE_MS = 10 * 60_000;

/** How long before its end the token is replaced. */
let soon = REFRESH_BEFORE_MS;

/** Takes tokens from the site. @param {(credential: import("./credential.js").Credential) => void} take */
export function fromHost(take) {
  const origins = document.querySelector("meta[name=gochat-origins]")?.getAttribute("content")?.split(" ").filter(Boolean) ?? [];
  if (window.parent === window || !origins.length) return;
  addEventListener("message", (event) => {
    if (!origins.includes(event.origin) || event.data?.type !== "gochat.token") return;
    const credential = ofToken(String(event.data.token));
    soon = Math.min(REFRESH_BEFORE_MS, Math.max(0, credential.expires - Date.now()) / 3 || REFRESH_BEFORE_MS);
    take(credential);
  });
  keepAsking(() => { for (const origin of origins) window.parent.postMessage({ type: "gochat.ready" }, origin); });
}

/** @param {() => void} ask */
function keepAsking(ask) {
  let pause = LOOK_EVERY_MS;
  let notBefore = 0;
  /** The token that there was when the site was asked: another one that keeps the page online is of use, however short its life. */
  let before = kept()?.token;
  /** People who sign out are not signed in again by a timer. */
  let left = false;
  const look = () => {
    const { phase } = status.value;
    const lasts = lastsLonger();
    if (phase === "online" && (lasts || kept()?.token !== before)) {
      pause = LOOK_EVERY_MS;
      notBefore = 0;
    }
    if (left || (lasts && phase !== "ended") || Date.now() < notBefore) return;
    before = kept()?.token;
    notBefore = Date.now() + pause;
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    ask();
  };
  let was = status.value.phase;
  effect(() => {
    const { phase } = status.value;
    left = phase === "signed-out" && (left || was !== "signed-out");
    was = phase;
    if (phase === "ended") queueMicrotask(look); // The end of a session forgets its token first.
  });
  look();
  setInterval(look, LOOK_EVERY_MS);
}

/** Whether there is a token that does not end soon; of some tokens nobody knows when they end. */
function lastsLonger() {
  const credential = kept();
  return credential !== null && !(credential.expires && credential.expires - Date.now() < soon);
}
