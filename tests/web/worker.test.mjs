// The service worker's answers: from the server, or as they were kept, but never both to one page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

const SOURCE = readFileSync(new URL("../../gochat/http/web/sw.js", import.meta.url), "utf8")
  .replace("const FILES = [];", 'const FILES = ["/", "/a.js", "/b.js"];');
const file = (version, status = 200) => new Response(version, { status, headers: { etag: version } });
/** A server from which nothing comes, and what the worker makes of that. */
const SILENT = () => new Promise(() => {});
const ABSENT = () => Promise.reject(new TypeError("no server"));

const turn = () => new Promise(setImmediate);

/** A worker that has kept version "one" of each file: asks it for a file, as a page, of a server that answers so. */
function worker() {
  const on = {};
  let server;
  vm.runInNewContext(SOURCE, {
    self: { addEventListener: (name, act) => { on[name] = act; } },
    location: { origin: "http://chat.example" }, URL, Request, Response,
    caches: { match: async () => file("one") },
    fetch: () => server(),
    setTimeout: (act, _, value) => setImmediate(act, value),
  });
  return (page, path, answer) => {
    server = answer;
    let given;
    on.fetch({
      request: { method: "GET", url: `http://chat.example${path}` }, clientId: page, resultingClientId: "",
      respondWith: (response) => { given = response; },
    });
    return given.then((response) => response.text());
  };
}

test("a server that is down, in its own words or a proxy's, gives way to what was kept", async () => {
  const ask = worker();
  assert.equal(await ask("p1", "/", ABSENT), "one");
  assert.equal(await ask("p2", "/", SILENT), "one");
  for (const status of [502, 503, 504]) assert.equal(await ask(`p${status}`, "/", async () => file("down", status)), "one");
  assert.equal(await ask("p3", "/", async () => file("no", 404)), "no");
});

test("a page that got a kept file gets no newer one", async () => {
  const ask = worker();
  let give;
  const late = ask("p", "/b.js", () => new Promise((resolve) => { give = resolve; }));
  await turn();
  assert.equal(await ask("p", "/a.js", ABSENT), "one");
  give(file("two"));
  assert.equal(await late, "one");
  assert.equal(await ask("p", "/a.js", async () => file("two")), "one");
  assert.equal(await ask("another", "/a.js", async () => file("two")), "two");
});

test("a page that got a newer file waits for the others", async () => {
  const ask = worker();
  assert.equal(await ask("p", "/", async () => file("two")), "two");
  let give;
  const late = ask("p", "/a.js", () => new Promise((resolve) => { give = resolve; }));
  for (let turns = 0; turns < 5; turns++) await turn();
  give(file("two"));
  assert.equal(await late, "two");
  await assert.rejects(ask("p", "/b.js", ABSENT));
});

/** A worker whose origin has these windows open; tells what a click on a notice of a room makes of them. */
async function clicked(...paths) {
  const on = {}, done = [];
  const windows = paths.map((path) => ({
    url: `http://chat.example${path}`, postMessage: ({ room }) => done.push(`${path} shows ${room}`), focus: async () => done.push(`focus ${path}`),
  }));
  const clients = { matchAll: async () => windows, openWindow: async (path) => done.push(`open ${path}`) };
  vm.runInNewContext(SOURCE, { self: { addEventListener: (name, act) => { on[name] = act; }, clients }, location: { origin: "" }, URL });
  let shown;
  on.notificationclick({ notification: { close() {}, data: { room: "group:tea" } }, waitUntil: (promise) => { shown = promise; } });
  await shown;
  return done;
}

test("a notice opens in the page of the chat, and in no other window", async () => {
  assert.deepEqual(await clicked("/docs/howto/page", "/#room=group:old", "/"), ["/#room=group:old shows group:tea", "focus /#room=group:old"]);
  assert.deepEqual(await clicked("/admin", "/docs"), ["open /#room=group%3Atea"]);
  assert.deepEqual(await clicked(), ["open /#room=group%3Atea"]);
});
