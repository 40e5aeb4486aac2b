// The console: what the broker counts, and a client for trying things. It uses fanwire.js as anybody would.
//
// GET /v1/stats, asked each second, answers one object. Numbers are whole. A *count* only grows while the broker runs,
// and its rate is made here of two answers; everything else is how it is *now*. A field that is missing is shown as a
// dash, and the fields of one row must be of the same moment.
//
// | field | kind | what |
// |---|---|---|
// | server_name, open, draining | now | as in WELCOME |
// | time_us, uptime_us | now | the wall clock; since the start |
// | connections | now | object: native, websocket, websocket_json, sse, poll, http, opening: how many speak what |
// | connections_max, subscriptions, requests_in_flight | now | |
// | accepted, refused | count | connections |
// | messages_in, bytes_in | count | publishes taken, payload bytes of them |
// | deliveries, bytes_out | count | messages put into out-queues; bytes written to sockets |
// | dropped, conflated, closed_slow | count | messages that policies dropped or replaced; connections closed for it |
// | queue_bytes, queue_bytes_total_max | now | bytes that wait for all connections, and their bound |
// | reactors | now | array of the reactors: |
// | - index, connections, subscriptions, queue_bytes | now | |
// | - messages_in, deliveries, bytes_in, bytes_out, turns, wakes | count | |
// | - busy_us | count | time that it did not wait for events |
// | top_topics | now | array of at most 20, the busiest lately first: |
// | - topic, subscribers | now | |
// | - messages, deliveries | count | since it came into the table; it may fall when a topic leaves and comes back |
// | journals | now | array: |
// | - name, filters, store (disk, memory), state (open, full, unavailable, failed), epoch | now | |
// | - topics, records, bytes, segments; bytes_max (missing: no bound) | now | |
// | - last_position, durable_position | now | the difference is not synced |
// | - appended | count | records |
// | - sync_last_us, sync_max_us | now | how long the last sync took, and the longest |

import { connect } from "./fanwire.js";

const MESSAGES_SHOWN_MAX = 200;
const STATS_PERIOD_MS = 1000;
/** How long what was refused is not asked for again. */
const REFUSED_PERIOD_MS = 5000;
const SAMPLES = 60;
/** Lines that wait to be drawn at the most; it is the oldest that nobody sees. */
const PENDING_MAX = 500;

const element = (id) => document.getElementById(id);
let client = null;
let watching = null;

// -------------------------------------------------------------------------------------------------------------- link

function begin() {
  const wasWatching = watching && !watching.closed;
  client?.close();
  client = connect(undefined, {
    transport: element("transport").value,
    token: element("token").value,
    clientName: "fanwire console",
    reconnect: { maxMs: 3000 },
  });
  showLink("connecting", "connecting");
  const current = client;
  client.on("open", ({ transport, welcome }) => {
    showLink("open", `connected by ${nameOf(transport)}`);
    if (welcome) element("server").textContent = welcome.server_name;
  });
  client.on("reconnecting", ({ delayMs, error }) => {
    showLink("", `no link: ${error?.code ?? "lost"}; next try in ${(delayMs / 1000).toFixed(1)} s`);
  });
  client.on("goaway", ({ text }) => showLink("", `the broker goes down: ${text || "it will be back"}`));
  client.on("close", ({ error }) => {
    if (client !== current) return;
    showLink("closed", `ended: ${error?.message ?? "closed"}`);
    if (error?.code === "BAD_CREDENTIALS") element("access").open = true;
  });
  if (wasWatching) watch();
}

function nameOf(transport) {
  return { websocket: "WebSocket", sse: "event streams", poll: "long-polling" }[transport];
}

function showLink(state, text) {
  element("link").querySelector(".dot").className = `dot ${state}`;
  element("link-text").textContent = text;
}

// ------------------------------------------------------------------------------------------------------------- stats

let before = null;
const series = new Map();

async function askStats() {
  let delayMs = STATS_PERIOD_MS;
  if (!document.hidden) {
    try {
      showStats(await fetchStats());
    } catch (error) {
      hideStats(error.message);
      delayMs = REFUSED_PERIOD_MS;
    }
  }
  setTimeout(askStats, delayMs);
}

async function fetchStats() {
  const token = element("token").value;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch("v1/stats", { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
  } catch {
    throw new Error("the broker can't be reached");
  }
  if (answer.status === 404) throw new Error("this broker does not serve /v1/stats");
  if (answer.status === 401) throw new Error("they need a token");
  if (answer.status === 403) throw new Error("this broker shows them to its own machine only");
  if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
  return answer.json();
}

function hideStats(why) {
  before = null;
  element("stats").hidden = true;
  element("stats-missing").hidden = false;
  const text = `Figures are not available: ${why}.`;
  if (element("stats-missing").textContent !== text) element("stats-missing").textContent = text;
}

function showStats(now) {
  element("stats-missing").hidden = true;
  element("stats").hidden = false;
  if (now.server_name) element("server").textContent = now.server_name;
  // A broker that was restarted counts from 0 again: two answers of different runs have no rate.
  if (before && !(now.uptime_us > before.uptime_us)) before = null;
  const seconds = before ? (now.uptime_us - before.uptime_us) / 1e6 : 0;
  const rate = (field, row = now, old = before) => rateOf(row, old, field, seconds);
  showTiles(now, rate);
  showConnections(now.connections ?? {});
  fill("topics", (now.top_topics ?? []).map((row) => {
    const old = before?.top_topics?.find(({ topic }) => topic === row.topic);
    return [name(row.topic), number(rate("messages", row, old)), number(rate("deliveries", row, old)),
      number(row.subscribers)];
  }), "No topic is busy.");
  fill("reactors", (now.reactors ?? []).map((row) => {
    const old = before?.reactors?.find(({ index }) => index === row.index);
    const of = (field) => number(rate(field, row, old));
    const busy = rate("busy_us", row, old);
    return [String(row.index), busy === null ? "-" : `${Math.min(100, busy / 1e4).toFixed(0)} %`,
      number(row.connections), number(row.subscriptions), of("messages_in"), of("deliveries"), bytes(row.queue_bytes),
      of("turns")];
  }), "No reactors are told.");
  fill("journals", (now.journals ?? []).map((row) => {
    const old = before?.journals?.find((known) => known.name === row.name);
    const unsynced = row.store === "disk" ? number(row.last_position - row.durable_position) : "-";
    const size = row.bytes_max ? `${bytes(row.bytes)} of ${bytes(row.bytes_max)}` : bytes(row.bytes);
    return [name(row.name), { text: `${row.store}, ${row.state}`, kind: row.state === "open" ? "good" : "bad" },
      name((row.filters ?? []).join(", ")), number(rate("appended", row, old)), number(row.records), size,
      number(row.topics), unsynced, row.store === "disk" ? duration(row.sync_last_us) : "-"];
  }), "This broker keeps no journals.");
  before = now;
}

function rateOf(row, old, field, seconds) {
  if (!old || !seconds || row[field] === undefined || old[field] === undefined) return null;
  return Math.max(0, row[field] - old[field]) / seconds;
}

function showTiles(now, rate) {
  const connections = Object.values(now.connections ?? {}).reduce((sum, count) => sum + count, 0);
  const each = (value) => (value === null ? "-" : `${bytes(value)}/s`);
  const lost = sumOf(rate("dropped"), rate("conflated"));
  const tiles = [
    ["Published /s", number(rate("messages_in")), rate("messages_in")],
    ["Delivered /s", number(rate("deliveries")), rate("deliveries")],
    ["Written", each(rate("bytes_out")), rate("bytes_out")],
    ["Connections", number(connections), connections],
    ["Subscriptions", number(now.subscriptions)],
    ["Queued", `${bytes(now.queue_bytes)}`],
    ["Dropped, conflated /s", number(lost)],
    ["Up for", duration(now.uptime_us)],
  ];
  if (now.draining) tiles.push(["State", "draining"]);
  const list = element("tiles");
  list.replaceChildren(...tiles.map(([title, text, sample]) => {
    const box = document.createElement("div");
    box.append(make("dt", title), make("dd", text));
    if (sample !== undefined) box.append(sparkline(title, sample));
    return box;
  }));
}

function sumOf(...values) {
  return values.some((value) => value === null) ? null : values.reduce((sum, value) => sum + value, 0);
}

/** The last minute as a line; the figure above it says the rest. */
function sparkline(title, sample) {
  if (!series.has(title)) series.set(title, []);
  const samples = series.get(title);
  if (sample !== null) samples.push(sample);
  if (samples.length > SAMPLES) samples.shift();
  const top = Math.max(1, ...samples);
  const points = samples.map((value, index) => `${index + SAMPLES - samples.length},${26 - (value / top) * 24}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${SAMPLES - 1} 28`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}

function showConnections(connections) {
  const names = { native: "native", websocket: "WebSocket", websocket_json: "WebSocket, JSON", sse: "event streams",
    poll: "long-polling", http: "other HTTP", mqtt: "MQTT", opening: "silent yet" };
  const rows = Object.entries(connections).map(([kind, count]) => [names[kind] ?? kind, number(count)]);
  fill("connections", rows, "None are told.");
}

function fill(id, rows, empty) {
  const table = element(id);
  const columns = [...table.tHead.rows[0].cells];
  const body = rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((cell, index) => {
      const made = make("td", cell.text ?? cell);
      made.className = [cell.kind, columns[index].className].filter(Boolean).join(" ");
      // What stands before a value where there is no room for columns.
      made.dataset.title = columns[index].textContent;
      row.append(made);
    });
    return row;
  });
  if (body.length === 0) {
    const cell = make("td", empty);
    cell.colSpan = columns.length;
    body.push(document.createElement("tr"));
    body[0].append(cell);
  }
  table.tBodies[0].replaceChildren(...body);
}

// ------------------------------------------------------------------------------------------------------------- watch

let pending = [];
let seen = 0;
let skipped = 0;
let isDrawing = false;

function watch() {
  watching?.unsubscribe();
  const filter = element("filter").value;
  const wanted = element("start").value;
  const start = wanted === "last" ? { last: 100 } : wanted;
  seen = 0;
  skipped = 0;
  const current = client.subscribe(filter, { start }, (message) => {
    seen += 1;
    log([{ text: timeOf(message), kind: "i" }, { text: message.topic, kind: "b" }, ...numbersOf(message),
      { text: shown(message) }]);
  });
  watching = current;
  element("stop").disabled = false;
  current.ready.then(showWatch, (error) => {
    if (watching !== current || error.code === "CLOSED") return;
    element("stop").disabled = true;
    element("watch-state").textContent = `Refused: ${error.message}`;
  });
  current.on("gap", ({ dropped, conflated }) => note(`gap: ${dropped} dropped, ${conflated} conflated`));
  current.on("reset", ({ reason }) => note(`reset (${reason}): it starts over`));
  current.on("reconnected", ({ missing }) => note(missing ? "back again; messages may be missing"
    : "back again; nothing is missing"));
  current.on("caught-up", () => note("caught up: what follows is new"));
  element("watch-state").textContent = `Subscribing to ${filter}`;
}

function stop() {
  watching?.unsubscribe();
  watching = null;
  element("stop").disabled = true;
  element("watch-state").textContent = `Stopped after ${seen} messages.`;
}

function showWatch() {
  if (!watching || watching.closed) return;
  const more = skipped > 0 ? `, ${number(skipped)} too many to be shown` : "";
  element("watch-state").textContent = `Watching ${watching.filter}: ${number(seen)} ${seen === 1 ? "message" : "messages"}${more}.`;
}

function numbersOf({ sequence }) {
  return sequence === undefined ? [] : [{ text: `#${sequence}`, kind: "i" }];
}

/** By the reader's clock. */
function timeOf({ timeUs }) {
  const time = new Date(timeUs ? timeUs / 1000 : Date.now());
  return `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

/** A payload as text, or as bytes in hexadecimal; a long one is cut. */
function shown(message) {
  const most = 2000;
  const text = message.isText ? message.text
    : `${message.bytes.length} bytes: ${[...message.bytes.slice(0, most / 3)].map((byte) => byte.toString(16)
      .padStart(2, "0")).join(" ")}`;
  return text.length > most ? `${text.slice(0, most)}... (${text.length} characters)` : text;
}

function note(text) {
  log([{ text, kind: "i" }]);
}

/** Messages are drawn once a frame, the newest of them: a page can't show more than its reader sees. */
function log(pieces) {
  if (pending.length >= PENDING_MAX) {
    pending.shift();
    skipped += 1;
  }
  pending.push(pieces);
  if (isDrawing) return;
  isDrawing = true;
  setTimeout(draw, 50);
}

function draw() {
  isDrawing = false;
  const lines = pending.slice(-MESSAGES_SHOWN_MAX).reverse().map((pieces) => {
    const line = document.createElement("li");
    for (const { text, kind } of pieces) line.append(kind ? make(kind, text) : text, " ");
    return line;
  });
  pending = [];
  const list = element("messages");
  list.prepend(...lines);
  while (list.childElementCount > MESSAGES_SHOWN_MAX) list.lastElementChild.remove();
  showWatch();
}

// ----------------------------------------------------------------------------------------------- publish and request

async function publish() {
  const expect = element("expect").value;
  const options = { ack: element("ack").value, ...(expect && { expect: Number(expect) }) };
  const receipt = await client.publish(element("publish-topic").value, element("publish-payload").value, options);
  const parts = [receipt.level === "none" ? "sent" : receipt.level];
  if (receipt.sequence !== undefined) parts.push(`sequence ${receipt.sequence}`);
  if (receipt.duplicate) parts.push("a duplicate");
  return parts.join(", ");
}

async function request() {
  const begun = performance.now();
  const timeout = Number(element("deadline").value);
  const reply = await client.request(element("request-topic").value, element("request-payload").value, { timeout });
  return `${(performance.now() - begun).toFixed(1)} ms: ${shown(reply)}`;
}

/** Runs the action of a form, and shows what came of it below. */
function handle(form, action, output) {
  element(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const shownAt = element(output);
    shownAt.className = "result";
    shownAt.textContent = "waiting ...";
    try {
      shownAt.textContent = await action();
      shownAt.classList.add("good");
    } catch (error) {
      const actual = error.actual === undefined ? "" : ` (the last sequence is ${error.actual})`;
      shownAt.textContent = error.message + actual;
      shownAt.classList.add("bad");
    }
  });
}

// ------------------------------------------------------------------------------------------------------------- words

function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function name(text) {
  return { text, kind: "name" };
}

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  return Math.round(value).toLocaleString("en-GB").replaceAll(",", "\u202f");
}

function bytes(value) {
  if (value === null || value === undefined) return "-";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function duration(timeUs) {
  if (timeUs === undefined) return "-";
  if (timeUs < 1000) return `${timeUs} us`;
  if (timeUs < 1e6) return `${(timeUs / 1000).toFixed(1)} ms`;
  const seconds = Math.floor(timeUs / 1e6);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

element("watch-form").addEventListener("submit", (event) => {
  event.preventDefault();
  watch();
});
element("stop").addEventListener("click", stop);
element("clear").addEventListener("click", () => element("messages").replaceChildren());
element("transport").addEventListener("change", begin);
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
handle("publish-form", publish, "publish-result");
handle("request-form", request, "request-result");
begin();
askStats();
