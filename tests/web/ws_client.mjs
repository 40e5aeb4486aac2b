// Both subprotocols with `ws` (npm), against the broker at the address given: `127.0.0.1:PORT`.
//
// Each check that passed is a line "ok NAME"; whatever fails ends the script with an error.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

// From wherever it is installed: modules would be looked for beside this file alone.
const { WebSocket } = createRequire(`${process.cwd()}/`)("ws");
const [address, hello] = process.argv.slice(2);
const url = `ws://${address}/v1/ws`;
setTimeout(() => { throw new Error("nothing came from the broker"); }, 25_000).unref();

class Line {
  constructor(subprotocol, compression = false) {
    this.socket = new WebSocket(url, subprotocol, { perMessageDeflate: compression });
    this.told = [];
    this.waiting = [];
    this.closed = once(this.socket, "close");
    this.socket.on("message", (data, isBinary) => {
      const told = isBinary ? data : JSON.parse(data.toString());
      const waiting = this.waiting.shift();
      if (waiting) waiting(told); else this.told.push(told);
    });
  }
  next() {
    return this.told.length ? Promise.resolve(this.told.shift()) : new Promise((told) => this.waiting.push(told));
  }
  say(object) { this.socket.send(JSON.stringify(object)); }
}

async function welcomed(compression) {
  const line = new Line("fanwire.json.v1", compression);
  await once(line.socket, "open");
  assert.equal(line.socket.protocol, "fanwire.json.v1");
  line.say({ type: "hello" });
  assert.equal((await line.next()).type, "welcome");
  return line;
}

const checks = {
  async publishes_and_hears() {
    const [subscriber, publisher] = [await welcomed(), await welcomed()];
    subscriber.say({ type: "subscribe", subscription: 1, filter: "chat/+" });
    assert.equal((await subscriber.next()).outcome, "live");
    for (const payload of ["hello", "", "\u00e9\u20ac\u{1f600}\u0000\n", "x".repeat(100_000)]) {
      publisher.say({ type: "publish", topic: "chat/a", payload, ack: "routed" });
      assert.equal((await publisher.next()).type, "ack");
      assert.deepEqual(await subscriber.next(), { type: "message", topic: "chat/a", payload });
    }
    const text = JSON.stringify({ type: "publish", topic: "chat/a", payload: "in pieces" });
    publisher.socket.send(text.slice(0, 10), { fin: false });
    publisher.socket.ping("between");
    publisher.socket.send(text.slice(10), { fin: true });
    assert.equal((await once(publisher.socket, "pong"))[0].toString(), "between");
    assert.equal((await subscriber.next()).payload, "in pieces");
    subscriber.socket.close(1000);
    assert.equal((await subscriber.closed)[0], 1000);
    publisher.socket.close();
    await publisher.closed;
  },
  async compresses_where_it_is_offered() {
    const offers = [true, { threshold: 0 }, { serverMaxWindowBits: 12, threshold: 0 }];
    for (const offer of offers) {
      const line = await welcomed(offer);
      assert.match(line.socket.extensions, /permessage-deflate/);
      line.say({ type: "subscribe", subscription: 1, filter: "squeezed" });
      assert.equal((await line.next()).outcome, "live");
      for (const payload of ["short", "squeezed and long ".repeat(10_000), "\u20ac".repeat(5_000), ""]) {
        line.say({ type: "publish", topic: "squeezed", payload, ack: "none" });
        assert.equal((await line.next()).payload, payload);
      }
      line.socket.close(1000);
      assert.equal((await line.closed)[0], 1000);
    }
    const plain = await welcomed({ serverMaxWindowBits: 9 });
    assert.equal(plain.socket.extensions, "");
    plain.socket.close();
    await plain.closed;
  },
  async compresses_native_frames() {
    const line = new Line("fanwire.v1", { threshold: 0 });
    await once(line.socket, "open");
    assert.match(line.socket.extensions, /permessage-deflate/);
    line.socket.send(Buffer.from(hello, "hex"));
    assert.equal((await line.next())[1], 0x02);
    line.socket.close();
    await line.closed;
  },
  async is_told_what_was_wrong() {
    const line = await welcomed();
    line.socket.send("no JSON");
    assert.equal((await line.next()).name, "MALFORMED_FRAME");
    const [code, reason] = await line.closed;
    assert.equal(code, 1007);
    assert.match(reason.toString(), /^MALFORMED_FRAME/);
  },
  async speaks_native_frames() {
    const line = new Line("fanwire.v1");
    await once(line.socket, "open");
    line.socket.send(Buffer.from(hello, "hex"));
    const welcome = await line.next();
    assert.equal(welcome[1], 0x02);
    line.socket.close();
    await line.closed;
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
