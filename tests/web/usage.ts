// How the client is used, for TypeScript's compiler: it is never run. What must not compile is marked as an error that
// is expected, and a mark without an error is one.

import { Client, connect, FanwireError, Message, Subscription } from "../../src/gateway/pages/fanwire.js";
import type {
  AckLevel, Call, Notice, Outcome, Place, Receipt, Transport, WebSocketLike,
} from "../../src/gateway/pages/fanwire.js";

export async function use(): Promise<void> {
  const client: Client = connect("http://127.0.0.1:7311", {
    token: "s3cret",
    transport: "auto",
    reconnect: { minMs: 100, maxMs: 5000 },
    keepAliveMs: 0,
    WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch,
  });
  const away = client.on("reconnecting", ({ attempt, delayMs, error }) => console.log(attempt + delayMs, error?.code));
  client.on("open", ({ transport, welcome }) => show(transport, welcome?.frame_bytes_max ?? 0));
  client.on("notice", (notice: Notice, subscription: Subscription) => console.log(notice.type, subscription.filter));
  client.on("close", ({ error }) => console.log(error?.retryAfterMs));
  await client.ready;
  const transport: Transport | null = client.transport;
  console.log(transport ?? client.state);
  away();

  await iterate(client);
  await call(client);
  await publish(client);
  refuse(client);
  client.close();
}

async function iterate(client: Client): Promise<Place | null> {
  const subscription = client.subscribe("match/+", { start: { last: 10 }, buffer: 16, overflow: "pause" });
  const { outcome, epoch }: { outcome: Outcome; epoch?: number } = await subscription.ready;
  console.log(outcome, epoch);
  subscription.on("gap", ({ dropped, conflated, by }) => console.log(dropped + conflated, by === "client"));
  subscription.on("reconnected", ({ missing }) => console.log(missing));
  for await (const message of subscription) {
    const { score } = message.json<{ score: number }>();
    const place: number | undefined = message.position;
    console.log(message.topic, score.toFixed(), place, message.bytes.byteLength);
    if (message.headers instanceof Object && "bytes" in message.headers) break;
  }
  client.subscribe("chat/#", (message: Message) => console.log(message.text)).unsubscribe();
  client.subscribe("chat/#", { start: { time: new Date() }, policy: "conflate", maxRateHz: 10 }, async () => {});
  if (subscription.place) client.subscribe("match/+", { start: { resume: subscription.place } });
  return subscription.place;
}

async function call(client: Client): Promise<void> {
  client.respond("math/sum", "servers", async (call: Call) => {
    const numbers = call.json<number[]>();
    if (numbers.length === 0) return call.reply("nothing", { headers: { lang: "en" } });
    return { sum: numbers.reduce((sum, number) => sum + number, 0) };
  });
  const reply: Message = await client.request("math/sum", [1, 2], { timeout: 2000 });
  console.log(reply.text);
}

async function publish(client: Client): Promise<void> {
  const receipt: Receipt = await client.publish("match/7", new Uint8Array([1, 2]), { ack: "durable", expect: 0 });
  const level: AckLevel = receipt.level;
  console.log(level, receipt.sequence, receipt.duplicate === true);
  await client.publish("match/7", { score: 3, names: ["a"] }, { producer: { id: 1, sequence: 2 }, headers: { a: "b" } });
  await client.publish("match/7");
  try {
    await client.publish("match/7", "x", { expect: 1 });
  } catch (error) {
    if (error instanceof FanwireError && error.code === "CONFLICT") console.log(error.actual);
  }
}

function refuse(client: Client): void {
  // @ts-expect-error there is no such way
  connect(undefined, { transport: "pigeon" });
  // @ts-expect-error there is no such level
  client.publish("a", "x", { ack: "certain" }).catch(() => {});
  // @ts-expect-error a function has no JSON
  client.publish("a", () => "x").catch(() => {});
  // @ts-expect-error a place is a number in an epoch
  client.subscribe("a", { start: { resume: { sequence: 1 } } });
  // @ts-expect-error there is no such event
  client.on("opened", () => {});
  // @ts-expect-error links are the client's
  client.transport = "sse";
  // @ts-expect-error messages are made by the client
  new Message();
}

function show(transport: Transport, bytesMax: number): void {
  const socket: (new (url: string, protocols: string[]) => WebSocketLike) = globalThis.WebSocket;
  console.log(transport, bytesMax, socket.name);
}
