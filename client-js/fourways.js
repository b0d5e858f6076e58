// The Fourways client for pages and Node: one log, read by the best technique that works on this path and resumed by
// cursor.
//
//   const stream = subscribe(['orders.*'], event => show(event.data));
//
// No event is lost or delivered twice, through every cut, fallback and hand-over between tabs. Only the cursor decides.
//
// A Subscription belongs to the page that made it. Its tab either leads, with a Feed that keeps one Line open, or
// follows the leading tab over a BroadcastChannel; a Web Lock decides which tab leads. Members with an underscore are
// internal to this module.

/** The techniques, from the best to the one that always works. */
const TECHNIQUES = ['websocket', 'sse', 'long_poll', 'short_poll'];
/** Time in which a new line must show a sign of life; otherwise the path blocks it or holds its bytes back. */
const PROOF_MS = 6000;
/** Age below which a line that ends counts as cut by the path; two such cuts in a row give up the technique. */
const YOUNG_MS = 10000;
/** Upper bounds of the first and of every backoff, as in shared/src/backoff.rs. */
const BASE_MS = 500;
const CAP_MS = 15000;
/** Shortest and longest wait before another attempt, whatever a server asks for. */
const LEAST_MS = 200;
const MOST_MS = 600000;
/** Time until a better technique is probed, and the limit of its doubling. */
const CLIMB_MS = 60000;
const MAX_CLIMB_MS = 3600000;
/** Default interval between short polls. */
const POLL_MS = 5000;
/** Silence after which the leading tab is asked for a sign of life; after as much again it is replaced. */
const TAB_MS = 5000;
/** Number of messages of the leading tab that are kept while this tab catches up. */
const MAX_HEARD = 1000;
/** Length of an unfinished SSE block at most; no server sends a longer one. */
const MAX_REST = 2 ** 24;
/** Time for which a publish is repeated; below the five minutes for which the server remembers an idempotency key. */
const KEY_MS = 240000;

const sleep = (ms, signal) => new Promise(done => {
  const over = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', over);
    done();
  };
  const timer = setTimeout(over, ms);
  signal?.addEventListener('abort', over);
});
/** Exponential backoff with full jitter, so that clients that were cut off together do not reconnect together. */
const backoff = attempt => Math.max(LEAST_MS, Math.random() * Math.min(BASE_MS * 2 ** attempt, CAP_MS));
const fault = (text, more) => Object.assign(new Error(text), more);
const isPage = globalThis.addEventListener && globalThis.document;

/** Returns the server's address up to the last slash, before `v1/`. */
function base({ url }) {
  const address = url ? new URL(url, globalThis.location?.href) : new URL(/* @vite-ignore */ '.', import.meta.url);
  if (!/^https?:$/.test(address.protocol)) throw new TypeError('options.url is missing');
  return address.origin + address.pathname.replace(/\/*$/, '/');
}

/** True if a request with this status must not be repeated. Tested against `Advice` in shared/src/problem.rs. */
const isFinal = status => status >= 400 && status < 500 && ![408, 425, 429].includes(status);
/** True if a socket that was closed with this code must not be opened again; also as in `Advice`. */
const isFinalClose = code => [1002, 1003].includes(code) || (code > 1006 && code < 1011)
  || (code >= 4400 && code < 4600 && isFinal(code - 4000));

/** Delivers every event of these topics from now on, or after `options.after`. */
export function subscribe(topics, onEvent, options = {}) {
  // Without a topic the stream would be open and deliver nothing. Sorted, so that tabs with the same topics share.
  const sorted = [topics].flat().sort();
  if (!sorted[0]) throw new TypeError('no topics');
  return new Subscription(sorted, onEvent, options);
}

/** Publishes one event and returns its cursor. Repeats the request with one key until the server has it or refuses. */
export async function publish(topic, data, options = {}) {
  // A page that was loaded over plain http has no `randomUUID`.
  const id = options.id ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
  const name = options.name ? `?name=${encodeURIComponent(options.name)}` : '';
  // Throws at once if the address is wrong.
  base(options);
  const path = `v1/topics/${encodeURIComponent(topic)}/events${name}`;
  const body = JSON.stringify(data);
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': id };
  const began = Date.now();
  for (let attempt = 0, isRenewed = false; ; attempt++) {
    try {
      const answer = await ask(options, path, { method: 'POST', headers, body });
      return (await answer.json()).cursor;
    } catch (error) {
      // An expired token is renewed once.
      const isStale = error.status === 401 && options.token?.call && !isRenewed;
      isRenewed ||= isStale;
      if ((error.stop && !isStale) || options.signal?.aborted || Date.now() - began > KEY_MS) throw error;
      await sleep(Math.max(backoff(attempt), error.waitMs ?? 0), options.signal);
      options.signal?.throwIfAborted();
    }
  }
}

/** Gets the token. The page's function may fail or never answer, so there is a time limit. */
async function tokenOf({ token }) {
  if (!token?.call) return token;
  const over = new AbortController();
  try {
    return await Promise.race([token(), sleep(PROOF_MS, over.signal).then(() => { throw fault('no token came'); })]);
  } finally {
    over.abort();
  }
}

/** Sends a request with the token in its header. Throws a refusal, with `stop` set if a repeat would not help. */
async function ask(options, path, init = {}, token = tokenOf(options)) {
  const shown = await token;
  const headers = { ...init.headers, ...(shown && { Authorization: `Bearer ${shown}` }) };
  const late = AbortSignal.timeout(30000);
  const signal = init.signal ?? AbortSignal.any?.([options.signal ?? late, late]) ?? late;
  const answer = await fetch(base(options) + path, { cache: 'no-store', credentials: options.credentials ?? 'same-origin', ...init, signal, headers });
  const { status } = answer;
  if (answer.ok || status === 304) return answer;
  const problem = await answer.json().catch(() => ({}));
  const waitMs = answer.headers.get('Retry-After') * 1000 || 0;
  throw fault(problem.detail ?? `HTTP ${status}`, { problem, status, stop: isFinal(status), waitMs });
}

class Subscription {
  cursor = null;
  technique = null;
  /** Number of failures in a row, over all lines; it survives a hand-over of the lead. */
  _attempt = 0;
  _notBefore = 0;
  /** Counts each start of sharing and each end. Asynchronous work that began under an older number must stop. */
  _turn = 0;
  _listening = [];

  constructor(topics, onEvent, options) {
    this._onEvent = onEvent;
    this._options = options;
    this._tabMs = options.tabMs ?? TAB_MS;
    this._base = base(options);
    this._query = topics.map(topic => `topic=${encodeURIComponent(topic)}`).join('&')
      + (options.policy ? `&policy=${options.policy}` : '');
    const { after } = options;
    if (after && after !== 'earliest') this.cursor = after;
    this.#on(options.signal, 'abort', () => this.close());
    if (isPage) {
      const rest = () => this.#rest();
      const wake = () => {
        if (this._isResting) this.#begin();
        this._feed?._wake();
        this.#look();
      };
      this.#on(globalThis, 'online', wake);
      this.#on(document, 'visibilitychange', () => document.hidden || wake());
      // A page in the back/forward cache, or frozen, receives nothing but would keep the line and its lock.
      this.#on(globalThis, 'pagehide', rest);
      this.#on(globalThis, 'pageshow', wake);
      this.#on(document, 'freeze', rest);
      this.#on(document, 'resume', wake);
    }
    if (options.signal?.aborted) this.close();
    else this.#begin();
  }

  #on(target, name, listener) {
    target?.addEventListener(name, listener);
    this._listening.push(() => target?.removeEventListener(name, listener));
  }

  /** Ends the subscription; another tab takes over the lead. */
  close() {
    this._isClosed = true;
    this.#rest();
    this._listening.forEach(end => end());
  }

  #rest() {
    this._turn++;
    this._isResting = true;
    this.#yield();
    this.#hush();
    this._waiting = this._waiting?.abort();
  }

  #hush() {
    this._channel?.close();
    this._channel = null;
    clearInterval(this._watch);
  }

  /** Gives up the lead, so that another tab can take it. */
  #yield() {
    this._feed?.close();
    this._feed = null;
    this._release?.();
  }

  #begin() {
    this._isResting = false;
    const turn = ++this._turn;
    // Without sharing: there are no Web Locks, or this frame may not use them.
    const alone = () => {
      if (turn !== this._turn || this._feed) return;
      this.#hush();
      this.#lead();
    };
    if (this._options.share === false || !isPage || !navigator.locks) alone();
    else this.#share(turn).catch(alone);
  }

  /** Names the rights of the token: tabs share a line only if these are equal. Throws if the token is not a JWT. */
  async #who(token) {
    const { exp, iat, nbf, jti, expires_at, ...who } = token
      ? JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
      // The token may be in a cookie, which no page can read, so the server is asked.
      : await (await ask(this._options, 'v1/session', { signal: AbortSignal.timeout(PROOF_MS) }, null)).json();
    this._isPublic = who.subject === null;
    return JSON.stringify(who);
  }

  /** Shares the line: one tab of an origin leads, the others follow it, and the next in the lock's queue takes over. */
  async #share(turn) {
    const who = await this.#who(await tokenOf(this._options));
    const isOver = () => turn !== this._turn;
    if (isOver()) return;
    this._who = who;
    const name = `fourways ${this._base} ${this._query} ${who}`;
    const channel = this._channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => isOver() || (data.hello ? this._feed && this.#tell({}) : this._feed || !this._waiting || this.#hear(data));
    const lead = lock => lock && new Promise(release => {
      this._release = release;
      if (isOver()) release();
      else this.#lead();
    });
    this._lookedAt = this._heardAt = Date.now();
    this._watch = setInterval(() => this.#look(), this._tabMs / 5);
    let how = { ifAvailable: true };
    while (!isOver()) {
      try {
        await navigator.locks.request(name, how, lead);
      } catch (error) {
        // The lock was stolen by a tab that heard nothing from here, or the wait was given up to steal it. Any other
        // error means that locks do not work here.
        if (error.name !== 'AbortError') throw error;
      }
      if (isOver()) return;
      this.#yield();
      if (this._isStealing) {
        this._isStealing = false;
        how = { steal: true };
        continue;
      }
      this.#follow();
      this._waiting = new AbortController();
      how = { signal: this._waiting.signal };
    }
  }

  #follow() {
    this._heardAt = Date.now();
    this._asks = 0;
    this.#tell({ hello: true });
    if (!this.cursor && (this._options.after || this._options.last)) this.#catchUp();
  }

  /** Checks that the leading tab is alive: it answers a message even if its timers are throttled. */
  #look() {
    const now = Date.now();
    const tabMs = this._tabMs;
    // After a pause of this tab itself, messages that the leading tab sent meanwhile may still arrive.
    const wasAway = now - this._lookedAt > tabMs;
    this._lookedAt = now;
    if (this._feed || !this._channel || !this._waiting || now - this._heardAt <= tabMs) return;
    if (this._asks > 2 || (this._asks && !wasAway && now - this._askedAt > tabMs)) {
      this._asks = 0;
      this._isStealing = true;
      // If all tabs are slow, stealing the lead from each other helps none of them.
      this._tabMs *= 2;
      this._waiting.abort();
    } else if (!this._asks || wasAway) {
      this._asks++;
      this._askedAt = now;
      this.#tell({ hello: true });
    }
  }

  /** Reads the events that this tab missed before the leading tab's messages; until then those messages are kept. */
  async #catchUp() {
    if (this._heard) return;
    this._heard = [];
    const { _turn: turn, cursor } = this;
    const isOver = () => turn !== this._turn || this._feed;
    // The leading tab may read another log, from which this request brings nothing.
    if (this._wasVain) await sleep(1000);
    for (let attempt = 0, more = true; more && !isOver();) {
      try {
        const answer = await ask(this._options, `v1/events?${this._query}${begin(this)}&limit=1000`);
        const body = await answer.json();
        if (isOver()) break;
        ({ more } = take(this, body));
        attempt = 0;
      } catch (error) {
        if (isOver()) break;
        if (error.stop) return this._stop(error);
        await sleep(Math.max(backoff(attempt++), error.waitMs ?? 0));
      }
    }
    const { _heard: heard } = this;
    this._heard = null;
    this._wasVain = cursor === this.cursor;
    if (!isOver()) heard.forEach(data => isSame(data.cursor, this.cursor) && this.#hear(data));
  }

  #lead() {
    this._waiting = null;
    this._feed = new Feed(this);
  }

  #tell(data) {
    try {
      this._channel?.postMessage({ technique: this.technique, state: this._told, cursor: this.cursor, ...data });
    } catch { /* The channel was closed meanwhile. The data is JSON, so cloning can't fail. */ }
  }

  /** Handles a message of the leading tab. `prior` is the cursor before it; a tab at another one missed something. */
  #hear(data) {
    this._heardAt = Date.now();
    this._asks = 0;
    const { prior, cursor, event, reset, technique, state } = data;
    if (technique !== this.technique || state !== this._told) this._state(technique, state);
    if (this._heard) {
      if (this._heard.length < MAX_HEARD) this._heard.push(data);
      return;
    }
    if (!cursor || cursor === this.cursor) return;
    // Without a cursor yet, and without one asked for, this tab starts at the leading tab's.
    this.cursor ??= prior ?? cursor;
    const place = prior ?? cursor;
    if (reset ? prior !== this.cursor : !isSame(place, this.cursor) || isAfter(place, this.cursor)) return void this.#catchUp();
    if (reset) this._reset(reset);
    else if (event) this._event(event);
    else this._moved(cursor);
  }

  /** Delivers an event, unless it is a repeat. */
  _event(event) {
    const prior = this.cursor;
    if (this._isClosed || !isAfter(event.cursor, prior)) return;
    this.cursor = event.cursor;
    if (this._feed) this.#tell({ event, prior });
    this.#hand(this._onEvent, event);
  }

  /** Moves the cursor without an event. */
  _moved(cursor) {
    const prior = this.cursor;
    if (this._isClosed || !isAfter(cursor, prior)) return;
    this.cursor = cursor;
    if (this._feed) this.#tell({ prior });
  }

  /** Handles a break in continuity: delivery continues after the reset's cursor, which may be further back. */
  _reset(reset) {
    const prior = this.cursor;
    // Another line may have brought the events that this one lost.
    if (this._isClosed || (isSame(reset.cursor, prior) && !isAfter(reset.cursor, prior))) return;
    this.cursor = reset.cursor;
    if (this._feed) this.#tell({ reset, prior });
    this.#hand(this._options.onReset, reset);
  }

  /** Calls a listener of the page. An error in it is reported, but does not affect the line. */
  #hand(listener, what) {
    try {
      listener?.(what);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  _state(technique, state, error) {
    if (this._isClosed) return;
    this.technique = technique;
    this._told = state;
    if (this._feed) this.#tell({});
    this.#hand(this._options.onState, { technique, state: this._feed || state !== 'open' ? state : 'shared', error });
  }

  /** Ends the subscription after a final refusal. Other tabs have their own tokens, and continue. */
  _stop(error) {
    if (this._isClosed) return;
    this.close();
    this.technique = null;
    this.#hand(this._options.onState, { technique: null, state: 'stopped' });
    this.#hand(this._options.onError, error);
  }

  /** Hands the lead to another tab, which may reach the server when this tab or its token does not. False if alone. */
  _handOver(waitMs) {
    this._notBefore = Date.now() + waitMs;
    if (!this._channel) return false;
    this.#yield();
    return true;
  }

  /** Returns the token for a line. If it has other rights than the line is shared under, sharing starts again. */
  async _token() {
    const token = await tokenOf(this._options);
    if (this._channel && (token || !this._isPublic) && await this.#who(token) !== this._who && !this._isClosed) {
      this._notBefore = Date.now() + backoff(this._attempt++);
      this.#rest();
      this.#begin();
    }
    return token;
  }
}

/** Keeps one line open by the best technique that works. The leading tab's subscription owns it and closes it. */
class Feed {
  _cuts = 0;
  _openedAt = 0;

  constructor(subscription) {
    this._subscription = subscription;
    this._options = subscription._options;
    this._ladder = (this._options.techniques ?? TECHNIQUES)
      .filter(name => TECHNIQUES.includes(name) && (name !== 'websocket' || globalThis.WebSocket));
    this._climbMs = this._options.climbMs ?? CLIMB_MS;
    this._youngMs = this._options.youngMs ?? YOUNG_MS;
    this.#stepBack();
    this.#open(subscription._notBefore - Date.now());
  }

  close() {
    this._isClosed = true;
    clearTimeout(this._climbing);
    clearTimeout(this._pausing);
    clearTimeout(this._trusting);
    this._line?.close();
    this._probe?.close();
  }

  /** Ends the wait and checks the open line, when the network is back or the page is visible again. */
  _wake() {
    this._resume?.();
    this._line?._look();
  }

  /** Returns to the technique that worked last. */
  #stepBack() {
    this._at = Math.max(0, this._ladder.indexOf(stored(storage => storage.getItem('fourways'))));
  }

  /** True if there is no network, so that no attempt is made. A server on this machine can always be reached. */
  #isAway() {
    return globalThis.navigator?.onLine === false && !/\/\/(localhost|127\.|\[::1)/.test(this._subscription._base);
  }

  async #pause(waitMs, isTold) {
    const began = Date.now();
    let until = began + waitMs;
    while (!this._isClosed && (Date.now() < until || this.#isAway())) {
      await new Promise(done => {
        this._pausing = setTimeout(done, Math.max(until - Date.now(), 0) || CAP_MS);
        this._resume = () => {
          // A wait that the server asked for is not cut short.
          if (!isTold) until = Math.min(until, began + LEAST_MS);
          clearTimeout(this._pausing);
          done();
        };
      });
    }
    this._resume = null;
  }

  async #open(waitMs = 0, isTold = false, error) {
    if (waitMs > 0 || this.#isAway()) this._subscription._state(this._ladder[this._at], 'waiting', error);
    await this.#pause(Math.max(waitMs, this._openedAt + LEAST_MS - Date.now()), isTold);
    // A better line may have opened meanwhile.
    if (this._isClosed || this._line) return;
    const technique = this._ladder[this._at];
    if (!technique) return this._subscription._stop(fault('no technique', { stop: true }));
    this._openedAt = Date.now();
    const line = new Line(technique, this._subscription);
    line._onalive = () => this.#trust(line);
    this.#keep(line);
  }

  #keep(line) {
    this._line = line;
    line._onend = end => this.#ended(line, end);
  }

  #trust({ technique }) {
    stored(storage => storage.setItem('fourways', technique));
    this._subscription._state(technique, 'open');
    this.#climb();
  }

  #ended(line, { error, waitMs = error?.waitMs ?? 0, isOrderly }) {
    if (this._isClosed || line !== this._line) return;
    this._line = null;
    const { _subscription: subscription } = this;
    const wasYoung = line._age() < this._youngMs;
    if (line._isAlive && !wasYoung) subscription._attempt = subscription._isRenewed = 0;
    // An expired token is renewed once.
    const isStale = error?.status === 401 && this._options.token?.call && !subscription._isRenewed;
    if (isStale) subscription._isRenewed = 1;
    else if (error?.stop) return subscription._stop(error);
    this._cuts = wasYoung && !isOrderly ? this._cuts + 1 : 0;
    // An error comes from the server, or from a network that fails all techniques alike. Silence and cuts are the
    // path's fault, and another technique may get through.
    if (!isOrderly && (this._cuts > 1 || (!line._isAlive && !error)) && this._at + 1 < this._ladder.length) {
      this._at++;
      this._cuts = 0;
      return this.#open();
    }
    // No technique is at fault, so the last one that worked is tried first.
    if (!line._isAlive) this.#stepBack();
    const wait = Math.min(MOST_MS, Math.max(waitMs, waitMs && !subscription._attempt ? 0 : backoff(subscription._attempt)));
    subscription._attempt++;
    if (!line._isAlive && subscription._attempt % 4 === 0 && subscription._handOver(wait)) return;
    this.#open(wait, waitMs > 0, error);
  }

  /** Probes a better technique from time to time. The current line stays open meanwhile, so nothing is missed. */
  #climb() {
    clearTimeout(this._climbing);
    if (this._at === 0 || this._isClosed) return;
    const next = this._probed > 0 && this._probed < this._at ? this._probed : 0;
    this._climbing = setTimeout(() => {
      if (this.#isAway()) return this.#climb();
      const probe = this._probe = new Line(this._ladder[next], this._subscription);
      probe._onend = () => {
        if (this._probe !== probe) return;
        this._probe = null;
        this._probed = next + 1;
        this._climbMs = Math.min(this._climbMs * 2, MAX_CLIMB_MS);
        this.#climb();
      };
      // A probe is trusted once it is older than lines that the path cuts.
      probe._onalive = () => this._trusting = setTimeout(() => {
        if (this._probe !== probe || this._isClosed) return;
        this._probe = null;
        this._line?.close();
        this._at = next;
        this._probed = this._cuts = 0;
        this._climbMs = this._options.climbMs ?? CLIMB_MS;
        this.#keep(probe);
        this.#trust(probe);
      }, this._youngMs);
    }, this._climbMs * (0.75 + Math.random() / 2));
  }
}

/** One connection, or one series of polls, by one technique. It ends once and is not reused. */
class Line {
  _beganAt = Date.now();
  _heartbeatMs = 15000;

  constructor(technique, subscription) {
    this.technique = technique;
    this._subscription = subscription;
    this._options = subscription._options;
    this._abort = new AbortController();
    this._watch = setInterval(() => this._look(), 1000);
    const run = { websocket: () => this.#websocket(), sse: () => this.#sse(), long_poll: () => this.#poll(25), short_poll: () => this.#poll(0) };
    run[technique]().then(end => this.end(end ?? {}), error => this.end({ error }));
  }

  _age() {
    return Date.now() - this._beganAt;
  }

  close() {
    this._isOver = true;
    clearInterval(this._watch);
    this._abort.abort();
    this._socket?.close();
  }

  end(end) {
    if (this._isOver) return;
    this.close();
    this._onend?.(end);
  }

  _heard() {
    this._heardAt = Date.now();
    if (this._isAlive || this._isOver) return;
    this._isAlive = true;
    this._onalive?.();
  }

  /** Ends a silent line: a new one after PROOF_MS, later after 1.75 heartbeat intervals. Pings a socket after one. */
  _look() {
    if (!this._isAlive) return void (this._age() > (this._options.proofMs ?? PROOF_MS) && this.end({}));
    const silence = Date.now() - this._heardAt;
    if (silence > 1.75 * this._heartbeatMs) this.end({});
    else if (silence > this._heartbeatMs && this._socket?.readyState === 1) this._socket.send('{"type":"ping"}');
  }

  async #ask(path, init) {
    const token = await this._subscription._token();
    if (this._isOver) throw fault('over');
    return ask(this._options, path, { ...init, signal: this._abort.signal }, token);
  }

  /** Handles a message, which SSE and WebSocket have in common. */
  #take(message) {
    const { _subscription: subscription } = this;
    const { type } = message;
    this._heartbeatMs = +(message.heartbeat_ms ?? message.every_ms) || this._heartbeatMs;
    if (type === 'event') subscription._event(message);
    else if (type === 'reset') subscription._reset(message);
    else if (type === 'subscribed' || type === 'heartbeat') subscription._moved(message.cursor);
  }

  #refused(problem) {
    return { isOrderly: true, error: fault(problem.detail, { problem, status: problem.status, stop: isFinal(problem.status) }) };
  }

  async #websocket() {
    const { _subscription: subscription } = this;
    let ticket = '';
    if (this._options.token) {
      const answer = await this.#ask('v1/tickets', { method: 'POST' });
      ticket = `&ticket=${(await answer.json()).ticket}`;
    } else await subscription._token();
    if (this._isOver) return;
    const query = `?${subscription._query}${begin(subscription)}`;
    const socket = this._socket = new WebSocket(`${subscription._base.replace('http', 'ws')}v1/ws${query}${ticket}`, 'fourways.v1.json');
    return new Promise((done, fail) => {
      socket.onmessage = ({ data }) => {
        if (this._isOver) return;
        try {
          const message = JSON.parse(data);
          this._heard();
          if (message.type === 'error') done(this.#refused(message));
          else this.#take(message);
        } catch (error) {
          fail(error);
        }
      };
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => {
        // A page can't see why an upgrade was refused, so it asks with a poll.
        if (!this._isAlive && code === 1006) return void this.#ask(`v1/events${query}&limit=1`).then(() => done(), fail);
        const status = code - 4000;
        const stop = isFinalClose(code);
        done({
          waitMs: +(/^retry after ms: (\d+)/.exec(reason)?.[1] ?? 0),
          isOrderly: code === 1012 || code === 1013 || status >= 400,
          error: stop && fault(reason || `closed with ${code}`, { stop, status }),
        });
      };
    });
  }

  /** Reads SSE with `fetch`. `EventSource` hides comments, unknown event names and the reason of a refusal. */
  async #sse() {
    const { _subscription: subscription } = this;
    const path = `v1/stream?${subscription._query}${begin(subscription)}&heartbeat=event`;
    const answer = await this.#ask(path, { headers: { Accept: 'text/event-stream' } });
    // The answer may be a login page or that of a captive portal.
    if (!/^text\/event-stream/i.test(answer.headers.get('Content-Type'))) throw fault('no stream came');
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let count = 0;
    let retryMs = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this._isOver) return { waitMs: retryMs, isOrderly: retryMs > 0 };
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      if (rest.length > MAX_REST) throw fault('no end came');
      for (const block of blocks) {
        this._heard();
        const field = name => block.split('\n').filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2)).join('\n');
        const data = field('data');
        const message = data && JSON.parse(data);
        // The first `retry` is for a cut, where the backoff is used instead. A later one means an orderly end.
        if (count++) retryMs = +field('retry') || retryMs;
        if (field('event') === 'problem') return { ...this.#refused(message), waitMs: retryMs };
        if (message) this.#take(message);
        if (this._isOver) return;
      }
    }
  }

  async #poll(wait) {
    const { _subscription: subscription, _abort: { signal } } = this;
    const pollMs = this._options.pollMs ?? POLL_MS;
    // The answer is due at the end of the wait.
    this._heartbeatMs = pollMs * !wait + (wait + 3) * 1000;
    // The first poll is not held, because its answer proves that polling works; nor is one after an answer with `more`.
    for (let isHeld = false; !this._isOver;) {
      const hold = isHeld ? `&wait=${wait}` : '';
      const began = Date.now();
      const answer = await this.#ask(`v1/events?${subscription._query}${begin(subscription)}${hold}&limit=1000`);
      const body = answer.status === 200 ? await answer.json() : { events: [], cursor: answer.headers.get('ETag')?.replaceAll('"', '') };
      if (this._isOver) return;
      const { more, isNew } = take(subscription, body);
      this._heard();
      if (more) continue;
      // Something that answers a held poll at once and without events does not hold polls, so they are spaced out.
      const isHot = isHeld && !isNew && Date.now() - began < 1000;
      isHeld = wait > 0;
      if (!wait || isHot) await sleep(pollMs, signal);
    }
  }
}

/** Handles a poll's answer. Returns whether the cursor moved and whether there is more to read. */
function take(subscription, { reset, events, cursor, more }) {
  if (!Array.isArray(events)) throw fault('no poll came');
  const { cursor: prior } = subscription;
  if (reset) subscription._reset(reset);
  events.forEach(event => subscription._event(event));
  if (cursor) subscription._moved(cursor);
  const isNew = subscription.cursor !== prior;
  return { more: more && isNew, isNew };
}

/** Returns the query parameter that names where the next request begins. */
function begin({ cursor, _options: { after, last } }) {
  if (cursor ?? after) return `&after=${encodeURIComponent(cursor ?? after)}`;
  return last ? `&last=${last}` : '';
}

/** Splits a cursor into the whole, its epoch and its offset. */
const parts = cursor => /^(\w+)-(\d+)$/.exec(cursor) ?? [];

/** True if both cursors have the same epoch, that is, belong to the same log. */
const isSame = (cursor, known) => parts(cursor)[1] === parts(known)[1];

/** True if the cursor is after the known one in the same log. A number would have too few digits for an offset. */
function isAfter(cursor, known) {
  const [[, epoch, offset], [, knownEpoch, knownOffset]] = [parts(cursor), parts(known)];
  return offset && (!known || (epoch === knownEpoch && BigInt(offset) > BigInt(knownOffset)));
}

/** Accesses the storage; without one, every page begins with the best technique. */
function stored(act) {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}
