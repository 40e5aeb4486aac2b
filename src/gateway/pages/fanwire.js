// Fanwire for browsers and Node: publish, subscribe, request and reply over whatever the way to the broker allows.
//
//   connect(url) --> Client --subscribe--> Subscription   a callback, or for await (const message of subscription)
//                      |
//                      | one link at a time; client.transport says which
//                      |--> "websocket"  one socket, the objects of fanwire.json.v1 both ways
//                      |--> "sse"        a stream a subscription, POST for the rest
//                      `--> "poll"       a waiting GET a subscription, POST for the rest
//
// What always holds:
// - A publish that was sent and not acknowledged when the link broke ends as UNKNOWN and is never sent again by itself.
//   One that was not sent yet waits for the next link, for its timeout, and ends as NOT_SENT after that.
// - A subscription to journaled topics goes on behind the last message that it handed over: no gap, no duplicate. If
//   the broker can't go on there, "reset" says so. One to live topics says "reconnected" with `missing: true`.
// - Memory is bounded: an iterator's buffer has a size, and what happens when it is full is its `overflow`. What waits
//   for a link, or for one that takes nothing, is bounded too, and what is more ends as NOT_SENT.
// - Who is gone without a word is missed within a minute, by every way.
//
// No dependencies. Node takes its own WebSocket from version 22 on, or one that is passed in (`ws` will do). Streams
// are read by fetch and not by EventSource, which can send no token.

/** Begins to connect, and goes on doing so until `close`. Subscriptions and calls may be made at once. */
export function connect(url, options) {
  return new Client(url, options);
}

/** Something that was refused, or that failed. `code` is a name of the registry (protocol.md 7) or one of ours. */
export class FanwireError extends Error {
  constructor(code, message, details = {}) {
    super(message ? `${code}: ${message}` : code);
    this.name = "FanwireError";
    this.code = code;
    this.number = details.number ?? 0;
    this.retry = details.retry ?? "never";
    this.retryAfterMs = details.retryAfterMs ?? 0;
    if (details.actual !== undefined) this.actual = details.actual;
  }
}

const TRANSPORTS = ["websocket", "sse", "poll"];
/** How long a way to the broker may take to open before the next one is tried. */
const OPEN_TIMEOUT_MS = 5000;
/** A link that lived as long was a good one: after it the back-off starts anew. */
const STEADY_MS = 5000;
/** What waits for a link at the most. */
const HELD_MAX = 1000;
/** Browsers open six connections to a host; what is left is for POSTs. */
const BROWSER_STREAMS_MAX = 4;
/** Bytes that a socket may hold before a publish without ack waits. */
const SOCKET_BYTES_MAX = 1 << 20;
/** Bytes that a socket may hold before nothing more is sent. */
const STALLED_BYTES = 16 << 20;
/** How long behind a request's deadline the broker's word that it has passed may come. */
const DEADLINE_GRACE_MS = 1000;
/** POSTs without an answer at the most. */
const POSTS_MAX = 1000;
/** How long a poll waits at the broker. */
const POLL_WAIT_S = 25;
/** Silence after which a stream, a poll or a POST is given up. Heartbeats are 15 s apart, and polls take longest. */
const SILENCE_MS = (POLL_WAIT_S + 15) * 1000;

// ---------------------------------------------------------------------------------------------------------- client

export class Client {
  #settings;
  #events = new Emitter();
  #subscriptions = new Set();
  #held = new Set();
  #state = "connecting";
  #link = null;
  #transport = null;
  #lastTransport = null;
  #welcome = null;
  #attempt = 0;
  #openedAt = 0;
  #timer = null;
  #window = null;
  #ready = deferred();
  #online = () => this.#hurry();

  constructor(url, options = {}) {
    this.#settings = readSettings(url, options);
    this.#ready.promise.catch(() => {});
    globalThis.addEventListener?.("online", this.#online);
    this.#connect();
  }

  /** Resolves when the broker was reached for the first time; rejects if the client ended before that. */
  get ready() { return this.#ready.promise; }
  /** "connecting", "open", "reconnecting" or "closed". */
  get state() { return this.#state; }
  /** "websocket", "sse" or "poll"; null while there is no link. */
  get transport() { return this.#transport; }
  /** What the broker said when the WebSocket opened: limits, version. Null over HTTP. */
  get welcome() { return this.#welcome; }

  /** Listens to "open", "reconnecting", "goaway", "notice", "error" or "close". Returns what ends the listening. */
  on(name, listener) { return this.#events.on(name, listener); }

  /** A subscription; with a callback it is called for each message, without one the subscription is an iterator. */
  subscribe(filter, options, callback) {
    if (typeof options === "function") [options, callback] = [{}, options];
    return this.#begin(new Subscription(checkText(filter, "filter"), options ?? {}, callback, this.#hostOf()));
  }

  /** Answers requests: what the handler returns is the reply. It needs a WebSocket. */
  respond(filter, group, handler) {
    const responder = { group: checkText(group, "group"), responder: true };
    const answer = (call) => this.#answer(call, handler);
    return this.#begin(new Subscription(checkText(filter, "filter"), responder, answer, this.#hostOf()));
  }

  /** Publishes; the promise is kept when the broker acknowledged it at the level asked for. */
  async publish(topic, payload, options = {}) {
    const command = { topic: checkText(topic, "topic"), ...encodeContent(payload, options.headers) };
    command.ack = options.ack ?? "routed";
    if (options.expect !== undefined) command.expect = options.expect;
    if (options.producer) command.producer = options.producer;
    const timeoutMs = options.timeout ?? this.#settings.timeoutMs;
    const link = await this.#linkWithin(timeoutMs);
    return link.publish(command);
  }

  /** Asks whoever answers on the topic. */
  async request(topic, payload, options = {}) {
    const timeoutMs = options.timeout ?? 5000;
    const command = { topic: checkText(topic, "topic"), ...encodeContent(payload, options.headers) };
    const until = Date.now() + timeoutMs;
    const link = await this.#linkWithin(timeoutMs);
    command.deadline_ms = Math.max(1, Math.round(until - Date.now()));
    // The broker keeps the deadline; the clock here is for a broker that is gone.
    return within(link.request(command), command.deadline_ms + DEADLINE_GRACE_MS,
      () => new FanwireError("DEADLINE_EXCEEDED", "no answer in time, not even the broker's", { retry: "now" }));
  }

  /** Ends everything. What was not acknowledged ends as UNKNOWN, iterators end. */
  close() {
    this.#end(null);
  }

  // -- links

  #connect() {
    this.#timer = null;
    this.#window = null;
    const order = this.#order();
    const failures = [];
    const next = () => {
      if (this.#state === "closed") return;
      const name = order.shift();
      if (!name && failures.every(isRefusal)) return this.#end(failures[0]);
      if (!name) return this.#retry(failures.find(isRefusal) ?? failures[0]);
      const link = this.#makeLink(name);
      this.#link = link;
      link.open().then(
        (welcome) => this.#link === link && this.#opened(link, name, welcome),
        (error) => {
          link.close();
          if (this.#link !== link) return;
          this.#link = null;
          if (error.isFinal) return this.#end(error);
          failures.push(error);
          next();
        },
      );
    };
    next();
  }

  /** The ways to try this time. Once a WebSocket has worked it will again, and a broker that is down has no other. */
  #order() {
    const { transport, WebSocket } = this.#settings;
    if (transport !== "auto") return [transport];
    if (this.#lastTransport === "websocket" && this.#attempt < 3) return ["websocket"];
    return TRANSPORTS.filter((name) => name !== "websocket" || WebSocket);
  }

  #makeLink(name) {
    const host = {
      settings: this.#settings,
      lost: (link, error) => link === this.#link && this.#lost(error),
      goaway: (link, notice) => link === this.#link && this.#goAway(link, notice),
      report: (error) => this.#report(error),
    };
    if (name === "websocket") return new SocketLink(host);
    return new HttpLink(host, name === "sse" ? readStream : readPolls);
  }

  #opened(link, name, welcome) {
    this.#lastTransport = name;
    this.#transport = name;
    this.#welcome = welcome;
    this.#openedAt = Date.now();
    this.#state = "open";
    for (const subscription of this.#subscriptions) subscription.attach(link);
    for (const waiting of this.#held) waiting(link);
    this.#ready.resolve();
    this.#events.emit("open", { transport: name, welcome });
  }

  #lost(error) {
    const link = this.#link;
    this.#link = null;
    this.#transport = null;
    link.close();
    for (const subscription of this.#subscriptions) subscription.detach();
    if (error?.isFinal) return this.#end(error);
    if (Date.now() - this.#openedAt >= STEADY_MS) this.#attempt = 0;
    this.#retry(error);
  }

  /** Full jitter: anywhere between at once and a bound that doubles, so that nobody comes back together. */
  #retry(error) {
    const { reconnect } = this.#settings;
    if (this.#state === "closed") return;
    if (!reconnect) return this.#end(error ?? new FanwireError("DISCONNECTED"));
    const bound = Math.min(reconnect.maxMs, reconnect.minMs * 2 ** this.#attempt);
    let delayMs = Math.random() * bound;
    if (error?.retryAfterMs) delayMs += error.retryAfterMs * (0.5 + Math.random());
    if (this.#window) delayMs = Math.max(0, this.#window.until - Date.now());
    clearTimeout(this.#timer);
    this.#attempt += 1;
    if (this.#lastTransport) this.#state = "reconnecting";
    this.#events.emit("reconnecting", { attempt: this.#attempt, delayMs, error });
    if (this.#state !== "closed") this.#timer = setTimeout(() => this.#connect(), delayMs);
  }

  /** The network is back: what is waited for may be there. */
  #hurry() {
    if (this.#link || this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  /** The broker goes down: finish what is in hand, leave at a moment drawn from its window, and come back. */
  #goAway(link, notice) {
    const delayMs = notice.reconnect_min_ms + Math.random() * (notice.reconnect_max_ms - notice.reconnect_min_ms);
    this.#window = { until: Date.now() + delayMs };
    this.#events.emit("goaway", { code: notice.name ?? String(notice.code), text: notice.text, delayMs });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      await within(link.idle(), 2000, () => null).catch(() => {});
      if (this.#link === link) this.#lost(new FanwireError("DRAINING", "the broker goes down", { retry: "after" }));
    }, delayMs);
  }

  #linkWithin(timeoutMs) {
    if (this.#state === "closed") return Promise.reject(closedError());
    if (this.#state === "open") return this.#link;
    if (this.#held.size >= HELD_MAX) {
      return Promise.reject(new FanwireError("NOT_SENT", "too much waits for the broker", { retry: "after" }));
    }
    return new Promise((resolve, reject) => {
      const waiting = (link) => {
        clearTimeout(timer);
        this.#held.delete(waiting);
        if (link) resolve(link);
        else reject(closedError());
      };
      const expire = () => {
        this.#held.delete(waiting);
        reject(new FanwireError("NOT_SENT", "the broker was not reached in time", { retry: "now" }));
      };
      const timer = setTimeout(expire, timeoutMs);
      this.#held.add(waiting);
    });
  }

  #end(error) {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#transport = null;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#online);
    this.#link?.close();
    this.#link = null;
    for (const subscription of [...this.#subscriptions]) subscription.end(error);
    for (const waiting of [...this.#held]) waiting(null);
    this.#ready.reject(error ?? closedError());
    this.#events.emit("close", { error });
  }

  // -- subscriptions

  #hostOf() {
    return {
      bufferSize: this.#settings.buffer,
      notice: (notice, subscription) => this.#events.emit("notice", notice, subscription),
      report: (error) => this.#report(error),
      ended: (subscription) => this.#subscriptions.delete(subscription),
    };
  }

  #begin(subscription) {
    if (this.#state === "closed") {
      subscription.end(closedError());
      return subscription;
    }
    this.#subscriptions.add(subscription);
    if (this.#state === "open") subscription.attach(this.#link);
    return subscription;
  }

  /** A handler that fails gives no reply: the protocol has none for it, and who asked hears of the deadline. */
  async #answer(call, handler) {
    try {
      const answer = await handler(call);
      if (answer !== undefined && !call.isAnswered) call.reply(answer);
    } catch (error) {
      this.#report(error);
    }
  }

  /** What nobody waits for: a refused publish without ack, a callback or a handler that threw. */
  #report(error) {
    if (!this.#events.emit("error", error)) console.error(error);
  }
}

// ---------------------------------------------------------------------------------------------------- subscription

/** One wish, over all the links that serve it in its time. */
export class Subscription {
  #host;
  #options;
  #callback;
  #events = new Emitter();
  #ready = deferred();
  #link = null;
  #place = {};
  #handed = undefined;
  #hasBegun = false;
  #wasLost = false;
  /** Live messages are not for it: it asked and was not answered yet, or its history has to come first. */
  #isBehind = false;
  #isPaused = false;
  #isEnded = false;
  #error = null;
  #buffer = [];
  #dropped = 0;
  #reader = null;
  #retryTimer = null;

  constructor(filter, options, callback, host) {
    this.filter = filter;
    this.group = options.group ?? "";
    this.isExact = !/(^|\/)[+#](\/|$)/.test(filter);
    this.levels = filter.split("/");
    this.#options = options;
    this.#callback = callback;
    this.#host = host;
    this.#ready.promise.catch(() => {});
    const overflows = ["pause", "drop-oldest", "drop-newest", "close", undefined];
    if (!overflows.includes(options.overflow)) throw new TypeError(`overflow can't be ${options.overflow}`);
  }

  /** Resolves when the broker has subscribed: whoever publishes from then on is heard. */
  get ready() { return this.#ready.promise; }
  /** The last place handed over, to go on from another time: `start: { resume: subscription.place }`. */
  get place() { return this.#placeBehind(this.#buffer.length === 0 ? this.#place.last : this.#handed); }
  /** Messages that wait for the iterator. */
  get buffered() { return this.#buffer.length; }
  /** Whether it is over. */
  get closed() { return this.#isEnded; }
  get responder() { return this.#options.responder === true; }
  get noEcho() { return this.#options.noEcho === true; }

  /** Listens to "subscribed", "caught-up", "gap", "reset", "reconnected", "paused", "unpaused" or "end". */
  on(name, listener) { return this.#events.on(name, listener); }

  /** Ends it. An iterator ends too, behind what it has buffered. */
  unsubscribe() {
    this.end(null);
  }

  async *[Symbol.asyncIterator]() {
    if (this.#callback) throw new TypeError("a subscription with a callback can't be iterated");
    if (this.#reader) throw new TypeError("this subscription has a reader");
    this.#reader = { wake: null };
    try {
      for (;;) {
        while (this.#buffer.length > 0) yield this.#next();
        if (this.#isEnded) break;
        await new Promise((resolve) => { this.#reader.wake = resolve; });
      }
      if (this.#error) throw this.#error;
    } finally {
      this.#reader = null;
      this.unsubscribe();
    }
  }

  // -- what the client calls

  attach(link) {
    if (this.#isEnded || this.#isPaused) return;
    this.#link = link;
    // What was on its way for the subscription before this one may lie ahead of what has to be fetched first.
    this.#isBehind = true;
    link.subscribe(this);
  }

  detach() {
    clearTimeout(this.#retryTimer);
    this.#link = null;
    this.#isBehind = false;
    if (this.#hasBegun) this.#wasLost = true;
  }

  end(error) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#error = error;
    clearTimeout(this.#retryTimer);
    this.#link?.unsubscribe(this);
    this.#link = null;
    this.#host.ended(this);
    this.#ready.reject(error ?? closedError());
    this.#reader?.wake?.();
    this.#notify({ type: "end", error });
  }

  // -- what links call

  /** What to ask the broker for now, in the protocol's words. */
  wish() {
    const { noEcho, maxRateHz } = this.#options;
    const start = this.#start();
    const wish = { filter: this.filter, start };
    if (this.group) wish.group = this.group;
    if (this.responder) return { ...wish, responder: true };
    wish.policy = this.#options.policy ?? (start === "live" ? "drop-oldest" : "catch-up");
    if (noEcho) wish.no_echo = true;
    if (maxRateHz) wish.max_rate_hz = maxRateHz;
    return wish;
  }

  /** An object of the broker that is for this subscription. `link` is the one that it came over. */
  take(object, link) {
    if (this.#isEnded) return;
    switch (object.type) {
      case "message": return this.#isBehind ? undefined : this.#deliver(object);
      case "history": case "group": return this.#deliver(object);
      case "call": return this.#callback(new Call(object, link));
      case "subscribed": return this.#takeSubscribed(object);
      case "caught_up": return this.#takeCaughtUp(object);
      case "cursor": this.#isBehind = true; return undefined;
      case "gap": return this.#notify({ type: "gap", dropped: object.dropped, conflated: object.conflated,
        by: "broker" });
      case "unsubscribed": return object.code ? this.refused(errorOf(object)) : undefined;
      default: return undefined;
    }
  }

  /** The broker would not have it, or has ended it. */
  refused(error) {
    if (this.#isEnded) return;
    // Nobody asked for the policy that a start in the past brings along: it is the start that can't be had.
    if (error.code === "POLICY_UNAVAILABLE" && !this.#options.policy && this.#options.start) {
      error = new FanwireError("START_UNAVAILABLE", "no journal covers this filter, or it is a group's",
        { number: 202 });
    }
    const isOvertaken = error.code === "RETENTION_OVERTAKEN";
    if (error.retry === "never" && !isOvertaken) return this.end(error);
    const link = this.#link;
    this.detach();
    this.#link = link;
    const delayMs = isOvertaken ? 0 : Math.max(250, error.retryAfterMs);
    this.#retryTimer = setTimeout(() => this.#link && this.attach(this.#link), delayMs);
  }

  // -- inside

  #start() {
    const asked = this.#options.start ?? "live";
    const place = this.#placeBehind(this.#place.last);
    return place ? { resume: place } : encodeStart(asked);
  }

  #placeBehind(last) {
    const { epoch } = this.#place;
    if (epoch === undefined || last === undefined) return null;
    return this.isExact ? { epoch, sequence: last } : { epoch, position: last };
  }

  #takeSubscribed({ outcome, epoch }) {
    const wasLost = this.#wasLost;
    this.#isBehind = outcome !== "live";
    this.#wasLost = false;
    this.#hasBegun = true;
    if (outcome.startsWith("reset")) this.#place.last = undefined;
    this.#place.epoch = epoch;
    if (this.#options.overflow === "pause" && !this.#canPause()) {
      return this.end(new FanwireError("POLICY_UNAVAILABLE", "only journaled topics and groups can be paused"));
    }
    this.#ready.resolve({ outcome, epoch });
    this.#notify({ type: "subscribed", outcome, epoch });
    if (outcome.startsWith("reset")) return this.#notify({ type: "reset", reason: outcome.slice("reset-".length) });
    if (wasLost) this.#notify({ type: "reconnected", missing: outcome === "live" && !this.responder });
    return undefined;
  }

  #takeCaughtUp({ position }) {
    this.#isBehind = false;
    const { last } = this.#place;
    if (!this.isExact && position > 0) this.#place.last = Math.max(last ?? 0, position);
    // Nothing was there yet, so all that comes is new.
    if (position === 0 && last === undefined && beginsAtRecords(this.#options.start)) this.#place.last = 0;
    this.#notify({ type: "caught-up" });
  }

  /** A record that came before is dropped: its number tells. Live messages have none. */
  #deliver(object) {
    if (this.#isPaused && !this.group) return;
    const number = this.isExact ? object.sequence : object.position;
    if (number !== undefined && this.#place.epoch !== undefined) {
      if (this.#place.last !== undefined && number <= this.#place.last) return;
      this.#place.last = number;
    }
    const message = new Message(object);
    if (this.#callback) return this.#call(message);
    this.#store(message);
  }

  #call(message) {
    try {
      const result = this.#callback(message, this);
      if (typeof result?.catch === "function") result.catch((error) => this.#host.report(error));
    } catch (error) {
      this.#host.report(error);
    }
  }

  #store(message) {
    const size = this.#options.buffer ?? this.#host.bufferSize;
    const overflow = this.#options.overflow ?? (this.#canPause() ? "pause" : "drop-oldest");
    if (this.#buffer.length >= size && overflow !== "pause") {
      if (overflow === "close") return this.end(new FanwireError("SLOW_CONSUMER", "the iterator's buffer is full"));
      this.#dropped += 1;
      if (overflow === "drop-newest") return undefined;
      this.#buffer.shift();
    }
    this.#buffer.push(message);
    if (overflow === "pause" && this.#buffer.length >= size) this.#pause();
    this.#reader?.wake?.();
    return undefined;
  }

  #next() {
    const message = this.#buffer.shift();
    this.#handed = this.isExact ? message.sequence : message.position ?? this.#handed;
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#dropped = 0;
      this.#notify({ type: "gap", dropped, conflated: 0, by: "client" });
    }
    const size = this.#options.buffer ?? this.#host.bufferSize;
    if (this.#isPaused && this.#buffer.length <= size / 2) this.#unpause();
    return message;
  }

  /** A journal keeps what is not fetched; a group hands it to other members. */
  #canPause() {
    return this.group !== "" || this.#place.epoch !== undefined;
  }

  #pause() {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#link?.unsubscribe(this);
    this.#notify({ type: "paused" });
  }

  #unpause() {
    this.#isPaused = false;
    this.#notify({ type: "unpaused" });
    if (this.#link) this.attach(this.#link);
  }

  #notify(notice) {
    this.#events.emit(notice.type, notice);
    this.#host.notice(notice, this);
  }
}

/** One message. */
export class Message {
  #bytes;
  #text;

  constructor(object) {
    this.topic = object.topic;
    if (object.sequence !== undefined) this.sequence = object.sequence;
    if (object.position !== undefined) this.position = object.position;
    if (object.time_us !== undefined) this.timeUs = object.time_us;
    this.headers = decodeHeaders(object);
    this.isText = object.payload_base64 === undefined;
    this.#bytes = this.isText ? null : fromBase64(object.payload_base64);
    this.#text = this.isText ? object.payload ?? "" : null;
  }

  /** The payload as text; bytes that are no UTF-8 become replacement characters. */
  get text() { return (this.#text ??= new TextDecoder().decode(this.#bytes)); }
  /** The payload as it was published. */
  get bytes() { return (this.#bytes ??= new TextEncoder().encode(this.#text)); }
  /** The payload as JSON; throws if it is none. */
  json() { return JSON.parse(this.text); }
}

/** A request to answer. */
class Call extends Message {
  #object;
  #link;

  constructor(object, link) {
    super(object);
    this.#object = object;
    this.#link = link;
    this.deadlineMs = object.deadline_ms;
    this.isAnswered = false;
  }

  /** Answers. On another link than the one that asked, a handle means nothing: the answer is dropped. */
  reply(payload, options = {}) {
    if (this.isAnswered) throw new FanwireError("ANSWERED", "a call is answered once");
    const content = encodeContent(payload, options.headers);
    this.isAnswered = true;
    this.#link.reply({ handle: this.#object.handle, ...content });
  }
}

// --------------------------------------------------------------------------------------------------------- websocket

/** The commands and events of fanwire.json.v1 over one WebSocket. */
class SocketLink {
  #host;
  #socket = null;
  #opening = deferred();
  #isOpen = false;
  #isClosed = false;
  #welcome = null;
  #lastError = null;
  #subscriptions = new Map();
  #numbers = new Map();
  #leaving = new Map();
  #nextSubscription = 1;
  #publishes = new Map();
  #nextPublish = 1;
  #requests = new Map();
  #nextCorrelation = 1;
  #routes = new Map();
  #idle = [];
  #openTimer = null;
  #liveness = null;
  #heardAt = 0;

  constructor(host) {
    this.#host = host;
  }

  open() {
    const { WebSocket, webSocketUrl } = this.#host.settings;
    this.#opening.promise.catch(() => {});
    if (!WebSocket) {
      const error = new FanwireError("TRANSPORT_UNAVAILABLE", "there is no WebSocket here: pass one in");
      return Promise.reject(final(error));
    }
    try {
      this.#socket = new WebSocket(webSocketUrl, ["fanwire.json.v1"]);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#socket.addEventListener("open", () => this.#greet());
    this.#socket.addEventListener("message", (event) => this.#hear(event.data));
    this.#socket.addEventListener("close", (event) => this.#lose(event));
    // Not everywhere does a close follow a failure to open.
    const fail = () => this.#lose({ reason: "the WebSocket failed" });
    this.#socket.addEventListener("error", () => setTimeout(fail, 50));
    this.#openTimer = setTimeout(() => this.#lose({ reason: "it took too long to open" }), OPEN_TIMEOUT_MS);
    return this.#opening.promise;
  }

  async publish(command) {
    this.#check();
    const text = this.#encode("publish", command);
    if (command.ack === "none") {
      this.#socket.send(text);
      await this.#drained();
      return { level: "none" };
    }
    const promise = new Promise((resolve, reject) => {
      this.#publishes.set(this.#nextPublish, { resolve, reject });
      this.#nextPublish += 1;
    });
    this.#socket.send(text);
    return promise;
  }

  async request(command) {
    this.#check();
    const correlation = this.#nextCorrelation;
    const text = this.#encode("request", { correlation, ...command });
    this.#nextCorrelation = correlation === 0xffffffff ? 1 : correlation + 1;
    const promise = new Promise((resolve, reject) => this.#requests.set(correlation, { resolve, reject }));
    this.#socket.send(text);
    return promise;
  }

  reply(command) {
    if (!this.#isOpen) return;
    this.#socket.send(this.#encode("reply", command));
  }

  subscribe(subscription) {
    const number = this.#nextSubscription++;
    this.#subscriptions.set(number, subscription);
    this.#numbers.set(subscription, number);
    this.#routes.clear();
    this.#send("subscribe", { subscription: number, ...subscription.wish() });
  }

  unsubscribe(subscription) {
    const number = this.#numbers.get(subscription);
    if (number === undefined) return;
    this.#numbers.delete(subscription);
    this.#routes.clear();
    // What a group had handed to it already would be lost: it is taken until the broker says that it was the last.
    if (subscription.group === "" || subscription.closed) this.#subscriptions.delete(number);
    if (this.#isOpen) this.#send("unsubscribe", { subscription: number });
  }

  /** Resolves when nothing waits for an answer. */
  idle() {
    if (this.#publishes.size + this.#requests.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close() {
    this.#shut(new FanwireError("UNKNOWN", "the connection ended before the broker's answer", { retry: "now" }));
    try {
      this.#socket?.close(1000);
    } catch { /* It never opened. */ }
  }

  // -- from the broker

  #greet() {
    const { token, clientName, clientVersion, keepAliveMs } = this.#host.settings;
    const hello = { type: "hello", client_name: clientName, client_version: clientVersion, keep_alive_ms: keepAliveMs };
    if (token) hello.token = token;
    this.#socket.send(JSON.stringify(hello));
  }

  #hear(text) {
    if (this.#isClosed) return;
    this.#heardAt = Date.now();
    let object;
    try {
      object = JSON.parse(text);
    } catch {
      return this.#lose({ reason: "the broker sent what is no JSON" });
    }
    this.#take(object);
  }

  #take(object) {
    switch (object.type) {
      case "welcome": return this.#takeWelcome(object);
      case "message": return this.#takeMessage(object);
      case "ack": return this.#takeAck(object);
      case "response": return this.#takeResponse(object);
      case "error": return this.#takeError(object);
      case "ping": return this.#send("pong", {});
      case "goaway": return this.#host.goaway(this, object);
      default: return this.#takeOfSubscription(object);
    }
  }

  #takeWelcome(welcome) {
    clearTimeout(this.#openTimer);
    this.#isOpen = true;
    this.#welcome = welcome;
    if (welcome.keep_alive_ms > 0) this.#watch(welcome.keep_alive_ms);
    this.#opening.resolve(welcome);
  }

  /** A live delivery is one for all subscriptions that match. */
  #takeMessage(message) {
    const routes = this.#routes;
    let matching = routes.get(message.topic);
    if (!matching) {
      if (routes.size >= 1000) routes.clear();
      const levels = message.topic.split("/");
      const isMatch = (subscription) => subscription.group === "" && filterMatches(subscription.levels, levels);
      matching = [...this.#numbers.keys()].filter(isMatch);
      routes.set(message.topic, matching);
    }
    for (const subscription of matching) subscription.take(message, this);
  }

  #takeOfSubscription(object) {
    const subscription = this.#subscriptions.get(object.subscription);
    if (object.type === "unsubscribed") this.#forget(object.subscription);
    subscription?.take(object, this);
  }

  #takeAck({ first, count, level, first_sequence: firstSequence, duplicate }) {
    for (let index = 0; index < count; index += 1) {
      const receipt = { level };
      if (firstSequence) receipt.sequence = firstSequence + index;
      if (duplicate) receipt.duplicate = true;
      this.#settle(this.#publishes, first + index)?.resolve(receipt);
    }
  }

  #takeResponse(response) {
    const request = this.#settle(this.#requests, response.correlation);
    if (response.code) request?.reject(errorOf(response));
    else request?.resolve(new Message({ topic: "", ...response }));
  }

  #takeError(object) {
    const error = errorOf(object);
    if (object.scope === "connection") {
      this.#lastError = error;
    } else if (object.scope === "publish") {
      this.#settle(this.#publishes, object.reference)?.reject(error);
    } else if (object.scope === "subscription") {
      const subscription = this.#subscriptions.get(object.reference);
      this.#forget(object.reference);
      subscription?.refused(error);
    } else {
      this.#host.report(error);
    }
  }

  #forget(number) {
    const subscription = this.#subscriptions.get(number);
    this.#subscriptions.delete(number);
    if (subscription && this.#numbers.get(subscription) === number) this.#numbers.delete(subscription);
    this.#routes.clear();
  }

  #settle(waiting, key) {
    const found = waiting.get(key);
    waiting.delete(key);
    if (this.#publishes.size + this.#requests.size === 0) this.#idle.splice(0).forEach((resolve) => resolve());
    return found;
  }

  // -- to the broker

  #send(type, fields) {
    if (this.#isOpen) this.#socket.send(JSON.stringify({ type, ...fields }));
  }

  /** A text that is too long would end the connection, so it is refused here. */
  #encode(type, fields) {
    const text = JSON.stringify({ type, ...fields });
    const bound = this.#welcome?.frame_bytes_max ?? Infinity;
    if (text.length * 3 > bound && new TextEncoder().encode(text).length > bound) {
      throw new FanwireError("FRAME_TOO_LARGE", `the broker takes ${bound} bytes at once`);
    }
    return text;
  }

  #check() {
    if (!this.#isOpen) throw new FanwireError("NOT_SENT", "the connection just ended", { retry: "now" });
    if (this.#socket.bufferedAmount > STALLED_BYTES) throw stalledError();
  }

  async #drained() {
    while (this.#isOpen && this.#socket.bufferedAmount > SOCKET_BYTES_MAX) await sleep(5);
  }

  /**
   * Asks when it has been quiet for long, and gives up when that was not answered for as long again. It is never the
   * clock alone that ends a link: in a tab in the background it ticks once a minute.
   */
  #watch(periodMs) {
    let askedAt = null;
    this.#liveness = setInterval(() => {
      if (askedAt !== null && this.#heardAt >= askedAt) askedAt = null;
      if (askedAt !== null && Date.now() - askedAt > periodMs) this.#lose({ reason: "the broker fell silent" });
      else if (askedAt === null && Date.now() - this.#heardAt > periodMs / 2) {
        askedAt = Date.now();
        this.#send("ping", { time: 0 });
      }
    }, periodMs / 2);
  }

  #lose(event) {
    if (this.#isClosed) return;
    const error = this.#lastError ?? new FanwireError("DISCONNECTED", event.reason || `code ${event.code ?? 1006}`,
      { retry: "now" });
    if (this.#lastError?.retry === "never") final(error);
    const wasOpen = this.#isOpen;
    this.close();
    if (wasOpen) this.#host.lost(this, error);
    else this.#opening.reject(error);
  }

  #shut(error) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isOpen = false;
    clearTimeout(this.#openTimer);
    clearInterval(this.#liveness);
    for (const { reject } of [...this.#publishes.values(), ...this.#requests.values()]) reject(error);
    this.#publishes.clear();
    this.#requests.clear();
    this.#idle.splice(0).forEach((resolve) => resolve());
  }
}

// -------------------------------------------------------------------------------------------------------------- http

/** Fetches: a stream or polls for each subscription, and a POST for each publish and request. */
class HttpLink {
  #host;
  #read;
  #subscriptions = new Map();
  #pending = new Map();
  #isLeaving = false;
  #isClosed = false;
  #closing = new AbortController();

  constructor(host, read) {
    this.#host = host;
    this.#read = read;
  }

  /** Proves that the way is free with a subscription that never gets anything. */
  async open() {
    if (!this.#host.settings.fetch) throw final(new FanwireError("TRANSPORT_UNAVAILABLE", "there is no fetch here"));
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), OPEN_TIMEOUT_MS);
    this.#closing.signal.addEventListener("abort", () => stop.abort());
    let hasCome = false;
    try {
      // Whoever hears anything was let in; a proxy that holds streams back never gets as far.
      const isDone = () => (hasCome = true);
      await this.#read(this, { filter: "$fanwire/probe", start: "live" }, stop.signal, isDone);
      if (!hasCome) throw new FanwireError("DISCONNECTED", "the stream ended", { retry: "now" });
    } catch (error) {
      throw error.code === "BAD_CREDENTIALS" ? final(error) : disconnected(error);
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
    return null;
  }

  async publish(command) {
    const { topic, ack, expect, producer } = command;
    const query = { topic, ack };
    if (expect !== undefined) query.expect = expect;
    if (producer) query.producer = `${producer.id}:${producer.sequence}`;
    const { ack: level, ...receipt } = await this.#post("v1/topics", query, command, SILENCE_MS,
      (answer) => answer.json());
    return { level, ...receipt };
  }

  async request(command) {
    const { topic, deadline_ms: deadlineMs } = command;
    const query = { topic, deadline: `${deadlineMs}ms` };
    const bytes = await this.#post("v1/request", query, command, deadlineMs + DEADLINE_GRACE_MS,
      (answer) => answer.arrayBuffer());
    return new Message({ topic: "", payload_base64: toBase64(new Uint8Array(bytes)) });
  }

  subscribe(subscription) {
    const impossible = this.#impossible(subscription);
    if (impossible) return subscription.end(new FanwireError("TRANSPORT_UNAVAILABLE", impossible));
    const stop = new AbortController();
    this.#subscriptions.set(subscription, stop);
    const wish = subscription.wish();
    const isTaken = (object) => {
      if (!stop.signal.aborted) this.#take(subscription, object);
      return stop.signal.aborted;
    };
    this.#read(this, wish, stop.signal, isTaken).then(
      () => stop.signal.aborted || this.#lose(new FanwireError("DISCONNECTED", "the stream ended", { retry: "now" })),
      (error) => stop.signal.aborted || this.#failed(subscription, error),
    );
    return undefined;
  }

  unsubscribe(subscription) {
    this.#subscriptions.get(subscription)?.abort();
    this.#subscriptions.delete(subscription);
  }

  async idle() {
    await Promise.allSettled(this.#pending.values());
  }

  close() {
    this.#isClosed = true;
    this.#closing.abort();
    for (const guard of this.#pending.keys()) guard.stop();
    for (const stop of this.#subscriptions.values()) stop.abort();
    this.#subscriptions.clear();
  }

  /** A GET whose answer is good; refusals are thrown as what they say. */
  async get(path, query, signal) {
    return this.#fetch(path, query, { signal });
  }

  #impossible(subscription) {
    if (subscription.responder) return "requests are answered over WebSocket only";
    if (subscription.noEcho) return "over HTTP nobody knows what is one's own echo: noEcho needs a WebSocket";
    if (this.#subscriptions.size >= this.#host.settings.streamsMax) {
      return `a browser has no room for more than ${this.#host.settings.streamsMax} streams: use a wildcard`;
    }
    return null;
  }

  #take(subscription, object) {
    if (object.type === "goaway") {
      this.#leave(object);
    } else if (object.type === "error" && object.scope === "connection") {
      this.#lose(errorOf(object));
    } else if (object.type === "error") {
      this.unsubscribe(subscription);
      subscription.refused(errorOf(object));
    } else if (object.type === "unsubscribed") {
      this.unsubscribe(subscription);
      subscription.take(object, this);
    } else {
      subscription.take(object, this);
    }
  }

  /** Each stream is told, and it is one broker. */
  #leave(goaway) {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#host.goaway(this, goaway);
  }

  #failed(subscription, error) {
    this.#subscriptions.delete(subscription);
    if (isRefusal(error)) subscription.refused(error);
    else this.#lose(disconnected(error));
  }

  #lose(error) {
    if (this.#isClosed) return;
    this.close();
    this.#host.lost(this, error);
  }

  /** Reads the answer too: until then nothing is sure. */
  async #post(path, query, command, patienceMs, read) {
    const { payload, payload_base64: base64, headers, headers_base64: block } = command;
    if (headers || block) throw new FanwireError("TRANSPORT_UNAVAILABLE", "headers need a WebSocket");
    if (this.#pending.size >= POSTS_MAX) throw stalledError();
    const body = base64 === undefined ? payload ?? "" : fromBase64(base64);
    const guard = guarded(null, patienceMs);
    const posting = this.#fetch(path, query, { method: "POST", body, signal: guard.signal }).then(read);
    this.#pending.set(guard, posting);
    try {
      return await posting;
    } catch (error) {
      if (error instanceof FanwireError && error.number > 0 && error.code !== "HTTP") throw error;
      // What something on the way answered says nothing of the broker, but that it may be gone: a publisher without a
      // stream has nothing else that would notice.
      const isGone = error instanceof FanwireError ? error.number >= 500 : !guard.signal.aborted;
      if (isGone) this.#lose(disconnected(error));
      throw new FanwireError("UNKNOWN", "the connection ended before the broker's answer", { retry: "now" });
    } finally {
      guard.end();
      this.#pending.delete(guard);
    }
  }

  async #fetch(path, query, init) {
    const { fetch, baseUrl, token } = this.#host.settings;
    const url = new URL(path, baseUrl);
    for (const [key, value] of Object.entries(query)) url.searchParams.append(key, value);
    // A plus sign is itself to the broker, and the form encoding makes one of each blank.
    url.search = url.search.replace(/\+/g, "%20");
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(url, { ...init, headers, cache: "no-store", credentials: "omit" });
    if (answer.ok) return answer;
    throw errorOfAnswer(answer.status, await answer.text());
  }
}

/** Server-sent events: hands each object to `isDone` until that, the stream or the signal ends it. */
async function readStream(link, wish, signal, isDone) {
  const guard = guarded(signal, SILENCE_MS);
  try {
    const answer = await link.get("v1/sse", queryOf(wish), guard.signal);
    if (!answer.body?.getReader) throw new FanwireError("TRANSPORT_UNAVAILABLE", "fetch gives no streams here");
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      guard.heard();
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        // The broker writes one data line an event, and the object says what it is.
        if (!line.startsWith("data:") || !isDone(JSON.parse(line.slice(5)))) continue;
        await reader.cancel().catch(() => {});
        return;
      }
    }
  } finally {
    guard.end();
  }
}

/** Long-polling: the same, an answer at a time. The first one comes at once, with the cursor of where to go on. */
async function readPolls(link, wish, signal, isDone) {
  const { from, ...query } = queryOf(wish);
  let place = { ...(from && { from }), wait: "0s" };
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const { messages, cursor } = await poll(link, { ...query, ...place }, signal);
    place = { after: cursor, wait: `${POLL_WAIT_S}s` };
    if (isFirst && !messages.some(({ type }) => type === "subscribed")) {
      if (isDone({ type: "subscribed", outcome: "live" })) return;
    }
    for (const object of messages) {
      if (isDone(object)) return;
    }
  }
}

async function poll(link, query, signal) {
  const guard = guarded(signal, SILENCE_MS);
  try {
    const answer = await link.get("v1/poll", query, guard.signal);
    return await answer.json();
  } finally {
    guard.end();
  }
}

/** A signal that follows another one, and fires by itself when nothing was heard for long: who is gone says nothing. */
function guarded(signal, silenceMs) {
  const controller = new AbortController();
  const stop = () => controller.abort(signal?.reason);
  const expire = () => controller.abort(new FanwireError("DISCONNECTED", "the broker fell silent", { retry: "now" }));
  let timer = setTimeout(expire, silenceMs);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  return {
    signal: controller.signal,
    stop,
    heard() {
      clearTimeout(timer);
      timer = setTimeout(expire, silenceMs);
    },
    end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    },
  };
}

/** A wish as the parameters of a GET. */
function queryOf({ filter, group, policy, max_rate_hz: maxRateHz, start }) {
  const query = { topic: filter };
  if (start !== "live") query.from = startWord(start);
  if (group) query.group = group;
  // What the broker does of itself is at least as good: polls of journaled topics catch up.
  if (policy && policy !== (start === "live" ? "drop-oldest" : "catch-up")) query.policy = policy;
  if (maxRateHz) query.max_rate_hz = maxRateHz;
  return query;
}

function startWord(start) {
  if (start === "last-value") return "last";
  if (typeof start === "string") return start;
  const [[key, value]] = Object.entries(start);
  switch (key) {
    case "last": return `last:${value}`;
    case "sequence": return `seq:${value}`;
    case "position": return `pos:${value}`;
    case "time_us": return `time:${new Date(value / 1000).toISOString()}`;
    default: return `resume:${value.epoch}:${value.sequence ?? value.position}`;
  }
}

// ------------------------------------------------------------------------------------------------- words and payloads

function readSettings(url, options) {
  const location = globalThis.location?.href;
  const base = new URL(url ?? location, location);
  if (!/^(https?|wss?):$/.test(base.protocol)) throw new TypeError(`${base.protocol} is no way to a broker`);
  base.protocol = base.protocol.replace("ws", "http");
  base.pathname = base.pathname.replace(/[^/]*$/, "");
  base.search = base.hash = "";
  const socketUrl = new URL("v1/ws", base);
  socketUrl.protocol = base.protocol.replace("http", "ws");
  const transport = options.transport ?? "auto";
  if (transport !== "auto" && !TRANSPORTS.includes(transport)) {
    throw new TypeError(`transport can't be ${transport}: auto, ${TRANSPORTS.join(", ")}`);
  }
  const isBrowser = typeof globalThis.document !== "undefined";
  const fetch = options.fetch ?? globalThis.fetch;
  return {
    baseUrl: base,
    webSocketUrl: socketUrl.href,
    transport,
    token: options.token ?? "",
    clientName: options.clientName ?? "fanwire.js",
    clientVersion: options.clientVersion ?? "",
    keepAliveMs: options.keepAliveMs ?? 20000,
    timeoutMs: options.timeout ?? 10000,
    buffer: options.buffer ?? 256,
    streamsMax: options.streamsMax ?? (isBrowser ? BROWSER_STREAMS_MAX : Infinity),
    reconnect: options.reconnect === false ? null : { minMs: 250, maxMs: 10000, ...options.reconnect },
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    fetch: fetch && ((...call) => fetch(...call)),
  };
}

/** Half a surrogate pair is no text: the broker would end the connection over it. */
function checkText(text, what) {
  if (typeof text !== "string") throw new TypeError(`the ${what} is no text`);
  if (/\p{Surrogate}/u.test(text)) throw new TypeError(`the ${what} holds half a surrogate pair`);
  return text;
}

/** A payload: text, bytes, or anything else as JSON. */
function encodeContent(payload, headers) {
  const content = {};
  if (typeof payload === "string") content.payload = checkText(payload, "payload");
  else if (payload instanceof ArrayBuffer) content.payload_base64 = toBase64(new Uint8Array(payload));
  else if (ArrayBuffer.isView(payload)) {
    content.payload_base64 = toBase64(new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength));
  } else if (payload !== undefined && payload !== null) content.payload = JSON.stringify(payload);
  if (headers && Object.keys(headers).length > 0) {
    for (const [name, value] of Object.entries(headers)) checkText(name, "header") && checkText(value, "header");
    content.headers = headers;
  }
  return content;
}

function encodeStart(start) {
  if (start instanceof Object && start.time !== undefined) return { time_us: new Date(start.time).getTime() * 1000 };
  if (start instanceof Object && start.timeUs !== undefined) return { time_us: start.timeUs };
  return start;
}

/** Whether such a start and no record mean that there is none. */
function beginsAtRecords(start) {
  return start === "first" || start === "last-value" || (start instanceof Object && start.last !== undefined);
}

/** Headers that are no pairs of text stay a block of bytes. */
function decodeHeaders({ headers, headers_base64: block }) {
  if (block !== undefined) return { bytes: fromBase64(block) };
  return headers ?? {};
}

function toBase64(bytes) {
  let text = "";
  for (let place = 0; place < bytes.length; place += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(place, place + 0x8000));
  }
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Filters as in protocol.md 6.2. */
function filterMatches(filter, topic) {
  if (topic[0].startsWith("$") && (filter[0] === "+" || filter[0] === "#")) return false;
  for (const [index, level] of filter.entries()) {
    if (level === "#") return true;
    if (index >= topic.length || (level !== "+" && level !== topic[index])) return false;
  }
  return filter.length === topic.length;
}

// ------------------------------------------------------------------------------------------------------------- errors

/** What an object of the broker says went wrong. Where no class is told, the code's number has one. */
function errorOf({ name, code, text, retry, retry_after_ms: retryAfterMs, actual }) {
  const classes = { 207: "now", 208: "after", 300: "after", 301: "now", 302: "now", 303: "after", 305: "after" };
  const delays = { 208: 1000, 300: 1000, 303: 100, 305: 100 };
  return new FanwireError(name ?? String(code), text ?? "", {
    number: code,
    retry: retry ?? classes[code] ?? "never",
    retryAfterMs: retryAfterMs ?? delays[code] ?? 0,
    actual,
  });
}

/** A refusal by HTTP; what is no refusal of a broker's comes from something on the way. */
function errorOfAnswer(status, text) {
  try {
    const { code, name, message, ...rest } = JSON.parse(text);
    if (name) return errorOf({ code, name, text: message, ...rest });
  } catch { /* It is no broker's. */ }
  const isTheirs = status >= 500 || status === 408 || status === 429;
  return new FanwireError("HTTP", `status ${status}`, { number: status, retry: isTheirs ? "after" : "never" });
}

/** Whether somebody said no, and would again. */
function isRefusal(error) {
  return error instanceof FanwireError && error.retry === "never";
}

function disconnected(error) {
  if (error instanceof FanwireError) return error;
  return new FanwireError("DISCONNECTED", error?.message ?? "", { retry: "now" });
}

/** No other way, and no other time, would do better. */
function final(error) {
  error.isFinal = true;
  return error;
}

function stalledError() {
  return new FanwireError("NOT_SENT", "the link takes nothing, and much waits for it", { retry: "after" });
}

function closedError() {
  return new FanwireError("CLOSED", "it was closed");
}

// ------------------------------------------------------------------------------------------------------------- small

class Emitter {
  #listeners = new Map();

  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  /** Returns whether anybody listens. A listener that throws must not break what called it. */
  emit(name, ...details) {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...details);
      } catch (error) {
        setTimeout(() => { throw error; });
      }
    }
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }
}

function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((...both) => [resolve, reject] = both);
  return { promise, resolve, reject };
}

function within(promise, timeoutMs, makeError) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(makeError()), timeoutMs); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const sleep = (timeMs) => new Promise((resolve) => setTimeout(resolve, timeMs));
