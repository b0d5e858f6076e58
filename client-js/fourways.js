// Fourways in a page or in Node: one log, by the best technique that works on this path, resumed by its cursor.
//
//   const stream = subscribe(['orders.*'], event => show(event.data));
//
// Nothing lost and nothing twice, through every cut, fallback and hand-over between tabs: what counts is the cursor alone.

/** From the best to the one that always works. */
const TECHNIQUES = ['websocket', 'sse', 'long_poll', 'short_poll'];
/** A line that shows no sign of life for so long is blocked, or something holds its bytes back. */
const PROOF_MS = 6000;
/** One that ends sooner was cut by something on its way; twice in a row, and it is given up. */
const YOUNG_MS = 10000;
const BASE_MS = 500;
const CAP_MS = 15000;
/** Nothing is tried again sooner, whatever a server says, and nothing is waited for longer. */
const LEAST_MS = 200;
const MOST_MS = 600000;
const CLIMB_MS = 60000;
const MAX_CLIMB_MS = 3600000;
const POLL_MS = 5000;
/** A leading tab that says nothing for so long is asked, and replaced when it says nothing for as long again. */
const TAB_MS = 5000;
/** What a tab keeps of what it hears while it reads what came before. */
const MAX_HEARD = 1000;
/** No answer of a server's is so long. */
const MAX_REST = 2 ** 24;
/** The server knows a key again for five minutes. */
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
/** Full jitter: clients that were cut off together come back spread out. */
const backoff = attempt => Math.max(LEAST_MS, Math.random() * Math.min(BASE_MS * 2 ** attempt, CAP_MS));
const fault = (text, more) => Object.assign(new Error(text), more);
const isPage = globalThis.addEventListener && globalThis.document;

/** The server's address up to the last slash: what comes before `v1/`. */
function base({ url }) {
  const address = url ? new URL(url, globalThis.location?.href) : new URL(/* @vite-ignore */ '.', import.meta.url);
  if (!/^https?:$/.test(address.protocol)) throw new TypeError('options.url is missing');
  return address.origin + address.pathname.replace(/\/*$/, '/');
}

/** What follows the server's answer, by status: as `Advice` in shared/src/problem.rs, and tests hold both together. */
const isFinal = status => status >= 400 && status < 500 && ![408, 425, 429].includes(status);
/** The same by the code that a socket was closed with. */
const isFinalClose = code => [1002, 1003].includes(code) || (code > 1006 && code < 1011)
  || (code >= 4400 && code < 4600 && isFinal(code - 4000));

/** Every event of these topics from now on, or from `options.after`. */
export function subscribe(topics, onEvent, options = {}) {
  // One that begins with nothing would be open for ever, and hear nothing. In one order, tabs know each other's.
  const sorted = [topics].flat().sort();
  if (!sorted[0]) throw new TypeError('no topics');
  return new Subscription(sorted, onEvent, options);
}

/** Publishes one event, again and again with the same key until the server has it; its cursor. */
export async function publish(topic, data, options = {}) {
  // A page that came by plain http has no `randomUUID`.
  const id = options.id ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
  const name = options.name ? `?name=${encodeURIComponent(options.name)}` : '';
  // What can't be sent is told at once.
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
      // A token that has ended is got anew, once.
      const isStale = error.status === 401 && options.token?.call && !isRenewed;
      isRenewed ||= isStale;
      if ((error.stop && !isStale) || options.signal?.aborted || Date.now() - began > KEY_MS) throw error;
      await sleep(Math.max(backoff(attempt), error.waitMs ?? 0), options.signal);
      options.signal?.throwIfAborted();
    }
  }
}

/** The page's own function may fail, and may never answer. */
async function tokenOf({ token }) {
  if (!token?.call) return token;
  const over = new AbortController();
  try {
    return await Promise.race([token(), sleep(PROOF_MS, over.signal).then(() => { throw fault('no token came'); })]);
  } finally {
    over.abort();
  }
}

/** A request with the token in its header. Throws what was refused: with `stop` where asking again would not help. */
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
  /** How often in a row it failed, whoever's line it was: kept when the lead is handed on. */
  _attempt = 0;
  _notBefore = 0;
  /** Each time it begins to share, or ends: what was begun before is nobody's any more. */
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
      // A page that is kept for the way back, or frozen, hears nothing and would hold the line and its lock.
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

  /** Ends it; another tab goes on with the line. */
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

  /** Gives the lead away. */
  #yield() {
    this._feed?.close();
    this._feed = null;
    this._release?.();
  }

  #begin() {
    this._isResting = false;
    const turn = ++this._turn;
    // Where there are no locks, and in frames that may have none.
    const alone = () => {
      if (turn !== this._turn || this._feed) return;
      this.#hush();
      this.#lead();
    };
    if (this._options.share === false || !isPage || !navigator.locks) alone();
    else this.#share(turn).catch(alone);
  }

  /** Those hear the same who show the same rights; of a token that is none of ours nobody knows. */
  async #who(token) {
    const { exp, iat, nbf, jti, expires_at, ...who } = token
      ? JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')))
      // It may be in a cookie, which no page can look into.
      : await (await ask(this._options, 'v1/session', { signal: AbortSignal.timeout(PROOF_MS) }, null)).json();
    this._isPublic = who.subject === null;
    return JSON.stringify(who);
  }

  /** One tab of an origin holds the line; the others hear it from there, and the next in the queue takes over. */
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
        // Stolen, by a tab that heard nothing from here; or given up, to steal. Anything else: there are no locks here.
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

  /** Whether the leading tab lives: it answers even where its timers are held back. */
  #look() {
    const now = Date.now();
    const tabMs = this._tabMs;
    // After a pause of this tab's own, what the other said meanwhile may come still.
    const wasAway = now - this._lookedAt > tabMs;
    this._lookedAt = now;
    if (this._feed || !this._channel || !this._waiting || now - this._heardAt <= tabMs) return;
    if (this._asks > 2 || (this._asks && !wasAway && now - this._askedAt > tabMs)) {
      this._asks = 0;
      this._isStealing = true;
      // Where all are slow, taking it from each other helps nobody.
      this._tabMs *= 2;
      this._waiting.abort();
    } else if (!this._asks || wasAway) {
      this._asks++;
      this._askedAt = now;
      this.#tell({ hello: true });
    }
  }

  /** What this tab has not and the leading one has long passed. Until it is here, what is heard waits. */
  async #catchUp() {
    if (this._heard) return;
    this._heard = [];
    const { _turn: turn, cursor } = this;
    const isOver = () => turn !== this._turn || this._feed;
    // The leading tab may be in another log, of which there is nothing to be had.
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
    } catch { /* What was published can't be cloned: it is JSON, so this can't be. Or it was closed meanwhile. */ }
  }

  /** `prior` is where the leading tab was before: who is not there has missed something, and reads it. */
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
    // It has no place yet and asked for none: the leading tab's is its own.
    this.cursor ??= prior ?? cursor;
    const place = prior ?? cursor;
    if (reset ? prior !== this.cursor : !isSame(place, this.cursor) || isAfter(place, this.cursor)) return void this.#catchUp();
    if (reset) this._reset(reset);
    else if (event) this._event(event);
    else this._moved(cursor);
  }

  /** False: it was here before. */
  _event(event) {
    const prior = this.cursor;
    if (this._isClosed || !isAfter(event.cursor, prior)) return;
    this.cursor = event.cursor;
    if (this._feed) this.#tell({ event, prior });
    this.#hand(this._onEvent, event);
  }

  _moved(cursor) {
    const prior = this.cursor;
    if (this._isClosed || !isAfter(cursor, prior)) return;
    this.cursor = cursor;
    if (this._feed) this.#tell({ prior });
  }

  /** Continuity broke: it goes on from where the server says, in another log even if that is back. */
  _reset(reset) {
    const prior = this.cursor;
    // Another line may have brought already what this one has lost.
    if (this._isClosed || (isSame(reset.cursor, prior) && !isAfter(reset.cursor, prior))) return;
    this.cursor = reset.cursor;
    if (this._feed) this.#tell({ reset, prior });
    this.#hand(this._options.onReset, reset);
  }

  /** What the page does with it and how that fails is no business of the line's. */
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

  /** It was refused for good. The others have tokens of their own, and go on. */
  _stop(error) {
    if (this._isClosed) return;
    this.close();
    this.technique = null;
    this.#hand(this._options.onState, { technique: null, state: 'stopped' });
    this.#hand(this._options.onError, error);
  }

  /** Lets another tab try: what this one can't reach, with its token or at all, it may. */
  _handOver(waitMs) {
    this._notBefore = Date.now() + waitMs;
    if (!this._channel) return false;
    this.#yield();
    return true;
  }

  /** The token for a line. If it is somebody else's than the line was shared as, it is shared anew. */
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

/** Keeps one line open by the best technique that works. */
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

  /** The network is back, or somebody looks: what waits, waits no longer, and what is open is looked at. */
  _wake() {
    this._resume?.();
    this._line?._look();
  }

  #stepBack() {
    this._at = Math.max(0, this._ladder.indexOf(stored(storage => storage.getItem('fourways'))));
  }

  /** No attempt is made while there is no network; this machine's own is always there. */
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
          // What the server has told is kept to.
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
    // A better line may have come meanwhile.
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
    // A token that has ended is got anew, once.
    const isStale = error?.status === 401 && this._options.token?.call && !subscription._isRenewed;
    if (isStale) subscription._isRenewed = 1;
    else if (error?.stop) return subscription._stop(error);
    this._cuts = wasYoung && !isOrderly ? this._cuts + 1 : 0;
    // An error was told by a server or a network that has failed all of them alike; silence and cuts are the path's.
    if (!isOrderly && (this._cuts > 1 || (!line._isAlive && !error)) && this._at + 1 < this._ladder.length) {
      this._at++;
      this._cuts = 0;
      return this.#open();
    }
    // That is no technique's fault.
    if (!line._isAlive) this.#stepBack();
    const wait = Math.min(MOST_MS, Math.max(waitMs, waitMs && !subscription._attempt ? 0 : backoff(subscription._attempt)));
    subscription._attempt++;
    if (!line._isAlive && subscription._attempt % 4 === 0 && subscription._handOver(wait)) return;
    this.#open(wait, waitMs > 0, error);
  }

  /** Looks from time to time whether a better one works again, while this one goes on: nothing is missed meanwhile. */
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
      // It must outlive what cuts young lines.
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

/** One connection, or one row of polls. Ends once. */
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

  /** Something comes within each interval; the end of a second one is not waited for. */
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

  /** Both streams say the same. */
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
        // No page is told why there was no upgrade: it asks another way.
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

  /** By `fetch`, not by `EventSource`: it hears comments, every event's name, and why it was refused. */
  async #sse() {
    const { _subscription: subscription } = this;
    const path = `v1/stream?${subscription._query}${begin(subscription)}&heartbeat=event`;
    const answer = await this.#ask(path, { headers: { Accept: 'text/event-stream' } });
    // A page to log in at, or a portal's, is no stream.
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
        // The first says how long to wait after a cut; one more comes when the server ends the stream.
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
    // An answer is due at the end of the wait.
    this._heartbeatMs = pollMs * !wait + (wait + 3) * 1000;
    // The first is not held: it is the proof that this works. Nor is one behind an answer that said that there is more.
    for (let isHeld = false; !this._isOver;) {
      const hold = isHeld ? `&wait=${wait}` : '';
      const began = Date.now();
      const answer = await this.#ask(`v1/events?${subscription._query}${begin(subscription)}${hold}&limit=1000`);
      const body = answer.status === 200 ? await answer.json() : { events: [], cursor: answer.headers.get('ETag')?.replaceAll('"', '') };
      if (this._isOver) return;
      const { more, isNew } = take(subscription, body);
      this._heard();
      if (more) continue;
      // What answers a held poll at once with nothing does not hold.
      const isHot = isHeld && !isNew && Date.now() - began < 1000;
      isHeld = wait > 0;
      if (!wait || isHot) await sleep(pollMs, signal);
    }
  }
}

/** Takes a poll's answer: whether it brought something, and there is more. */
function take(subscription, { reset, events, cursor, more }) {
  if (!Array.isArray(events)) throw fault('no poll came');
  const { cursor: prior } = subscription;
  if (reset) subscription._reset(reset);
  events.forEach(event => subscription._event(event));
  if (cursor) subscription._moved(cursor);
  const isNew = subscription.cursor !== prior;
  return { more: more && isNew, isNew };
}

/** Where the next request begins. */
function begin({ cursor, _options: { after, last } }) {
  if (cursor ?? after) return `&after=${encodeURIComponent(cursor ?? after)}`;
  return last ? `&last=${last}` : '';
}

/** A cursor is an epoch and an offset. */
const parts = cursor => /^(\w+)-(\d+)$/.exec(cursor) ?? [];

/** Another epoch is another log. */
const isSame = (cursor, known) => parts(cursor)[1] === parts(known)[1];

/** Of the same log; an offset may have more digits than a number keeps. */
function isAfter(cursor, known) {
  const [[, epoch, offset], [, knownEpoch, knownOffset]] = [parts(cursor), parts(known)];
  return offset && (!known || (epoch === knownEpoch && BigInt(offset) > BigInt(knownOffset)));
}

/** No storage here: every page begins with the best. */
function stored(act) {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}
