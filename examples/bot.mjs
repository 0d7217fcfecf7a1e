// A bot for Node 22 (Node 20 with --experimental-websocket) in 15 lines: it answers "!echo ..." wherever it may read it.
// It uses the module of the page, three files that need nothing else; GOCHAT_URL and GOCHAT_TOKEN say where and who.
import { Client, Refused } from "../gochat/http/web/js/client.js";

const client = new Client({
  url: process.env.GOCHAT_URL,
  token: () => process.env.GOCHAT_TOKEN,
  name: "echo",
  onFact: ({ type, room, seq, from, body }) => {
    if (type !== "message" || from === client.welcome.user || !body?.startsWith("!echo ")) return;
    client.send(room, body.slice(6), { replyTo: seq }).catch((error) => {
      if (!(error instanceof Refused)) throw error;
      console.error(`${room}: ${error.message}`);
    });
  },
  onState: (state, { why } = {}) => console.error(state, why ?? ""),
}).start();
