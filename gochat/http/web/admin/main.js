// @ts-check
// The operator's page begins: the theme, who one is, and the view that the address names.
import { fromAddress } from "../js/credential.js";
import { html, render } from "../js/html.js";
import { language } from "../js/l10n.js";
import { showTheme } from "../js/storage.js";
import { keepTime } from "../js/time.js";
import { follow } from "./address.js";
import { App } from "./app.js";
import { begin, enter, tell } from "./signin.js";

showTheme();
keepTime();
document.documentElement.lang = language;
document.documentElement.dir = /^(ar|he|fa|ur)\b/.test(language) ? "rtl" : "ltr";

/** Signs in with what the address carries, or goes to the view that it names. */
function readAddress() {
  const given = fromAddress();
  if (given.ticket || given.token) enter(given).catch(tell);
  else follow();
}

addEventListener("hashchange", readAddress);
begin();
readAddress();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
