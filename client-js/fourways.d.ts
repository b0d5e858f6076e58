/** The Fourways client for pages and Node: one log, read by the best technique that works and resumed by cursor. */

/** The four techniques, from the best to the one that always works. */
export type Technique = 'websocket' | 'sse' | 'long_poll' | 'short_poll';

/** A reader's place in the log. The text is opaque: pass it back as the server gave it. */
export type Cursor = string;

/** One event of the log. */
export interface FourwaysEvent<T = unknown> {
  type: 'event';
  topic: string;
  cursor: Cursor;
  name: string;
  /** The publisher's idempotency key, if it gave one. */
  id?: string;
  /** Time of publication by the server's clock, in microseconds since 1970. */
  published_at: number;
  data: T;
  /** Present if `data` is bytes, as a base64 string. */
  encoding?: 'base64';
}

/** A break in continuity: some events were missed for good, and the stream continues after `cursor`. */
export interface Reset {
  type: 'reset';
  reason: string;
  /** Number of events that were missed; `null` if it is not known. */
  missed: number | null;
  earliest: Cursor;
  cursor: Cursor;
  topics: string[];
}

/**
 * The state of a subscription. `shared`: another tab of this origin, or another subscription of this tab, holds the
 * open connection. `stopped`: the subscription was refused for good.
 */
export interface State {
  technique: Technique | null;
  state: 'open' | 'waiting' | 'shared' | 'stopped';
  /**
   * While `waiting`, the last failure, if its reason is known. A `TypeError` of `fetch` means that the network failed
   * or that the server does not allow this origin.
   */
  error?: Error | Refusal | undefined;
}

/** The error for a request that the server refused. */
export interface Refusal extends Error {
  /** The body, if it is problem+json (RFC 9457). */
  problem?: { type?: string; code?: string; title?: string; status?: number; detail?: string; field?: string };
  /** The HTTP status, or a socket's close code minus 4000. */
  status?: number;
  /** True if repeating the request would not help. */
  stop?: boolean;
}

export interface Connection {
  /** The server's address, with a path if it is served below one. Default: the address that this module came from. */
  url?: string | undefined;
  /** A token, or a function that returns a fresh one. Sent in a header; a socket uses a one-time ticket instead. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** The `credentials` of every `fetch`. Default: `same-origin`. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined;
}

export interface SubscribeOptions extends Connection {
  /** Cursor to begin after, or `'earliest'` for the oldest retained event. Default: events published from now on. */
  after?: Cursor | 'earliest' | undefined;
  /** Begins with the newest N events. */
  last?: number | undefined;
  /** `latest` conflates: of pending events only the newest of each topic is delivered. Default: `all`. */
  policy?: 'all' | 'latest' | undefined;
  /** Techniques to use, the best first. Default: all four. */
  techniques?: readonly Technique[] | undefined;
  /**
   * False gives this tab a connection of its own. By default, tabs of an origin share one if they read the same topics
   * and their tokens (or cookies) grant the same rights. A tab without those rights receives nothing from it.
   */
  share?: boolean | undefined;
  /** Ends the subscription when aborted, as `close()` does. */
  signal?: AbortSignal | undefined;
  /** Interval between short polls, in milliseconds. Default: 5,000. */
  pollMs?: number | undefined;
  /** Time until a better technique is probed again, in milliseconds; doubled after each failure. Default: 60,000. */
  climbMs?: number | undefined;
  /** Time in which a new connection must show a sign of life, in milliseconds. Default: 6,000. */
  proofMs?: number | undefined;
  /** Age at which a better connection replaces the current one, in milliseconds. Default: 10,000. */
  youngMs?: number | undefined;
  /**
   * Silence after which the tab that holds the shared connection is asked for a sign of life, in milliseconds; after as
   * much again it is replaced. Default: 5,000.
   */
  tabMs?: number | undefined;
  /** Called when events were missed. */
  onReset?: ((reset: Reset) => void) | undefined;
  /** Called when the state changes. */
  onState?: ((state: State) => void) | undefined;
  /** Called once when the stream has ended because the server refused it for good. */
  onError?: ((error: Refusal) => void) | undefined;
}

/** A stream of events that stays open until it is closed or refused for good. */
export interface Subscription {
  /** Cursor up to which everything has been delivered; `null` before the first one is known. */
  readonly cursor: Cursor | null;
  /** Technique in use; `null` before the first one is tried and after a final refusal. */
  readonly technique: Technique | null;
  /** Ends the subscription. */
  close(): void;
}

/** Delivers every event of these topics (or patterns, as in `orders.*` and `chat.>`) once and in order. */
export function subscribe<T = unknown>(
  topics: string | readonly string[],
  onEvent: (event: FourwaysEvent<T>) => void,
  options?: SubscribeOptions,
): Subscription;

export interface PublishOptions extends Connection {
  /** Idempotency key, which makes a repeat harmless. Default: a random one. */
  id?: string | undefined;
  /** Name of the event. Default: `message`. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Publishes one event and returns its cursor. The request is repeated with the same key until the server has the event
 * or refuses it, but for four minutes at most, because the server remembers a key for five.
 */
export function publish(topic: string, data: unknown, options?: PublishOptions): Promise<Cursor>;
