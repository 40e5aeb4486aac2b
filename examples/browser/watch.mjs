// Prints what comes on a filter, through restarts of the broker: the client for browsers, in Node.
//
//   node examples/browser/watch.mjs 'match/#'                         from now on
//   node examples/browser/watch.mjs match/17 first                    a journaled topic from its beginning
//   node examples/browser/watch.mjs match/17 '{"last":10}' http://127.0.0.1:7311 sse
//
// Node has a WebSocket of its own from version 22 on; before that it comes by event streams. FANWIRE_TOKEN is sent if
// it is set.

import { connect } from "../../src/gateway/pages/fanwire.js";

const [filter = "#", start = "live", url = "http://127.0.0.1:7311", transport = "auto"] = process.argv.slice(2);

const client = connect(url, { transport, token: process.env.FANWIRE_TOKEN, clientName: "watch example" });
client.on("open", (event) => console.error(`connected by ${event.transport}`));
client.on("reconnecting", ({ delayMs, error }) => {
  console.error(`no connection (${error?.message}); again in ${Math.round(delayMs)} ms`);
});
client.on("notice", (notice) => {
  if (["gap", "reset", "reconnected", "caught-up"].includes(notice.type)) console.error(JSON.stringify(notice));
});
process.once("SIGINT", () => client.close());

try {
  // What is slow here holds back no broker: a journaled topic pauses, a live one tells of its gaps.
  for await (const message of client.subscribe(filter, { start: start.startsWith("{") ? JSON.parse(start) : start })) {
    console.log(`${message.topic} ${message.sequence ?? "-"} ${message.text}`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
client.close();
