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
const CLIMB_MS = 60000;
const MAX_CLIMB_MS = 3600000;
const POLL_MS = 5000;

const sleep = ms => new Promise(done => setTimeout(done, ms));
/** Full jitter: clients that were cut off together come back spread out. */
const backoff = attempt => Math.random() * Math.min(BASE_MS * 2 ** attempt, CAP_MS);
const base = options => new URL(options.url ?? import.meta.url).origin;

/** Every event of these topics from now on, or from `options.after`. */
export function subscribe(topics, onEvent, options = {}) {
  return new Subscription([topics].flat(), onEvent, options);
}

/** Publishes one event, again and again with the same key until the server has it; its cursor. */
export async function publish(topic, data, options = {}) {
  const id = options.id ?? crypto.randomUUID();
  const name = options.name ? `?name=${encodeURIComponent(options.name)}` : '';
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await ask(options, `/v1/topics/${topic}/events${name}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': id },
        body: JSON.stringify(data),
      });
      return (await answer.json()).cursor;
    } catch (error) {
      if (error.stop || options.signal?.aborted) throw error;
      await sleep(backoff(attempt) + (error.waitMs ?? 0));
    }
  }
}

/** A request with the token in its header. Throws what was refused: with `stop` where asking again would not help. */
async function ask(options, path, init = {}) {
  const token = typeof options.token === 'function' ? await options.token() : options.token;
  const headers = { ...init.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const credentials = options.credentials ?? 'same-origin';
  const answer = await fetch(base(options) + path, { signal: options.signal, cache: 'no-store', credentials, ...init, headers });
  if (answer.ok || answer.status === 304) return answer;
  const problem = await answer.json().catch(() => ({}));
  const error = new Error(problem.detail ?? `HTTP ${answer.status}`);
  const isPassing = [408, 425, 429].includes(answer.status) || answer.status >= 500;
  throw Object.assign(error, { problem, stop: !isPassing, waitMs: 1000 * (answer.headers.get('Retry-After') || 0) });
}

class Subscription {
  cursor = null;
  technique = null;

  constructor(topics, onEvent, options) {
    this.topics = topics;
    this.onEvent = onEvent;
    this.options = options;
    this.query = topics.map(topic => `topic=${encodeURIComponent(topic)}`).join('&')
      + (options.policy ? `&policy=${options.policy}` : '');
    const canShare = options.share !== false && globalThis.navigator?.locks && globalThis.BroadcastChannel;
    if (canShare) this.#share();
    else this.#lead();
  }

  /** Ends it; another tab goes on with the line. */
  close() {
    this.isClosed = true;
    this.feed?.close();
    this.channel?.close();
    this.release?.();
    this.waiting?.abort();
  }

  /** One tab of an origin holds the line; the others hear it from there, and the next in the queue takes over. */
  async #share() {
    const name = `fourways ${base(this.options)} ${this.query}`;
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }) => {
      if (!this.feed) this.#hear(data);
      else if (data.hello) this.#tell({ technique: this.technique, cursor: this.cursor });
    };
    let isLeader = false;
    const lead = () => new Promise(release => {
      this.release = release;
      if (this.isClosed) return release();
      isLeader = true;
      this.#lead();
    });
    await navigator.locks.request(name, { ifAvailable: true }, lock => lock && lead());
    if (isLeader || this.isClosed) return;
    this.channel.postMessage({ hello: true });
    this.waiting = new AbortController();
    navigator.locks.request(name, { signal: this.waiting.signal }, lead).catch(() => {});
    if (this.options.after || this.options.last) await this.#catchUp();
  }

  /** What this tab asked for and the leading one has long passed. Until it is here, what is heard waits. */
  async #catchUp() {
    this.heard = [];
    try {
      for (let isFull = true; isFull && !this.feed && !this.isClosed;) {
        const answer = await ask(this.options, `/v1/events?${this.query}${begin(this)}&limit=1000`);
        isFull = take(this, await answer.json()) === 1000;
      }
    } catch (error) {
      this.options.onError?.(error);
    }
    const heard = this.heard;
    this.heard = null;
    heard.forEach(data => this.#hear(data));
  }

  #lead() {
    this.feed = new Feed(this);
    if (this.isClosed) this.feed.close();
  }

  #tell(data) {
    try {
      this.channel?.postMessage(data);
    } catch { /* It was closed meanwhile. */ }
  }

  #hear(data) {
    if (this.heard) return void this.heard.push(data);
    if (data.event) this.event(data.event);
    if (data.reset) this.reset(data.reset);
    if (data.technique) this.state(data.technique, 'shared');
    // The leader's place is this tab's too, if it has none yet and asked for none.
    if (data.cursor && !this.cursor && !this.options.after && !this.options.last) this.cursor = data.cursor;
  }

  /** False: it was here before. */
  event(event) {
    if (!isAfter(event.cursor, this.cursor)) return false;
    this.cursor = event.cursor;
    if (this.feed) this.#tell({ event });
    this.onEvent(event);
    return true;
  }

  moved(cursor) {
    if (isAfter(cursor, this.cursor)) this.cursor = cursor;
  }

  /** Continuity broke: it goes on from where the server says, even if that is back. */
  reset(reset) {
    this.cursor = reset.cursor;
    if (this.feed) this.#tell({ reset });
    this.options.onReset?.(reset);
  }

  state(technique, state) {
    this.technique = technique;
    if (this.feed) this.#tell({ technique });
    this.options.onState?.({ technique, state });
  }
}

/** Keeps one line open by the best technique that works. */
class Feed {
  line = null;
  attempt = 0;
  cuts = 0;

  constructor(subscription) {
    this.subscription = subscription;
    this.options = subscription.options;
    this.ladder = (this.options.techniques ?? TECHNIQUES).filter(name => name !== 'websocket' || globalThis.WebSocket);
    this.climbMs = this.options.climbMs ?? CLIMB_MS;
    this.at = Math.max(0, this.ladder.indexOf(remembered()));
    this.#open();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.climbing);
    this.line?.close();
    this.probe?.close();
  }

  #open() {
    if (this.isClosed) return;
    const technique = this.ladder[this.at];
    const line = this.line = new Line(technique, this.subscription);
    line.onalive = () => {
      this.attempt = 0;
      remember(technique);
      this.subscription.state(technique, 'open');
      this.#climb();
    };
    line.onend = end => this.#ended(line, end);
  }

  async #ended(line, { error, waitMs = 0, isOrderly }) {
    if (this.isClosed || line !== this.line) return;
    if (error?.stop) {
      this.close();
      this.subscription.state(null, 'stopped');
      return this.options.onError?.(error);
    }
    const wasYoung = !isOrderly && line.age() < (this.options.youngMs ?? YOUNG_MS);
    this.cuts = wasYoung ? this.cuts + 1 : 0;
    // An error was told by a server or a network that has failed all of them alike; silence and cuts are the path's.
    const isBlocked = !isOrderly && (this.cuts > 1 || (!line.isAlive && !error));
    if (isBlocked && this.at + 1 < this.ladder.length) {
      this.at++;
      this.cuts = 0;
      return this.#open();
    }
    if (!line.isAlive) {
      // That is no technique's fault.
      this.at = Math.max(0, this.ladder.indexOf(remembered()));
    }
    this.subscription.state(this.ladder[this.at], 'waiting');
    await sleep(waitMs + (isOrderly && line.isAlive && !waitMs ? 0 : backoff(this.attempt++)));
    this.#open();
  }

  /** Looks from time to time whether a better one works again, while this one goes on: nothing is missed meanwhile. */
  #climb() {
    clearTimeout(this.climbing);
    if (this.at === 0 || this.isClosed) return;
    const next = this.probed > 0 && this.probed < this.at ? this.probed : 0;
    this.climbing = setTimeout(() => {
      const probe = this.probe = new Line(this.ladder[next], this.subscription);
      probe.onend = () => {
        if (this.probe !== probe) return;
        this.probe = null;
        this.probed = next + 1;
        this.climbMs = Math.min(this.climbMs * 2, MAX_CLIMB_MS);
        this.#climb();
      };
      probe.onalive = () => setTimeout(() => {
        // It must outlive what cuts young lines.
        if (this.probe !== probe || this.isClosed) return;
        this.probe = null;
        this.line?.close();
        this.line = probe;
        this.at = next;
        this.probed = this.cuts = 0;
        this.climbMs = this.options.climbMs ?? CLIMB_MS;
        probe.onend = end => this.#ended(probe, end);
        remember(this.ladder[next]);
        this.subscription.state(this.ladder[next], 'open');
        this.#climb();
      }, this.options.youngMs ?? YOUNG_MS);
    }, this.climbMs * (0.75 + Math.random() / 2));
  }
}

/** One connection, or one row of polls. Ends once. */
class Line {
  isAlive = false;
  beganAt = Date.now();
  heartbeatMs = 15000;

  constructor(technique, subscription) {
    this.technique = technique;
    this.subscription = subscription;
    this.options = subscription.options;
    this.abort = new AbortController();
    this.watch = setInterval(() => this.#look(), 1000);
    const run = { websocket: () => this.#websocket(), sse: () => this.#sse(), long_poll: () => this.#poll(25), short_poll: () => this.#poll(0) };
    run[technique]().then(end => this.end(end ?? {}), error => this.end({ error, waitMs: error.waitMs }));
  }

  age() {
    return Date.now() - this.beganAt;
  }

  close() {
    this.isOver = true;
    clearInterval(this.watch);
    this.abort.abort();
    this.socket?.close();
  }

  end(end) {
    if (this.isOver) return;
    this.close();
    this.onend?.(end);
  }

  heard() {
    this.heardAt = Date.now();
    if (this.isAlive || this.isOver) return;
    this.isAlive = true;
    this.onalive?.();
  }

  /** Something comes within each interval; the end of a second one is not waited for. */
  #look() {
    if (!this.isAlive) return void (this.age() > (this.options.proofMs ?? PROOF_MS) && this.end({}));
    const silence = Date.now() - this.heardAt;
    if (silence > 1.75 * this.heartbeatMs) this.end({});
    else if (silence > this.heartbeatMs) this.say({ type: 'ping' });
  }

  say(command) {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(command));
  }

  /** Everything that is not an event, in the words that both streams share. */
  #take(message) {
    const { subscription } = this;
    if (message.type === 'event') subscription.event(message);
    else if (message.type === 'reset') subscription.reset(message);
    else if (message.type === 'welcome') this.heartbeatMs = message.heartbeat_ms;
    else if (message.type === 'subscribed') subscription.moved(message.cursor);
  }

  async #websocket() {
    let ticket = '';
    if (this.options.token) {
      const answer = await ask(this.options, '/v1/tickets', { method: 'POST', signal: this.abort.signal });
      ticket = `&ticket=${(await answer.json()).ticket}`;
    }
    if (this.isOver) return;
    const address = `${base(this.options).replace('http', 'ws')}/v1/ws?${this.subscription.query}${begin(this.subscription)}${ticket}`;
    const socket = this.socket = new WebSocket(address, 'fourways.v1.json');
    return new Promise(done => {
      socket.onmessage = ({ data }) => {
        if (this.isOver) return;
        this.heard();
        const message = JSON.parse(data);
        if (message.type !== 'error') return this.#take(message);
        done({ error: Object.assign(new Error(message.detail), { problem: message, stop: message.status < 429 }) });
      };
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => {
        const waitMs = +(/^retry after ms: (\d+)/.exec(reason)?.[1] ?? 0);
        const stop = [1002, 1003, 1007, 1009, 4403].includes(code);
        done({ waitMs, isOrderly: code !== 1006, error: stop && Object.assign(new Error(reason), { stop }) });
      };
    });
  }

  /** By `fetch`, not by `EventSource`: it hears comments, every event's name, and why it was refused. */
  async #sse() {
    const path = `/v1/stream?${this.subscription.query}${begin(this.subscription)}&heartbeat=event`;
    const answer = await ask(this.options, path, { headers: { Accept: 'text/event-stream' }, signal: this.abort.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let retryMs = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.isOver) return { waitMs: retryMs, isOrderly: retryMs > 0 };
      this.heard();
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const field = name => block.split('\n').filter(line => line.startsWith(`${name}: `)).map(line => line.slice(name.length + 2));
        const [kind] = field('event');
        const data = field('data').join('\n');
        if (kind === 'problem') return { isOrderly: true };
        if (kind === 'heartbeat') this.heartbeatMs = JSON.parse(data).every_ms;
        else if (data) this.#take(JSON.parse(data));
        if (field('id')[0]) this.subscription.moved(field('id')[0]);
        // The first says how long to wait after a cut; one more comes when the server ends the stream.
        if (field('retry')[0] && this.hasOpened) retryMs = +field('retry')[0];
        this.hasOpened = true;
      }
    }
  }

  async #poll(wait) {
    const pollMs = this.options.pollMs ?? POLL_MS;
    // An answer is due at the end of the wait.
    this.heartbeatMs = pollMs * !wait + (wait + 3) * 1000;
    for (let isFirst = true; !this.isOver; isFirst = false) {
      // The first is not held: it is the proof that this works.
      const hold = wait && !isFirst ? `&wait=${wait}` : '';
      const path = `/v1/events?${this.subscription.query}${begin(this.subscription)}${hold}&limit=1000`;
      const answer = await ask(this.options, path, { signal: this.abort.signal });
      const body = answer.status === 304 ? { events: [] } : await answer.json();
      if (this.isOver) return;
      this.heard();
      const count = take(this.subscription, body);
      if (!wait && count < 1000) await sleep(pollMs);
    }
  }
}

/** Takes a poll's answer; how many events it had. */
function take(subscription, { reset, events, cursor }) {
  if (reset) subscription.reset(reset);
  events.forEach(event => subscription.event(event));
  if (cursor) subscription.moved(cursor);
  return events.length;
}

/** Where the next request begins. */
function begin({ cursor, options: { after, last } }) {
  if (cursor ?? after) return `&after=${encodeURIComponent(cursor ?? after)}`;
  return last ? `&last=${last}` : '';
}

/** A cursor is an epoch and an offset; another epoch is another log. */
function isAfter(cursor, known) {
  if (!known) return true;
  const [[epoch, offset], [knownEpoch, knownOffset]] = [cursor.split('-'), known.split('-')];
  return epoch !== knownEpoch || +offset > +knownOffset;
}

function remembered() {
  try {
    return localStorage.getItem('fourways');
  } catch {
    return null;
  }
}

function remember(technique) {
  try {
    localStorage.setItem('fourways', technique);
  } catch { /* No storage here: every page begins with the best. */ }
}
