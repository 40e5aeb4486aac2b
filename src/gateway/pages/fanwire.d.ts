// Types of fanwire.js, whose comments say what holds.

/** A way to the broker. */
export type Transport = "websocket" | "sse" | "poll";

/** "connecting" until the broker was reached once. */
export type State = "connecting" | "open" | "reconnecting" | "closed";

/** What can be sent: text, bytes, or anything else that has a JSON form. `undefined` and `null` are empty. */
export type Payload =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | number
  | boolean
  | null
  | undefined
  | { readonly [name: string]: unknown }
  | readonly unknown[];

export type Headers = Readonly<Record<string, string>>;

/** What a message has survived when it is acknowledged (protocol.md 5.3). */
export type AckLevel = "none" | "routed" | "journaled" | "durable";

/** What the broker does when the connection does not keep up (protocol.md 5.5). */
export type Policy = "disconnect" | "drop-oldest" | "drop-newest" | "conflate" | "catch-up";

/**
 * What the client does when an iterator's buffer is full.
 *
 * - `pause`: the broker is told to stop, and to go on when half of the buffer was read. Nothing is lost: a journal
 *   keeps the messages, a group hands them to its other members. The default there, and not to be had elsewhere. Over
 *   HTTP, what a group had sent to this member already is lost with the stream.
 * - `drop-oldest`, `drop-newest`: what is lost is counted, and told by a gap before the next message. The oldest is
 *   the default for live topics.
 * - `close`: the subscription ends with SLOW_CONSUMER.
 */
export type Overflow = "pause" | "drop-oldest" | "drop-newest" | "close";

/** Behind which message to go on: with a sequence for an exact filter, with a position for a wildcard. */
export type Place =
  | { readonly epoch: number; readonly sequence: number }
  | { readonly epoch: number; readonly position: number };

/** Where to start. All but "live" need a journal. */
export type Start =
  | "live"
  | "last-value"
  | "first"
  | { readonly last: number }
  | { readonly sequence: number }
  | { readonly position: number }
  | { readonly time: Date | number | string }
  | { readonly timeUs: number }
  | { readonly resume: Place };

/** The part of the browsers' WebSocket that is used; the one of `ws` will do. */
export interface WebSocketLike {
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code?: number): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { data: any }) => void): void;
  addEventListener(type: "close", listener: (event: { code: number; reason: string }) => void): void;
}

export interface ConnectOptions {
  /** Sent in the first message, or as a Bearer token: never in a URL. */
  readonly token?: string;
  /** The default, "auto": WebSocket, then event streams, then long-polling. */
  readonly transport?: "auto" | Transport;
  /** False: the first failure is the end. The delay is drawn between 0 and a bound that doubles up to `maxMs`. */
  readonly reconnect?: false | { readonly minMs?: number; readonly maxMs?: number };
  /** How long a publish waits for a link, in ms; 10 000. */
  readonly timeout?: number;
  /** Messages that an iterator may be behind; 256. */
  readonly buffer?: number;
  /** Silence after which a WebSocket asks whether the other side is there, in ms; 20 000. 0: never. */
  readonly keepAliveMs?: number;
  /** Shown in the broker's log, at most 64 bytes each. */
  readonly clientName?: string;
  readonly clientVersion?: string;
  /** Subscriptions over HTTP at one time; 4 in browsers, which open six connections to a host. */
  readonly streamsMax?: number;
  /** For where there is none, such as Node before 22. */
  readonly WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  readonly fetch?: typeof globalThis.fetch;
}

export interface SubscribeOptions {
  /** Each message goes to one of the group's members. */
  readonly group?: string;
  /** "drop-oldest" for a live start, else "catch-up". */
  readonly policy?: Policy;
  /** Leave out what this client published. WebSocket only. */
  readonly noEcho?: boolean;
  /** With "conflate": messages a second and topic at the most. */
  readonly maxRateHz?: number;
  readonly start?: Start;
  /** For iterators. */
  readonly buffer?: number;
  /** For iterators. */
  readonly overflow?: Overflow;
}

export interface PublishOptions {
  /** "routed". */
  readonly ack?: AckLevel;
  /** The topic's last sequence must be this one; 0: it has no record. Else CONFLICT, with `actual`. */
  readonly expect?: number;
  /** The journal takes each number of a producer once. */
  readonly producer?: { readonly id: number; readonly sequence: number };
  /** WebSocket only. */
  readonly headers?: Headers;
  /** How long to wait for a link, in ms. */
  readonly timeout?: number;
}

export interface RequestOptions {
  /** The deadline, in ms; 5 000. */
  readonly timeout?: number;
  /** WebSocket only. */
  readonly headers?: Headers;
}

/** A publish that was acknowledged. */
export interface Receipt {
  readonly level: AckLevel;
  /** Its number in a journaled topic. */
  readonly sequence?: number;
  /** There if the producer's number was taken before; the sequence is the first one's. */
  readonly duplicate?: true;
}

/** The broker's first word on a WebSocket (protocol.md, appendix D). */
export interface Welcome {
  readonly type: "welcome";
  readonly version: number;
  readonly open: boolean;
  readonly draining: boolean;
  readonly connection_id: number;
  readonly server_time_us: number;
  readonly keep_alive_ms: number;
  readonly frame_bytes_max: number;
  readonly headers_bytes_max: number;
  readonly queue_bytes_max: number;
  readonly subscriptions_max: number;
  readonly requests_max: number;
  readonly deadline_ms_max: number;
  readonly topic_bytes_max: number;
  readonly topic_levels_max: number;
  readonly filter_plus_max: number;
  readonly server_name: string;
}

export type Outcome = "live" | "history" | "resumed" | "reset-epoch" | "reset-retention" | "reset-beyond";

/** What a subscription tells besides messages. */
export interface Notices {
  /** It is in effect. */
  readonly subscribed: { readonly type: "subscribed"; readonly outcome: Outcome; readonly epoch?: number };
  /** What was there is handed over; what follows is new. */
  readonly "caught-up": { readonly type: "caught-up" };
  /** Messages are missing here: the broker's policy dropped them, or this client's overflow did. */
  readonly gap: {
    readonly type: "gap";
    readonly dropped: number;
    readonly conflated: number;
    readonly by: "broker" | "client";
  };
  /** The place to go on from is gone: it starts over, and what was kept of the past is to be thrown away. */
  readonly reset: { readonly type: "reset"; readonly reason: "epoch" | "retention" | "beyond" };
  /** There is a link again. Nothing is missing, or something may be. */
  readonly reconnected: { readonly type: "reconnected"; readonly missing: boolean };
  /** The iterator's buffer is full. */
  readonly paused: { readonly type: "paused" };
  /** It is read again. */
  readonly unpaused: { readonly type: "unpaused" };
  /** It is over. */
  readonly end: { readonly type: "end"; readonly error: FanwireError | null };
}

export type Notice = Notices[keyof Notices];

export interface ClientEvents {
  open: (event: { readonly transport: Transport; readonly welcome: Welcome | null }) => void;
  /** There is no link; the next attempt comes after the delay. */
  reconnecting: (event: {
    readonly attempt: number;
    readonly delayMs: number;
    readonly error: FanwireError | undefined;
  }) => void;
  /** The broker goes down; the client leaves after the delay, and comes back. */
  goaway: (event: { readonly code: string; readonly text: string; readonly delayMs: number }) => void;
  /** The notices of all subscriptions. */
  notice: (notice: Notice, subscription: Subscription) => void;
  /** What nobody waits for: a refused publish without ack, a callback or handler that threw. */
  error: (error: unknown) => void;
  close: (event: { readonly error: FanwireError | null }) => void;
}

/** Ends the listening. */
export type Stop = () => void;

export class FanwireError extends Error {
  constructor(
    code: string,
    message?: string,
    details?: {
      readonly number?: number | undefined;
      readonly retry?: "never" | "now" | "after" | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly actual?: number | undefined;
    },
  );
  /**
   * A name of the registry (protocol.md 7), or: UNKNOWN (sent, and the link broke before the answer), NOT_SENT (there
   * was no link, or one that took nothing), DISCONNECTED, CLOSED (by `close` or `unsubscribe`), TRANSPORT_UNAVAILABLE
   * (this way can't do it), ANSWERED, HTTP (an answer that is no broker's).
   */
  readonly code: string;
  /** Its number, 0 for the client's own. */
  readonly number: number;
  readonly retry: "never" | "now" | "after";
  readonly retryAfterMs: number;
  /** With CONFLICT: the topic's last sequence. */
  readonly actual?: number;
}

export class Message {
  private constructor();
  /** Empty for replies. */
  readonly topic: string;
  readonly sequence?: number;
  readonly position?: number;
  /** When it was journaled, in microseconds; told of history only. */
  readonly timeUs?: number;
  /** Empty if there are none; one field `bytes` if they are no pairs of text. */
  readonly headers: Headers | { readonly bytes: Uint8Array };
  /** Whether the payload is UTF-8. */
  readonly isText: boolean;
  readonly text: string;
  readonly bytes: Uint8Array;
  json<T = unknown>(): T;
}

/** A request to answer: by what the handler returns, or by `reply`, which can send headers. */
export interface Call extends Message {
  /** What was left of the deadline when it came. */
  readonly deadlineMs: number;
  readonly isAnswered: boolean;
  reply(payload?: Payload, options?: { readonly headers?: Headers }): void;
}

export class Subscription implements AsyncIterable<Message> {
  private constructor();
  readonly filter: string;
  readonly group: string;
  readonly isExact: boolean;
  readonly ready: Promise<{ readonly outcome: Outcome; readonly epoch?: number }>;
  readonly place: Place | null;
  readonly buffered: number;
  readonly closed: boolean;
  on<N extends keyof Notices>(name: N, listener: (notice: Notices[N]) => void): Stop;
  unsubscribe(): void;
  /** One reader. Leaving the loop unsubscribes; a subscription that was refused throws. */
  [Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined>;
}

export type Callback = (message: Message, subscription: Subscription) => void | Promise<void>;

export class Client {
  constructor(url?: string | URL, options?: ConnectOptions);
  readonly ready: Promise<void>;
  readonly state: State;
  readonly transport: Transport | null;
  readonly welcome: Welcome | null;
  on<N extends keyof ClientEvents>(name: N, listener: ClientEvents[N]): Stop;
  subscribe(filter: string, callback: Callback): Subscription;
  subscribe(filter: string, options?: SubscribeOptions, callback?: Callback): Subscription;
  respond(filter: string, group: string, handler: (call: Call) => Payload | void | Promise<Payload | void>): Subscription;
  publish(topic: string, payload?: Payload, options?: PublishOptions): Promise<Receipt>;
  request(topic: string, payload?: Payload, options?: RequestOptions): Promise<Message>;
  close(): void;
}

/** Without a URL, to where the page came from. */
export function connect(url?: string | URL, options?: ConnectOptions): Client;
