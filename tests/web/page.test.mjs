// The console and the chat in headless Chromium, behind a stub for what no broker should do. Without a browser they are
// skipped, and say so.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { startBroker } from "./broker.mjs";
import { findBrowser } from "./browser.mjs";
import { sampleStats, startStub } from "./stub.mjs";

const { missing, launch } = findBrowser();
const options = { skip: missing, timeout: 120000 };

const broker = missing ? null : await startBroker();
const browser = missing ? null : await launch();
after(async () => {
  await browser?.close();
  await broker?.close();
});

/** A page of the console, and what went wrong on it. */
async function open(context, settings = {}, viewport = { width: 1280, height: 800 }) {
  const stub = await startStub({ broker, ...settings });
  const page = await browser.newPage({ viewport });
  context.after(async () => {
    await page.close();
    await stub.close();
  });
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => /Content Security|Refused to/.test(message.text()) && faults.push(message.text()));
  await page.goto(stub.url);
  return { page, faults };
}

async function publish(page, topic, payload) {
  await page.fill("#publish-topic", topic);
  await page.fill("#publish-payload", payload);
  await page.selectOption("#ack", "durable");
  await page.click("#publish-form button");
  await page.waitForSelector("#publish-result.good");
}

for (const transport of ["websocket", "sse", "poll"]) {
  test(`${transport}: the page shows what is published, through a restart of the broker`, options, async (context) => {
    const { page, faults } = await open(context);
    await page.selectOption("#transport", transport);
    await page.waitForSelector(".dot.open");
    const topic = `match/page/${transport}`;
    await page.fill("#filter", topic);
    await page.selectOption("#start", "first");
    await page.click("#watch");
    await page.getByText(`Watching ${topic}`).waitFor();
    await publish(page, topic, "one");
    await page.getByText("#1 one").waitFor();
    await broker.stop();
    await page.waitForSelector(".dot:not(.open)");
    await broker.start();
    await page.waitForSelector(".dot.open");
    await publish(page, topic, "two");
    await page.getByText("#2 two").waitFor();
    const lines = await page.locator("#messages li").allTextContents();
    assert.equal(lines.filter((line) => line.includes(topic)).length, 2, lines.join("\n"));
    assert.ok(lines.some((line) => line.includes("nothing is missing")), lines.join("\n"));
    await page.fill("#request-topic", "nobody/here");
    await page.click("#request-form button");
    await page.getByText("NO_RESPONDERS").waitFor();
    assert.deepEqual(faults, []);
  });
}

test("the page shows figures, and says so where there are none", options, async (context) => {
  const { page, faults } = await open(context, { stats: sampleStats() });
  await page.getByText("match/17/state").waitFor();
  await page.waitForFunction(() => document.querySelectorAll("#tiles dd")[0].textContent !== "-");
  const live = await open(context);
  await live.page.locator("#journals").getByText("events", { exact: true }).waitFor();
  // What comes once is not counted.
  for (const payload of ["one", "two", "three"]) await publish(live.page, "match/page/figures", payload);
  await live.page.locator("#topics").getByText("match/page/figures").waitFor();
  const bare = await open(context, { refuses: new Set(["/v1/stats"]) });
  await bare.page.getByText("Figures are not available: the answer was 502").waitFor();
  assert.deepEqual([...faults, ...live.faults, ...bare.faults], []);
});

test("on a phone the page is no wider than the phone", options, async (context) => {
  const { page, faults } = await open(context, { stats: sampleStats() }, { width: 375, height: 812 });
  await page.getByText("match/17/state").waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 375);
  const unnamed = await page.evaluate(() => [...document.querySelectorAll("input, select, textarea")]
    .filter((field) => field.labels.length === 0).map((field) => field.id));
  assert.deepEqual(unnamed, []);
  assert.deepEqual(faults, []);
});

/** The examples, served as anybody would who has them in a directory: from an origin that is not the broker's. */
async function serveExamples(context) {
  const types = { html: "text/html", css: "text/css", js: "text/javascript" };
  const server = createServer(async (request, response) => {
    const name = new URL(request.url, "http://examples").pathname.slice(1);
    const body = await readFile(new URL(`../../examples/browser/${name}`, import.meta.url)).catch(() => null);
    response.writeHead(body ? 200 : 404, { "Content-Type": types[name.split(".").pop()] ?? "text/plain" });
    response.end(body ?? "");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

async function openChat(context, origin, { url }, viewport) {
  const page = await browser.newPage({ viewport });
  context.after(() => page.close());
  await page.goto(`${origin}/chat.html?broker=${url}`);
  return page;
}

const tabsAre = (page, count) => page.waitForFunction(
  (count) => document.querySelectorAll("#tabs li").length === count, count);

test("tabs of the chat see each other from another origin, and notice when one is closed", options, async (context) => {
  const origin = await serveExamples(context);
  const own = await startBroker([], `[http]\norigins = ["${origin}"]\n`);
  context.after(() => own.close());
  const one = await openChat(context, origin, own, { width: 375, height: 812 });
  const two = await openChat(context, origin, own);
  for (const page of [one, two]) await tabsAre(page, 2);
  await one.fill("#name", "n".repeat(40));
  await one.fill("#text", `hello ${"o".repeat(300)}`);
  await one.press("#text", "Enter");
  await two.getByText(`${"n".repeat(40)}: hello`).waitFor();
  await two.getByText("n".repeat(40), { exact: true }).waitFor();
  await one.getByText("hello").waitFor();
  assert.equal(await one.evaluate(() => document.documentElement.scrollWidth), 375);
  await one.close();
  await tabsAre(two, 1);
});

test("a chat that the broker does not let in says what would", options, async (context) => {
  const page = await openChat(context, await serveExamples(context), broker);
  await page.getByText("http.origins").waitFor();
});
