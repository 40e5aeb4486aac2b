// What browsers bring along, against the broker itself: EventSource with nothing but what it does by itself, and the
// client of /fanwire.js, on a page of the broker's own. The broker is killed underneath, and nothing is missing.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { startBroker } from "./broker.mjs";
import { findBrowser } from "./browser.mjs";

const { missing, launch } = findBrowser();
const options = { skip: missing, timeout: 120000 };

const broker = missing ? null : await startBroker();
const browser = missing ? null : await launch();
after(async () => {
  await browser?.close();
  await broker?.close();
});

const numbers = (count) => Array.from({ length: count }, (_, index) => String(index));

/** A page of the broker's; what `watch` hears there is a list in `heard`. */
async function open(context, watch, given) {
  const page = await browser.newPage();
  context.after(() => page.close());
  await page.goto(`${broker.url}/`);
  await page.setContent("<ol id=heard></ol>");
  await page.evaluate(watch, given);
  return page;
}

async function publish(topic, from, to) {
  for (let number = from; number < to; number += 1) {
    const url = `${broker.url}/v1/topics/${topic}?ack=journaled`;
    const answer = await fetch(url, { method: "POST", body: String(number), headers: { Connection: "close" } });
    assert.equal(answer.status, 200, await answer.text());
  }
}

const heard = (page) => page.locator("#heard li").allTextContents();
const hears = (page, count) => page.waitForFunction(
  (count) => document.querySelectorAll("#heard li").length >= count, count, { timeout: 60000 });

/** Kills the broker twice, publishes while it is back and the page may not be, and looks at what came. */
async function survive(page, topic) {
  await publish(topic, 0, 10);
  await hears(page, 10);
  for (const restart of [1, 2]) {
    await broker.stop("SIGKILL");
    await broker.start();
    await publish(topic, restart * 10, restart * 10 + 10);
    await hears(page, restart * 10 + 10);
  }
  assert.deepEqual(await heard(page), numbers(30));
}

for (const [filter, topic] of [["match/exact", "match/exact"], ["match/wild/+", "match/wild/a"]]) {
  test(`EventSource on ${filter} goes on by itself behind its last event`, options, async (context) => {
    const page = await open(context, (filter) => {
      const source = new EventSource(`/v1/sse?topic=${encodeURIComponent(filter)}&from=first`);
      window.opened = 0;
      window.notices = [];
      source.onopen = () => { window.opened += 1; };
      source.onmessage = ({ data, lastEventId }) => {
        const line = document.createElement("li");
        line.textContent = JSON.parse(data).payload;
        line.title = lastEventId;
        document.getElementById("heard").append(line);
      };
      for (const name of ["subscribed", "gap", "reset", "unsubscribed"]) {
        source.addEventListener(name, ({ data }) => window.notices.push(JSON.parse(data)));
      }
      return new Promise((resolve) => source.addEventListener("subscribed", resolve, { once: true }));
    }, filter);
    await survive(page, topic);
    const { opened, notices } = await page.evaluate(() => ({ opened: window.opened, notices: window.notices }));
    assert.equal(opened, 3, "it was opened once, and once after each restart");
    assert.deepEqual(notices.map(({ type, outcome }) => [type, outcome]),
      [["subscribed", "history"], ...Array(2).fill(["subscribed", "resumed"])]);
    const ids = await page.locator("#heard li").evaluateAll((lines) => lines.map(({ title }) => title));
    assert.equal(new Set(ids).size, 30, ids.join());
    assert.ok(ids.every((id) => /^[0-9]+-[0-9]+$/.test(id)), ids.join());
  });
}

for (const transport of ["auto", "websocket", "sse"]) {
  test(`/fanwire.js by ${transport} goes on behind its last message`, options, async (context) => {
    const topic = `match/client/${transport}`;
    const page = await open(context, async ([topic, transport]) => {
      const { connect } = await import("/fanwire.js");
      window.notices = [];
      window.client = connect(undefined, { transport, reconnect: { minMs: 50, maxMs: 500 } });
      const subscription = window.client.subscribe(topic, { start: "first" }, ({ text }) => {
        const line = document.createElement("li");
        line.textContent = text;
        document.getElementById("heard").append(line);
      });
      subscription.on("reconnected", ({ missing }) => window.notices.push(missing));
      subscription.on("gap", () => window.notices.push("gap"));
      await subscription.ready;
    }, [topic, transport]);
    const expected = transport === "auto" ? "websocket" : transport;
    assert.equal(await page.evaluate(() => window.client.transport), expected);
    await survive(page, topic);
    assert.deepEqual(await page.evaluate(() => window.notices), [false, false]);
    // A broker that is down for long is tried by every way, and may come back for any of them.
    if (transport !== "auto") assert.equal(await page.evaluate(() => window.client.transport), expected);
  });
}
