// What stands in front of a broker where it lacks a route: the pages and /v1/stats are answered here, all else
// goes on to the broker. Also a program: node stub.mjs BROKER_PORT [PORT] serves the console.

import { createServer, request as forward } from "node:http";
import { connect as connectSocket } from "node:net";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const TYPES = { js: "text/javascript", css: "text/css", html: "text/html", ts: "application/typescript" };
/** The broker's own policy for pages. */
const POLICY = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";
const PAGES = new URL("../../src/gateway/pages/", import.meta.url);
const FILES = {
  "/": new URL("console.html", PAGES),
  "/console.js": new URL("console.js", PAGES),
  "/console.css": new URL("console.css", PAGES),
  "/fanwire.js": new URL("fanwire.js", PAGES),
  "/fanwire.d.ts": new URL("fanwire.d.ts", PAGES),
};

/**
 * `broker` is {port}, which may change. `refuses` is a set of paths that are answered as a proxy would that lets no
 * such thing through. `stats` makes the answer of /v1/stats.
 */
export async function startStub({ broker, refuses = new Set(), stats = null, port = 0 }) {
  const seen = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://stub");
    seen.push(`${request.method} ${url.pathname}`);
    try {
      if (refuses.has(url.pathname)) return answer(response, 502, "text/plain", "a proxy's page");
      if (FILES[url.pathname]) return await answerFile(response, FILES[url.pathname]);
      if (url.pathname === "/v1/stats" && stats) return answer(response, 200, "application/json",
        JSON.stringify(stats()));
      return pass(broker, request, response);
    } catch (error) {
      if (!response.headersSent) answer(response, 502, "text/plain", String(error));
      return undefined;
    }
  });
  const sockets = new Set();
  server.on("connection", (socket) => sockets.add(socket.on("close", () => sockets.delete(socket))));
  server.on("upgrade", (request, socket, head) => {
    seen.push(`UPGRADE ${request.url}`);
    socket.on("error", () => {});
    if (refuses.has("upgrade")) return socket.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    const onward = connectSocket(broker.port, "127.0.0.1");
    onward.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    const fields = request.rawHeaders.map((text, index) => (index % 2 ? `${text}\r\n` : `${text}: `)).join("");
    onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${fields}\r\n`);
    onward.write(head);
    onward.pipe(socket).pipe(onward);
    return undefined;
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    async close() {
      // The server knows nothing any more of sockets that were upgraded.
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(response, status, type, body) {
  response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" });
  response.end(body);
}

async function answerFile(response, file) {
  const body = await readFile(file);
  const type = TYPES[file.pathname.split(".").pop()];
  response.writeHead(200, { "Content-Type": `${type}; charset=utf-8`, "Content-Security-Policy": POLICY });
  response.end(body);
}

function pass(broker, request, response) {
  const { method, url: path, headers } = request;
  const onward = forward({ host: "127.0.0.1", port: broker.port, method, path, headers }, (reply) => {
    response.writeHead(reply.statusCode, reply.headers);
    reply.pipe(response);
    reply.on("error", () => response.destroy());
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  request.pipe(onward);
}

/** Figures that move, for looking at the console where no broker gives any. */
export function sampleStats() {
  const startedAt = Date.now() - 4321000;
  return () => {
    const seconds = (Date.now() - startedAt) / 1000;
    const counts = (share) => Math.round(share * (seconds * 20000 + 9000 * Math.sin(seconds / 3)));
    const reactor = (index, share) => ({ index, connections: 180 + index, subscriptions: 420, messages_in: counts(share),
      deliveries: counts(share * 40), bytes_in: counts(share * 90), bytes_out: counts(share * 3600),
      queue_bytes: 65536 * (1 + index), turns: counts(share / 8), wakes: counts(share / 20),
      busy_us: Math.round(seconds * 1e6 * (0.31 + share / 4)) });
    const topic = (name, share, subscribers) => ({ topic: name, messages: counts(share),
      deliveries: counts(share * subscribers), subscribers });
    return {
      server_name: "fanwire/0.1.0", time_us: Date.now() * 1000, uptime_us: Math.round(seconds * 1e6), open: true,
      draining: false, connections: { native: 210, websocket: 12, websocket_json: 96, sse: 31, poll: 4, http: 9 },
      connections_max: 19847, accepted: counts(0.01), refused: 3, subscriptions: 840, requests_in_flight: 2,
      messages_in: counts(1), bytes_in: counts(90), deliveries: counts(40), bytes_out: counts(3600),
      dropped: counts(0.002), conflated: counts(0.3), closed_slow: 1, queue_bytes: 196608,
      queue_bytes_total_max: 268435456, reactors: [reactor(0, 0.6), reactor(1, 0.4)],
      top_topics: [topic("match/17/state", 0.5, 60), topic("match/18/state", 0.3, 30), topic("chat/lobby", 0.1, 9),
        topic("a/topic/with/a/rather/long/name/that/has/to/be/broken/somewhere", 0.05, 1)],
      journals: [
        { name: "events", filters: ["match/#", "orders/+/log"], store: "disk", state: "open", epoch: 1795400299626614,
          topics: 31, records: counts(0.8), bytes: counts(100), bytes_max: 10737418240, segments: 12,
          appended: counts(0.8), last_position: counts(0.8), durable_position: counts(0.8) - 40, sync_last_us: 1830,
          sync_max_us: 41200 },
        { name: "chat", filters: ["chat/#"], store: "memory", state: "open", epoch: 1, topics: 3, records: 9120,
          bytes: 1200000, bytes_max: 67108864, segments: 2, appended: 9120, last_position: 9120, durable_position: 0,
          sync_last_us: 0, sync_max_us: 0 },
      ],
    };
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [broker, port] = process.argv.slice(2).map(Number);
  const stats = process.argv.includes("--sample-stats") ? sampleStats() : null;
  const stub = await startStub({ broker: { port: broker }, port: port || 0, stats });
  console.log(stub.url);
}
