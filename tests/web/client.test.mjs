// The browser's client against a broker, over each way there is. Node has a WebSocket of its own from version 22 on,
// before that with --experimental-websocket.

import { after, test as run } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect, FanwireError } from "../../src/gateway/pages/fanwire.js";
import { startBroker } from "./broker.mjs";
import { startStub } from "./stub.mjs";

if (!globalThis.WebSocket) throw new Error("there is no WebSocket: Node 22, or node --experimental-websocket");

const FAST = { reconnect: { minMs: 20, maxMs: 200 } };
const WAYS = ["websocket", "sse", "poll"];

const broker = await startBroker();
const stub = await startStub({ broker });
after(async () => {
  await stub.close();
  await broker.close();
});

/** A client that is closed behind the test. */
function client(context, options = {}) {
  const made = connect(options.url ?? stub.url, { ...FAST, ...options });
  context.after(() => made.close());
  return made;
}

function event(emitter, name, isIt = () => true) {
  return new Promise((resolve) => {
    const stop = emitter.on(name, (detail) => {
      if (!isIt(detail)) return;
      stop();
      resolve(detail);
    });
  });
}

async function take(subscription, count) {
  const taken = [];
  for await (const message of subscription) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}

/** A test that ends, if not well. */
const test = (name, check) => run(name, { timeout: 60000 }, check);

const codeOf = (code) => (error) => {
  assert.ok(error instanceof FanwireError, String(error));
  assert.equal(error.code, code);
  return true;
};

let topics = 0;
const journaled = () => `match/${process.pid}/${topics++}`;
const live = () => `live/${process.pid}/${topics++}`;

for (const transport of WAYS) {
  test(`${transport}: what is published is heard`, async (context) => {
    const one = client(context, { transport });
    await one.ready;
    assert.equal(one.transport, transport);
    const topic = journaled();
    const subscription = one.subscribe(topic, { start: "first" });
    await subscription.ready;
    const receipt = await one.publish(topic, "h\u00e9llo\n\"world\"", { ack: "journaled" });
    assert.deepEqual(receipt, { level: "journaled", sequence: 1 });
    assert.deepEqual(await one.publish(topic, new Uint8Array([0, 1, 254, 255])), { level: "routed", sequence: 2 });
    const [text, bytes] = await take(subscription, 2);
    assert.equal(text.text, "h\u00e9llo\n\"world\"");
    assert.equal(text.sequence, 1);
    assert.equal(text.topic, topic);
    assert.deepEqual([...bytes.bytes], [0, 1, 254, 255]);
    assert.equal(bytes.isText, false);
  });

  test(`${transport}: a broker that was killed underneath leaves no gap and no duplicate`, async (context) => {
    const one = client(context, { transport });
    const writer = client(context, { url: broker.url, transport: "websocket" });
    const topic = journaled();
    const heard = [];
    const subscription = one.subscribe(topic, { start: "first" }, (message) => heard.push(Number(message.text)));
    await subscription.ready;
    const publish = async (from, to) => {
      for (let number = from; number < to; number += 1) await writer.publish(topic, String(number), { ack: "journaled" });
    };
    await publish(0, 20);
    await until(() => heard.length === 20);
    const reconnected = event(subscription, "reconnected");
    await broker.stop("SIGKILL");
    await broker.start();
    await publish(20, 40);
    assert.equal((await reconnected).missing, false);
    await until(() => heard.length >= 40);
    assert.deepEqual(heard, Array.from({ length: 40 }, (_, index) => index));
  });

  test(`${transport}: a request is answered, or ends in time`, async (context) => {
    const server = client(context, { transport: "websocket" });
    const one = client(context, { transport });
    const topic = live();
    await assert.rejects(one.request(topic, "?"), codeOf("NO_RESPONDERS"));
    const responder = server.respond(topic, "servers", (call) => (call.text === "never" ? new Promise(() => {})
      : { echo: call.text }));
    await responder.ready;
    assert.deepEqual((await one.request(topic, "hello")).json(), { echo: "hello" });
    await assert.rejects(one.request(topic, "never", { timeout: 150 }), codeOf("DEADLINE_EXCEEDED"));
  });

  test(`${transport}: acks say what they mean`, async (context) => {
    const one = client(context, { transport });
    const [topic, passing] = [journaled(), live()];
    assert.deepEqual(await one.publish(passing, "x", { ack: "none" }), { level: "none" });
    assert.deepEqual(await one.publish(passing, "x"), { level: "routed" });
    await assert.rejects(one.publish(passing, "x", { ack: "durable" }), codeOf("ACK_LEVEL_UNAVAILABLE"));
    assert.equal((await one.publish(topic, "x", { ack: "durable", expect: 0 })).sequence, 1);
    const conflict = await one.publish(topic, "x", { expect: 7 }).catch((error) => error);
    assert.equal(conflict.code, "CONFLICT");
    assert.equal(conflict.actual, 1);
    const producer = { id: 4711 + process.pid * WAYS.length + WAYS.indexOf(transport), sequence: 1 };
    assert.equal((await one.publish(topic, "y", { producer })).duplicate, undefined);
    assert.deepEqual(await one.publish(topic, "y", { producer }), { level: "routed", sequence: 2, duplicate: true });
    await assert.rejects(one.publish("a/+", "x"), codeOf("INVALID_TOPIC"));
  });

  test(`${transport}: a slow reader of a journaled topic pauses it and misses nothing`, async (context) => {
    const one = client(context, { transport });
    const topic = journaled();
    const subscription = one.subscribe(topic, { start: "first", buffer: 8 });
    await subscription.ready;
    const paused = event(subscription, "paused");
    for (let number = 0; number < 100; number += 1) await one.publish(topic, String(number));
    await paused;
    assert.ok(subscription.buffered <= 8, `${subscription.buffered} are buffered`);
    const heard = [];
    for await (const message of subscription) {
      assert.ok(subscription.buffered <= 8, `${subscription.buffered} are buffered`);
      heard.push(Number(message.text));
      if (heard.length === 100) break;
    }
    assert.deepEqual(heard, Array.from({ length: 100 }, (_, index) => index));
    assert.ok(subscription.closed);
  });

  test(`${transport}: a wildcard goes on by its position`, async (context) => {
    const one = client(context, { transport });
    const base = journaled();
    const first = one.subscribe(`${base}/+`, { start: { last: 1 } });
    await first.ready;
    for (const name of ["a", "b", "a"]) await one.publish(`${base}/${name}`, name);
    const heard = await take(first, 2);
    assert.deepEqual(heard.map(({ text }) => text), ["a", "b"]);
    const second = one.subscribe(`${base}/+`, { start: { resume: first.place } });
    assert.deepEqual((await take(second, 1)).map(({ topic, sequence }) => [topic, sequence]), [[`${base}/a`, 2]]);
  });
}

test("auto: the WebSocket comes first, then streams, then polls", async (context) => {
  for (const [refused, expected] of [
    [[], "websocket"],
    [["upgrade"], "sse"],
    [["upgrade", "/v1/sse"], "poll"],
  ]) {
    const proxy = await startStub({ broker, refuses: new Set(refused) });
    context.after(() => proxy.close());
    const one = client(context, { url: proxy.url });
    await one.ready;
    assert.equal(one.transport, expected);
    assert.deepEqual(await one.publish(live(), "x"), { level: "routed" });
  }
});

test("a forced way is the only one that is tried", async (context) => {
  const proxy = await startStub({ broker, refuses: new Set(["upgrade"]) });
  context.after(() => proxy.close());
  const one = client(context, { url: proxy.url, transport: "websocket" });
  await event(one, "reconnecting", ({ attempt }) => attempt === 2);
  assert.equal(one.transport, null);
  assert.ok(proxy.seen.every((what) => what.startsWith("UPGRADE")), proxy.seen.join());
  assert.throws(() => connect(stub.url, { transport: "pigeon" }), TypeError);
});

test("no way but WebSocket gives what it can't", async (context) => {
  const one = client(context, { transport: "sse" });
  await assert.rejects(one.respond("a", "g", () => "").ready, codeOf("TRANSPORT_UNAVAILABLE"));
  await assert.rejects(one.subscribe("a", { noEcho: true }).ready, codeOf("TRANSPORT_UNAVAILABLE"));
  await assert.rejects(one.publish("a", "x", { headers: { a: "b" } }), codeOf("TRANSPORT_UNAVAILABLE"));
});

test("a publish without an answer when the link breaks is UNKNOWN, and is not sent again", async (context) => {
  // A WebSocket that says what it sent, and drops the link in place of sending a publish.
  const sent = [];
  let isCut = true;
  class Cut extends globalThis.WebSocket {
    send(text) {
      sent.push(JSON.parse(text));
      if (isCut && sent.at(-1).type === "publish") return this.close();
      return super.send(text);
    }
  }
  const one = client(context, { WebSocket: Cut });
  await one.ready;
  await assert.rejects(one.publish(live(), "once"), codeOf("UNKNOWN"));
  isCut = false;
  assert.deepEqual(await one.publish(live(), "twice"), { level: "routed" });
  assert.deepEqual(sent.filter(({ type }) => type === "publish").map(({ payload }) => payload), ["once", "twice"]);
});

test("a publish before there is a link waits for it, and ends as NOT_SENT without one", async (context) => {
  const early = client(context);
  assert.deepEqual(await early.publish(live(), "x"), { level: "routed" });
  const nowhere = client(context, { url: "http://127.0.0.1:9" });
  await assert.rejects(nowhere.publish("a", "x", { timeout: 100 }), codeOf("NOT_SENT"));
  const waiting = nowhere.publish("a", "x");
  nowhere.close();
  await assert.rejects(waiting, codeOf("CLOSED"));
  await assert.rejects(nowhere.ready, codeOf("CLOSED"));
});

test("a slow reader of live messages loses the oldest, and is told how many", async (context) => {
  const one = client(context, { transport: "websocket" });
  const topic = live();
  const oldest = one.subscribe(topic, { buffer: 4 });
  const newest = one.subscribe(topic, { buffer: 4, overflow: "drop-newest" });
  const strict = one.subscribe(topic, { buffer: 4, overflow: "close" });
  const last = one.subscribe(topic, () => {});
  await last.ready;
  for (let number = 0; number < 10; number += 1) await one.publish(topic, String(number));
  await until(() => strict.closed);
  const gaps = [];
  oldest.on("gap", (gap) => gaps.push(gap));
  assert.deepEqual((await take(oldest, 4)).map(({ text }) => text), ["6", "7", "8", "9"]);
  assert.deepEqual((await take(newest, 4)).map(({ text }) => text), ["0", "1", "2", "3"]);
  assert.deepEqual(gaps, [{ type: "gap", dropped: 6, conflated: 0, by: "client" }]);
  await assert.rejects(take(strict, 5), codeOf("SLOW_CONSUMER"));
  await assert.rejects(one.subscribe(topic, { overflow: "pause" }).ready.then(() => event(one, "never")),
    codeOf("POLICY_UNAVAILABLE"));
});

test("a slow member pauses, and its group hands the work to others", async (context) => {
  const one = client(context, { transport: "websocket" });
  const two = client(context, { transport: "websocket" });
  const topic = live();
  const slow = one.subscribe(topic, { group: "workers", buffer: 4 });
  const others = [];
  const quick = two.subscribe(topic, { group: "workers" }, ({ text }) => others.push(text));
  await Promise.all([slow.ready, quick.ready]);
  for (let number = 0; number < 40; number += 1) await two.publish(topic, String(number));
  await until(() => others.length + slow.buffered === 40);
  const kept = await take(slow, slow.buffered);
  assert.deepEqual([...others, ...kept.map(({ text }) => text)].map(Number).sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, index) => index));
});

test("what a group had handed to a member when it paused is kept", async (context) => {
  const socket = scripted();
  const one = client(context, { WebSocket: socket.WebSocket });
  const member = one.subscribe("jobs", { group: "workers", buffer: 2 });
  await until(() => socket.wishes.length === 1);
  const jobs = [0, 1, 2, 3].map((job) => ({ type: "group", subscription: 1, topic: "jobs", payload: String(job) }));
  socket.say({ type: "subscribed", subscription: 1, outcome: "live" }, ...jobs, { type: "unsubscribed", subscription: 1 });
  assert.deepEqual((await take(member, 4)).map(({ text }) => text), ["0", "1", "2", "3"]);
  assert.equal(socket.wishes.length, 2);
});

test("overlapping subscriptions get each message once each", async (context) => {
  const one = client(context, { transport: "websocket" });
  const topic = live();
  const heard = [];
  for (const filter of [topic, `${topic}/#`, "live/#", "+/#", "#", "$other/#"]) {
    await one.subscribe(filter, () => heard.push(filter)).ready;
  }
  await one.publish(topic, "x");
  await one.publish(topic, "last", { headers: { lang: "en" } });
  assert.deepEqual(heard.slice(0, 5).sort(), [topic, `${topic}/#`, "live/#", "+/#", "#"].sort());
  await until(() => heard.length === 10);
});

test("what is refused ends the subscription with its code", async (context) => {
  for (const transport of WAYS) {
    const one = client(context, { transport });
    const subscription = one.subscribe("a/#/b");
    await assert.rejects(subscription.ready, codeOf("INVALID_FILTER"));
    await assert.rejects(take(subscription, 1), codeOf("INVALID_FILTER"));
    await assert.rejects(one.subscribe("b", { start: "first" }).ready, codeOf("START_UNAVAILABLE"));
    assert.deepEqual(await one.publish(live(), "x"), { level: "routed" });
  }
});

test("a record that comes twice is handed over once, and a reset starts over", async (context) => {
  const socket = scripted();
  const one = client(context, { WebSocket: socket.WebSocket });
  const heard = [];
  const notices = [];
  const subscription = one.subscribe("match/1", { start: "first" }, ({ sequence }) => heard.push(sequence));
  for (const name of ["reset", "reconnected"]) subscription.on(name, (notice) => notices.push(notice));
  await until(() => socket.wishes.length === 1);
  assert.equal(socket.wishes[0].start, "first");
  const history = (number, sequence) => ({ type: "history", subscription: number, topic: "match/1", sequence,
    position: sequence + 100, payload: "" });
  const message = (sequence) => ({ ...history(0, sequence), type: "message" });
  socket.say({ type: "subscribed", subscription: 1, outcome: "history", epoch: 3 }, history(1, 1), message(9),
    history(1, 2), { type: "caught_up", subscription: 1, position: 102 }, message(2), message(3), message(3));
  assert.deepEqual(heard, [1, 2, 3]);
  socket.cut();
  await until(() => socket.wishes.length === 2);
  assert.deepEqual(socket.wishes[1].start, { resume: { epoch: 3, sequence: 3 } });
  assert.equal(socket.wishes[1].policy, "catch-up");
  socket.say({ type: "subscribed", subscription: 1, outcome: "resumed", epoch: 3 }, history(1, 3), history(1, 4),
    { type: "caught_up", subscription: 1, position: 104 });
  assert.deepEqual(heard, [1, 2, 3, 4]);
  socket.cut();
  await until(() => socket.wishes.length === 3);
  socket.say({ type: "subscribed", subscription: 1, outcome: "reset-epoch", epoch: 4 }, history(1, 1),
    { type: "caught_up", subscription: 1, position: 101 });
  assert.deepEqual(heard, [1, 2, 3, 4, 1]);
  assert.deepEqual(notices, [{ type: "reconnected", missing: false }, { type: "reset", reason: "epoch" }]);
  assert.deepEqual(subscription.place, { epoch: 4, sequence: 1 });
});

test("a subscription that retention overtook is made again, behind what it has got", async (context) => {
  const socket = scripted();
  const one = client(context, { WebSocket: socket.WebSocket });
  one.subscribe("match/1", { start: "first" }, () => {});
  await until(() => socket.wishes.length === 1);
  socket.say({ type: "subscribed", subscription: 1, outcome: "history", epoch: 3 },
    { type: "history", subscription: 1, topic: "match/1", sequence: 5, position: 5, payload: "" },
    { type: "unsubscribed", subscription: 1, code: 207, name: "RETENTION_OVERTAKEN" });
  await until(() => socket.wishes.length === 2);
  assert.equal(socket.wishes[1].subscription, 2);
  assert.deepEqual(socket.wishes[1].start, { resume: { epoch: 3, sequence: 5 } });
});

test("what was on its way when a reader paused is fetched with the rest, and not taken now", async (context) => {
  const socket = scripted();
  const one = client(context, { WebSocket: socket.WebSocket });
  const subscription = one.subscribe("match/1", { start: "first", buffer: 4 });
  const reader = subscription[Symbol.asyncIterator]();
  const record = (type, sequence) => ({ type, subscription: 1, topic: "match/1", sequence, position: sequence,
    payload: "" });
  await until(() => socket.wishes.length === 1);
  socket.say({ type: "subscribed", subscription: 1, outcome: "history", epoch: 3 },
    { type: "caught_up", subscription: 1, position: 0 }, ...[1, 2, 3, 4, 5].map((number) => record("message", number)));
  const heard = (await Promise.all([reader.next(), reader.next()])).map(({ value }) => value.sequence);
  await until(() => socket.wishes.length === 2);
  assert.deepEqual(socket.wishes[1].start, { resume: { epoch: 3, sequence: 4 } });
  // Sent before the broker heard of the pause.
  socket.say(record("message", 6), { type: "unsubscribed", subscription: 1 },
    { type: "subscribed", subscription: 2, outcome: "resumed", epoch: 3 });
  for (const sequence of [5, 6]) socket.say({ ...record("history", sequence), subscription: 2 });
  while (subscription.buffered > 0) heard.push((await reader.next()).value.sequence);
  assert.deepEqual(heard, [1, 2, 3, 4, 5, 6]);
});

test("one topic under an exact filter and a wildcard goes on without gap or duplicate in both", async (context) => {
  const own = await startBroker();
  context.after(() => own.close());
  const one = client(context, { url: own.url, transport: "websocket" });
  const writer = client(context, { url: own.url, transport: "websocket" });
  const heard = { exact: [], wild: [] };
  const exact = one.subscribe("match/both", { start: "first" }, ({ text }) => heard.exact.push(text));
  const wild = one.subscribe("match/#", { start: "first" }, ({ text }) => heard.wild.push(text));
  await Promise.all([exact.ready, wild.ready]);
  const publish = async (from, to) => {
    for (let number = from; number < to; number += 1) {
      await writer.publish("match/both", String(number), { ack: "journaled" });
      await writer.publish("match/other", `other ${number}`, { ack: "journaled" });
    }
  };
  await publish(0, 10);
  await until(() => heard.exact.length === 10 && heard.wild.length === 20);
  const again = [event(exact, "reconnected"), event(wild, "reconnected")];
  await own.stop("SIGKILL");
  await own.start();
  for (const reconnected of again) assert.equal((await reconnected).missing, false);
  await publish(10, 20);
  await until(() => heard.exact.length >= 20 && heard.wild.length >= 40);
  const numbers = Array.from({ length: 20 }, (_, index) => String(index));
  assert.deepEqual(heard.exact, numbers);
  assert.deepEqual(heard.wild, numbers.flatMap((number) => [number, `other ${number}`]));
});

test("a tab in the background, whose clock ticks once a minute, keeps its link while it is answered", async (context) => {
  const ticks = [];
  let now = Date.now();
  context.mock.method(globalThis, "setInterval", (tick) => ticks.push(tick));
  context.mock.method(globalThis, "clearInterval", () => {});
  context.mock.method(Date, "now", () => now);
  const socket = scripted({ keepAliveMs: 20000 });
  const one = client(context, { WebSocket: socket.WebSocket });
  await one.ready;
  const pass = () => {
    now += 60000;
    ticks.at(-1)();
    return socket.sent.filter(({ type }) => type === "ping").length;
  };
  for (const count of [1, 2, 3]) {
    assert.equal(pass(), count);
    assert.equal(one.state, "open");
    socket.say({ type: "pong", time: 0, clock_us: 0 });
  }
  const reconnecting = event(one, "reconnecting");
  pass();
  assert.equal(one.state, "open");
  pass();
  assert.match((await reconnecting).error.message, /fell silent/);
});

test("a stream and a poll that fall silent for longer than heartbeats are apart are given up", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  for (const transport of ["sse", "poll"]) {
    const asked = [];
    const one = client(context, { transport, fetch: silent(asked) });
    one.subscribe("match/1", () => {});
    await one.ready;
    await turns();
    const reconnecting = event(one, "reconnecting");
    const count = asked.length;
    context.mock.timers.tick(39000);
    await turns();
    assert.equal(one.state, "open");
    context.mock.timers.tick(2000);
    assert.match((await reconnecting).error.message, /fell silent/);
    assert.equal(asked.length, count);
    one.close();
  }
});

test("a publish that could not be delivered by POST tells the client that its link is gone", async (context) => {
  const own = await startBroker();
  context.after(() => own.close());
  const one = client(context, { url: own.url, transport: "sse" });
  await one.ready;
  const reconnecting = event(one, "reconnecting");
  await own.stop("SIGKILL");
  await assert.rejects(one.publish("match/1", "x"), codeOf("UNKNOWN"));
  await reconnecting;
  const waiting = one.publish("match/1", "y");
  await own.start();
  assert.deepEqual(await waiting, { level: "routed", sequence: 1 });
});

test("what nobody waits for is not heaped up before a link that takes nothing", async (context) => {
  const socket = scripted();
  const one = client(context, { WebSocket: socket.WebSocket });
  await one.ready;
  const before = socket.sent.length;
  socket.stall(17 << 20);
  const refused = await one.publish("a", "x").catch((error) => error);
  assert.deepEqual([refused.code, refused.retry], ["NOT_SENT", "after"]);
  await assert.rejects(one.request("a", "x"), codeOf("NOT_SENT"));
  assert.equal(socket.sent.length, before);
  const asked = [];
  const two = client(context, { transport: "sse", fetch: silent(asked) });
  await two.ready;
  const results = Array.from({ length: 1001 }, () => two.publish("a", "x").catch((error) => error.code));
  assert.equal(await Promise.race(results), "NOT_SENT");
  two.close();
  assert.deepEqual([...new Set(await Promise.all(results.slice(0, 1000)))], ["UNKNOWN"]);
});

test("of several failures the one that says no is told", async (context) => {
  const refusal = JSON.stringify({ code: 16, name: "FORBIDDEN", message: "no such host here", retry: "never" });
  const fetch = async () => new Response(refusal, { status: 403 });
  class Broken extends EventTarget {
    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(Object.assign(new Event("close"), { code: 1006, reason: "" })));
    }
    close() {}
  }
  const { error } = await event(client(context, { fetch, WebSocket: Broken }), "reconnecting");
  assert.equal(error.code, "FORBIDDEN");
});

test("a token lets in by every way, and a wrong one is the end", async (context) => {
  const guarded = await startBroker([], 'tokens = ["s3cret"]\n');
  const proxy = await startStub({ broker: guarded });
  context.after(async () => {
    await proxy.close();
    await guarded.close();
  });
  for (const transport of WAYS) {
    const one = client(context, { url: proxy.url, transport, token: "s3cret" });
    assert.deepEqual(await one.publish(live(), "x"), { level: "routed" });
    const wrong = client(context, { url: proxy.url, transport, token: "guess" });
    await assert.rejects(wrong.ready, codeOf("BAD_CREDENTIALS"));
    assert.equal(wrong.state, "closed");
  }
  await assert.rejects(client(context, { url: proxy.url }).ready, codeOf("BAD_CREDENTIALS"));
  assert.ok(proxy.seen.every((what) => !what.includes("s3cret")));
});

test("half a surrogate pair and what is too long are refused before they can end the link", async (context) => {
  const one = client(context, { transport: "websocket" });
  await one.ready;
  await assert.rejects(one.publish("a", "\ud83d"), TypeError);
  await assert.rejects(one.publish("a", "x".repeat(one.welcome.frame_bytes_max)), codeOf("FRAME_TOO_LARGE"));
  assert.deepEqual(await one.publish(live(), "x"), { level: "routed" });
});

for (const transport of ["websocket", "sse"]) {
  test(`${transport}: a broker that drains is left, and joined again`, async (context) => {
    const one = client(context, { transport });
    const [topic, other] = [journaled(), journaled()];
    const subscription = one.subscribe(topic, { start: "first" });
    const beside = one.subscribe(other, { start: "first" }, () => {});
    await Promise.all([subscription.ready, beside.ready]);
    await one.publish(topic, "before");
    const told = [];
    one.on("goaway", (notice) => told.push(notice));
    const [away, again] = [event(one, "goaway"), event(subscription, "reconnected")];
    await Promise.all([broker.stop("SIGTERM"), away]);
    await broker.start();
    assert.equal((await again).missing, false);
    assert.equal(told.length, 1);
    assert.ok(told[0].delayMs >= 0, JSON.stringify(told));
    await one.publish(topic, "behind");
    assert.deepEqual((await take(subscription, 2)).map(({ text }) => text), ["before", "behind"]);
  });
}

test("the script of the examples prints what comes, through a kill of the broker", async (context) => {
  const own = await startBroker();
  const script = new URL("../../examples/browser/watch.mjs", import.meta.url).pathname;
  const watch = spawn(process.execPath, [...process.execArgv, script, "match/#", "first", own.url]);
  context.after(async () => {
    watch.kill("SIGKILL");
    await own.close();
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) watch[name].on("data", (bytes) => { said[name] += bytes; });
  const writer = client(context, { url: own.url });
  await writer.publish("match/1", "before", { ack: "journaled" });
  await until(() => said.stdout === "match/1 1 before\n");
  await own.stop("SIGKILL");
  await own.start();
  await writer.publish("match/1", "behind", { ack: "journaled" });
  await until(() => said.stdout === "match/1 1 before\nmatch/1 2 behind\n");
  assert.match(said.stderr, /no connection/);
  assert.match(said.stderr, /"missing":false/);
  watch.kill("SIGINT");
  assert.equal(await new Promise((resolve) => watch.once("exit", resolve)), 0);
});

test("closing ends everything", async (context) => {
  const one = client(context, { transport: "websocket" });
  const subscription = one.subscribe(live());
  await subscription.ready;
  const reading = take(subscription, 1);
  const asking = one.request(live(), "x");
  one.close();
  assert.deepEqual(await reading, []);
  await assert.rejects(asking);
  await assert.rejects(one.publish("a", "x"), codeOf("CLOSED"));
  assert.equal(one.state, "closed");
});

/** WebSockets whose other side is the test. */
function scripted({ keepAliveMs = 0 } = {}) {
  const made = { sent: [], wishes: [], say: null, cut: null, stall: null };
  made.WebSocket = class extends EventTarget {
    bufferedAmount = 0;
    constructor() {
      super();
      const hear = (object) => this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(object) }));
      made.say = (...objects) => objects.forEach(hear);
      made.cut = () => this.dispatchEvent(Object.assign(new Event("close"), { code: 1006, reason: "" }));
      made.stall = (bytes) => { this.bufferedAmount = bytes; };
      setTimeout(() => this.dispatchEvent(new Event("open")));
    }
    send(text) {
      const object = JSON.parse(text);
      made.sent.push(object);
      if (object.type === "hello") made.say({ type: "welcome", keep_alive_ms: keepAliveMs });
      if (object.type === "subscribe") made.wishes.push(object);
    }
    close() {}
  };
  return made;
}

/** A broker over HTTP that subscribes, and never says anything again. */
function silent(asked) {
  return async (url, { signal, method }) => {
    asked.push(url.pathname);
    const subscribed = { type: "subscribed", subscription: 1, outcome: "live" };
    if (url.pathname === "/v1/sse") {
      return new Response(new ReadableStream({
        start(stream) {
          signal.addEventListener("abort", () => stream.error(signal.reason));
          stream.enqueue(new TextEncoder().encode(`event: subscribed\ndata: ${JSON.stringify(subscribed)}\n\n`));
        },
      }));
    }
    if (method !== "POST" && url.searchParams.get("wait") === "0s") {
      return Response.json({ messages: [subscribed], cursor: "live" });
    }
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
}

/** Lets everything happen that waits for no clock. */
async function turns() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until it is so; a test that has ended waits no longer. */
async function until(isSo) {
  const end = Date.now() + 50000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`it never came to this: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
