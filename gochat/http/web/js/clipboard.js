// @ts-check
// Copying a text. Browsers have a clipboard for pages only where the page comes over TLS or from the same machine; elsewhere they
// still copy what is selected.

/** Rejects where the browser does not let the page. @param {string} text @returns {Promise<void>} */
export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const field = document.createElement("textarea");
  field.className = "sr";
  field.value = text;
  // Beside an open dialog nothing can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  if (!done) throw new Error("copy");
}
