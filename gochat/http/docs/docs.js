// @ts-check
// The documentation in the browser: the theme, the search, and a button that copies a block of code. Pages are whole without it.
import { find, pieces } from "./search.js";

try {
  const theme = localStorage.getItem("gochat.theme"); // The one chosen on the page that people chat in.
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // The browser keeps nothing for this site: the system's theme.
}

// The description of REST and the sockets stood at this address, and links to its parts are still about.
if (location.pathname === "/docs" && /^#(rest|sockets|client|server|errors|closes)(\.|$)/.test(location.hash)) {
  location.replace(`/docs/api${location.hash}`);
}

const field = /** @type {HTMLInputElement} */ (document.getElementById("find"));
const results = /** @type {HTMLElement} */ (document.getElementById("found"));
const status = /** @type {HTMLElement} */ (results.querySelector("p"));
const list = /** @type {HTMLElement} */ (results.querySelector("ol"));

/** @type {Promise<import("./search.js").Section[]> | null} */
let index = null;
/** The index is fetched once, when somebody is about to search. */
function read() {
  index ??= fetch("/docs/search.json").then((answer) => {
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  });
  index.catch(() => { index = null; });
  return index;
}

async function show() {
  const query = field.value.trim();
  if (!query) {
    results.hidden = true;
    return;
  }
  results.hidden = false;
  try {
    const found = find(await read(), query);
    if (query !== field.value.trim()) return; // A later one is under way.
    status.textContent = found.length ? `${found.length} found` : "Nothing found";
    list.replaceChildren(...found.map((each) => entry(each, query)));
  } catch {
    status.textContent = "The search needs a connection to the server.";
    list.replaceChildren();
  }
}

/** @param {import("./search.js").Found} found @param {string} query */
function entry({ address, title, heading, shown }, query) {
  const link = document.createElement("a");
  link.href = address;
  const head = document.createElement("b");
  head.append(...marked(heading === title ? title : `${title} · ${heading}`, query));
  link.append(head, ...marked(shown, query));
  const item = document.createElement("li");
  item.append(link);
  return item;
}

/** @param {string} text @param {string} query */
const marked = (text, query) => pieces(text, query).map((piece, at) => {
  if (at % 2 === 0) return piece;
  const mark = document.createElement("mark");
  mark.textContent = piece;
  return mark;
});

function close() {
  field.value = "";
  results.hidden = true;
}

/** The arrow keys go through the field and the results. @param {number} by */
function move(by) {
  const stops = [field, ...list.querySelectorAll("a")];
  const at = stops.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
  stops[Math.min(Math.max(at + by, 0), stops.length - 1)].focus();
}

field.hidden = false;
field.addEventListener("focus", () => read().catch(() => {}), { once: true });
field.addEventListener("input", show);
addEventListener("keydown", (event) => {
  const searching = document.activeElement === field || results.contains(document.activeElement);
  if (event.key === "/" && !searching && !event.ctrlKey && !event.metaKey) field.focus();
  else if (event.key === "Escape" && !results.hidden) {
    close();
    field.focus();
  } else if (event.key === "ArrowDown" && searching) move(1);
  else if (event.key === "ArrowUp" && searching) move(-1);
  else if (event.key === "Enter" && document.activeElement === field) list.querySelector("a")?.click();
  else return;
  event.preventDefault();
});
addEventListener("click", ({ target }) => {
  if (!(target instanceof Element)) return;
  if (target.closest("#found a")) close();
  else if (!target.closest("#found, search")) results.hidden = true;
});

// Browsers let pages write to the clipboard only where they come over TLS or from this machine.
if (navigator.clipboard) {
  for (const block of document.querySelectorAll(".code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code")?.textContent ?? "");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1_500);
    });
    block.append(button);
  }
}
