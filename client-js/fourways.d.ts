/** Fourways in a page or in Node: one log, by the best technique that works here, resumed by its cursor. */

/** The four ways, from the best to the one that always works. */
export type Technique = 'websocket' | 'sse' | 'long_poll' | 'short_poll';

/** A place in the log, as the server gave it out. */
export type Cursor = string;

/** One event of the log. */
export interface FourwaysEvent<T = unknown> {
  type: 'event';
  topic: string;
  cursor: Cursor;
  name: string;
  /** The publisher's idempotency key. */
  id?: string;
  /** By the server's clock, in microseconds since 1970. */
  published_at: number;
  data: T;
  /** `data` is bytes, in base64. */
  encoding?: 'base64';
}

/** Continuity broke: what is gone is gone, and the stream goes on from `cursor`. */
export interface Reset {
  type: 'reset';
  reason: string;
  /** How many events were missed, where that is known. */
  missed: number | null;
  earliest: Cursor;
  cursor: Cursor;
  topics: string[];
}

/**
 * How things stand. `shared`: another tab of this origin (or another subscription of this one) holds the line, and it is open.
 * `stopped`: it was refused.
 */
export interface State {
  technique: Technique | null;
  state: 'open' | 'waiting' | 'shared' | 'stopped';
  /** While it waits: what failed last, if anything said why. A `TypeError` of `fetch` is a network, or an origin that is not let in. */
  error?: Error | Refusal | undefined;
}

/** What the server said when it refused. */
export interface Refusal extends Error {
  /** problem+json (RFC 9457), where it was one. */
  problem?: { type?: string; code?: string; title?: string; status?: number; detail?: string; field?: string };
  /** The HTTP status, or what a socket was closed with less 4000. */
  status?: number;
  /** Asking again would not help. */
  stop?: boolean;
}

export interface Connection {
  /** The server, with the path that it is served below, if there is one; without it, where this module came from. */
  url?: string | undefined;
  /** A token, or what gets a fresh one: shown in a header, and on a socket as a one-time ticket. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** As for `fetch`; `same-origin` without it. */
  credentials?: 'omit' | 'same-origin' | 'include' | undefined;
}

export interface SubscribeOptions extends Connection {
  /** Begin after this place, or with `'earliest'`; without it, with what is published from now on. */
  after?: Cursor | 'earliest' | undefined;
  /** Begin with the last so many events. */
  last?: number | undefined;
  /** `latest`: of a backlog only the newest event of each topic. */
  policy?: 'all' | 'latest' | undefined;
  /** Which techniques, from the best; all four without it. */
  techniques?: readonly Technique[] | undefined;
  /**
   * False: this tab has a line of its own. Otherwise all tabs of an origin share one that read the same topics, and whose tokens
   * (or cookies) say the same: who may not hear it hears nothing of it.
   */
  share?: boolean | undefined;
  /** Ends the subscription, as `close()` does. */
  signal?: AbortSignal | undefined;
  /** Between short polls, in milliseconds; 5,000 without it. */
  pollMs?: number | undefined;
  /** After how long to look whether a better technique works again, in milliseconds; 60,000 without it, doubled each time. */
  climbMs?: number | undefined;
  /** How long a line may show no sign of life before it is given up, in milliseconds; 6,000 without it. */
  proofMs?: number | undefined;
  /** How long a better line must live before it is trusted, in milliseconds; 10,000 without it. */
  youngMs?: number | undefined;
  /** How long the tab that holds the line may be silent before it is asked, and then replaced, in milliseconds; 5,000 without it. */
  tabMs?: number | undefined;
  onReset?: ((reset: Reset) => void) | undefined;
  onState?: ((state: State) => void) | undefined;
  /** The stream has ended: it was refused, and would be again. */
  onError?: ((error: Refusal) => void) | undefined;
}

/** A stream that goes on until it is closed. */
export interface Subscription {
  /** Up to here everything has been handed on. */
  readonly cursor: Cursor | null;
  readonly technique: Technique | null;
  close(): void;
}

/** Every event of these topics (or patterns: `orders.*`, `chat.>`), each once and in order. */
export function subscribe<T = unknown>(
  topics: string | readonly string[],
  onEvent: (event: FourwaysEvent<T>) => void,
  options?: SubscribeOptions,
): Subscription;

export interface PublishOptions extends Connection {
  /** Makes a repeat harmless; a random one without it. */
  id?: string | undefined;
  /** The event's name. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Publishes one event, again and again with one key until the server has it or refuses it; its cursor. After four minutes without
 * an answer it gives up, because the server knows a key again for five.
 */
export function publish(topic: string, data: unknown, options?: PublishOptions): Promise<Cursor>;
