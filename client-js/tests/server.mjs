// A server that follows the rules of resuming, behind a path that does not: answers come garbled, cut off, twice, late
// or never.

const HEARTBEAT_MS = 15000;
/** Statuses and close codes that end a subscription for good, and those that pass; see shared/src/problem.rs. */
export const FINAL = [400, 401, 403, 404, 405, 406, 409, 410, 413, 414, 415, 421, 422, 426, 431, 451];
export const PASSING = [408, 425, 429, 500, 502, 503, 504, 507];
const FINAL_CLOSES = [1002, 1003, 1007, 1008, 1009, 1010, 4400, 4403, 4404, 4409];
const PASSING_CLOSES = [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015, 4408, 4429, 4500, 4503];
const RETRY_AFTER = ['0', '1', '-5', 'soon', '99999999999', '1e400', 'Wed, 21 Oct 2015 07:28:00 GMT', ''];
const ENCODER = new TextEncoder();

export const token = (sub, expiresAt) => `e30.${btoa(JSON.stringify({ sub, exp: expiresAt / 1000, fourways: { subscribe: ['a'] } }))}.s`;

export class Server {
  epoch = 'e1';
  floor = 0;
  /** Offset and key of each event; offsets begin after the floor and rise by one. */
  events = [];
  keys = new Map();
  sessions = new Set();
  /** Probability, 0 to 1, that a request goes wrong; above 0, streams are cut as well. */
  malice = 0;
  /** Kind of fault for the time being, as numbered in `#mistreat`; `null` for any. */
  way = null;
  isAway = false;
  /** Path that the server is served below. */
  path = '/';
  wantsTokens = false;
  requests = 0;

  constructor(world) {
    this.world = world;
  }

  get head() {
    return this.floor + this.events.length;
  }

  publish(key) {
    const known = key && this.keys.get(key);
    if (known) return known;
    this.events.push({ key });
    const cursor = `${this.epoch}-${this.head}`;
    if (key) this.keys.set(key, cursor);
    this.sessions.forEach(session => session.wake());
    return cursor;
  }

  /** Drops all but the newest `count` events. */
  retain(count) {
    const gone = Math.max(0, this.events.length - count);
    this.events.splice(0, gone);
    this.floor += gone;
  }

  /** Loses the log, which begins again under another epoch, and cuts all sessions. */
  forget() {
    this.epoch = `e${+this.epoch.slice(1) + 1}`;
    this.floor = this.world.chance.below(5);
    this.events = [];
    this.keys.clear();
    [...this.sessions].forEach(session => session.cut());
  }

  /** Returns the position at which a reader begins, and the reset that it gets first, if any. */
  place(query) {
    const after = query.get('after');
    if (query.get('last')) return { position: Math.max(this.floor, this.head - query.get('last')) };
    if (after === null) return { position: this.head };
    if (after === 'earliest') return { position: this.floor };
    const [epoch, offset] = after.split('-');
    if (epoch !== this.epoch || +offset > this.head) return { position: this.floor, reset: this.#reset('epoch', this.floor) };
    if (+offset < this.floor) return { position: this.floor, reset: this.#reset('retention', this.floor) };
    return { position: +offset };
  }

  #reset(reason, position) {
    return { type: 'reset', reason, missed: null, earliest: `${this.epoch}-${this.floor}`, cursor: `${this.epoch}-${position}`, topics: ['a'] };
  }

  /** Returns up to `limit` events after a position, with a reset if some were dropped. */
  after(position, limit) {
    const reset = position < this.floor ? this.#reset('lag', this.floor) : undefined;
    const from = Math.max(position, this.floor);
    const count = Math.min(limit, this.head - from);
    const events = Array.from({ length: count }, (_, at) => this.event(from + at + 1));
    return { reset, events, position: from + count };
  }

  event(offset) {
    return { type: 'event', topic: 'a', cursor: `${this.epoch}-${offset}`, name: 'message', published_at: 1, data: offset };
  }

  /** Returns the problem with a token, if it must be refused. */
  refusal(shown) {
    if (!this.wantsTokens) return;
    try {
      const { sub, exp } = JSON.parse(atob(shown.split('.')[1]));
      if (exp * 1000 < this.world.now) return { status: 401, code: 'token_expired', detail: 'it has expired' };
      if (sub === 'mallory') return { status: 403, code: 'forbidden', detail: 'not for mallory' };
    } catch {
      return { status: 401, code: 'unauthenticated', detail: 'no token' };
    }
  }

  endOf(shown) {
    return this.wantsTokens && shown ? JSON.parse(atob(shown.split('.')[1])).exp * 1000 : Infinity;
  }

  fetch(tab, address, init) {
    const { world } = this;
    const { chance } = world;
    this.#isBelow(address);
    this.#asked(tab, address.includes('v1/stream'));
    return new Promise((done, fail) => {
      const request = { tab, over: () => over() };
      tab.open.add(request);
      const over = () => {
        tab.open.delete(request);
        init.signal?.removeEventListener('abort', gone);
      };
      const failed = name => fail(Object.assign(name === 'AbortError' ? new Error('aborted') : new TypeError('failed to fetch'), { name }));
      const gone = () => {
        over();
        request.session?.end();
        failed('AbortError');
      };
      if (init.signal?.aborted) return gone();
      init.signal?.addEventListener('abort', gone);
      const answer = (status, headers, body) => {
        if (!(body instanceof ReadableStream)) over();
        done(new Response(status === 204 || status === 304 ? null : body, { status, headers }));
      };
      world.at(chance.below(80), tab, () => {
        if (init.signal?.aborted) return;
        if (this.isAway || !tab.navigator.onLine) return over(), failed('TypeError');
        if (chance.is(this.malice) && this.#mistreat(tab, request, answer, () => (over(), failed('TypeError')))) return;
        this.#answer(tab, new URL(address), init, request, answer);
      }, 'network');
    });
  }

  #isBelow(address) {
    const path = `${this.path.replace(/\/*$/, '')}/v1/`;
    if (!new URL(address).pathname.startsWith(path)) throw new Error(`${address} is not below ${path}`);
  }

  #asked(tab, isStream) {
    this.requests++;
    // A request that began before the network went may still arrive a moment later.
    if (isStream && !tab.navigator.onLine && this.world.now - tab.offlineSince > 1000) tab.askedInVain = true;
    tab.asked.push({ at: this.world.now, isFollowing: tab.isFollowing });
    tab.isFollowing = false;
  }

  /** Answers with a fault of the path. Returns false if the request is to be answered properly after all. */
  #mistreat(tab, request, answer, fail) {
    const { chance } = this.world;
    const json = { 'Content-Type': 'application/problem+json' };
    switch (this.way ?? chance.below(9)) {
      case 0: return fail(), true;
      // No answer ever comes.
      case 1: return true;
      case 2: return answer(200, { 'Content-Type': 'text/html' }, '<html>\n\n<p>log in</p>\n\n</html>'), true;
      case 3: {
        const status = chance.of(PASSING);
        return answer(status, { ...json, 'Retry-After': chance.of(RETRY_AFTER) }, chance.is(0.5) ? '{"detail":"later"}' : '<h1>'), true;
      }
      case 4: {
        if (!chance.is(0.05)) return false;
        const status = chance.of(FINAL);
        tab.wasRefused = true;
        return answer(status, json, '{"detail":"never"}'), true;
      }
      case 5: return answer(200, { 'Content-Type': 'application/json' }, chance.of(['{"events":[{"ty', '', 'null', '{}', '{"events":7}', '[]'])), true;
      case 6: return answer(200, { 'Content-Type': 'text/event-stream' }, chance.of(['', 'id: 1', 'data: {"type":"ev\n\n', ': x\n\n', 'event: problem\ndata: {}\n\n'])), true;
      case 7: return answer(chance.of([204, 304]), { ETag: chance.of(['"x"', '', '"e1-0"', 'W/"e9-9"']) }), true;
      default: return answer(200, { 'Content-Type': 'application/json' }, `{"events":[],"cursor":"${this.epoch}-0","more":true}`), true;
    }
  }

  #answer(tab, url, init, request, answer) {
    const json = { 'Content-Type': 'application/json' };
    const shown = init.headers.Authorization?.slice(7);
    const problem = this.refusal(shown);
    if (problem && !url.pathname.endsWith('/session')) {
      tab.wasRefused ||= problem.status === 403;
      return answer(problem.status, json, JSON.stringify(problem));
    }
    if (url.pathname.endsWith('v1/session')) return answer(200, json, '{"subject":null,"subscribe":[">"]}');
    if (url.pathname.endsWith('v1/tickets')) return answer(201, json, JSON.stringify({ ticket: encodeURIComponent(shown) }));
    if (init.method === 'POST') return answer(201, json, JSON.stringify({ cursor: this.publish(init.headers['Idempotency-Key']) }));
    if (url.pathname.endsWith('v1/stream')) return this.#stream(tab, url.searchParams, this.endOf(shown), request, answer);
    this.#poll(tab, url.searchParams, request, answer);
  }

  #poll(tab, query, request, answer) {
    const { world } = this;
    const { chance } = world;
    const { position, reset } = this.place(query);
    const give = () => {
      // Some events are repeated.
      const back = this.malice && chance.is(0.1) ? chance.below(3) : 0;
      const limit = 1 + chance.below(chance.is(0.5) ? 5 : 200);
      const found = this.after(Math.max(this.floor, position - back), limit);
      if (position < this.floor) Object.assign(found, this.after(position, limit));
      const more = found.position < this.head;
      tab.isFollowing = more && found.position > position;
      request.session = null;
      const body = { reset: reset ?? found.reset, events: found.events, cursor: `${this.epoch}-${found.position}`, ...(more && { more }) };
      answer(200, { 'Content-Type': 'application/json' }, JSON.stringify(body));
    };
    const wait = (query.get('wait') ?? 0) * 1000;
    if (!wait || reset || position < this.head) return give();
    const session = request.session = {
      tab,
      wake: () => this.sessions.delete(session) && world.at(1, tab, give, 'network'),
      cut: () => this.sessions.delete(session) && world.at(1, tab, () => answer(503, {}, ''), 'network'),
      end: () => this.sessions.delete(session),
    };
    this.sessions.add(session);
    world.at(wait, tab, () => this.sessions.delete(session) && answer(204, { ETag: `"${this.epoch}-${Math.max(position, this.floor)}"` }), 'network');
  }

  #stream(tab, query, expiresAt, request, answer) {
    let out;
    const body = new ReadableStream({
      start: controller => { out = controller; },
      cancel: () => session.end(),
    });
    const say = text => out.enqueue(ENCODER.encode(text));
    const block = (name, message, id) => say(`${id ? `id: ${id}\n` : ''}event: ${name}\ndata: ${JSON.stringify(message)}\n\n`);
    const heartbeat = cursor => block('heartbeat', { type: 'heartbeat', cursor, every_ms: HEARTBEAT_MS }, cursor);
    const session = request.session = this.#session(tab, query, expiresAt, {
      begin: cursor => {
        answer(200, { 'Content-Type': 'text/event-stream' }, body);
        say('retry: 2000\n');
        heartbeat(cursor);
      },
      say: message => message.type === 'heartbeat' ? heartbeat(message.cursor) : block(message.type === 'event' ? 'message' : message.type, message, message.cursor),
      expire: () => {
        block('problem', { status: 401, code: 'token_expired', detail: 'it has expired' });
        out.close();
      },
      end: how => {
        request.over();
        const { chance } = this.world;
        const ms = chance.of([1, 1000, 5000]);
        if (how === 'left') return;
        const ends = [
          () => out.close(),
          () => out.error(new TypeError('terminated')),
          () => (say('id: e1-1\ndata: {"type":"ev'), out.error(new TypeError('terminated'))),
          () => (say(`retry: ${ms}\nevent: heartbeat\ndata: {"type":"heartbeat","every_ms":15000}\n\n`), out.close()),
          () => (block('problem', { status: 429, code: 'too_slow', detail: 'too slow' }), out.close()),
          () => (say('data: <html>\n\n'), out.close()),
          // Nothing more comes, but the stream stays open.
          () => {},
        ];
        (how === 'cut' ? ends[chance.below(2)] : chance.of(ends))();
      },
    });
    session.open();
  }

  /** Runs one session, the part that SSE and WebSocket have in common. `way` writes to the client. */
  #session(tab, query, expiresAt, way) {
    const { world } = this;
    const { chance } = world;
    let isOver = false;
    let position;
    let due = false;
    const end = how => {
      if (isOver) return;
      isOver = true;
      this.sessions.delete(session);
      way.end(how);
    };
    const give = () => {
      due = false;
      if (isOver) return;
      if (world.now > expiresAt) {
        isOver = true;
        this.sessions.delete(session);
        return way.expire();
      }
      const { reset, events, position: next } = this.after(position, 1 + chance.below(50));
      if (reset) way.say(reset);
      for (const event of events) {
        way.say(event);
        if (this.malice && chance.is(0.02)) way.say(event);
      }
      position = next;
      if (position < this.head) session.wake();
    };
    const beat = () => {
      if (isOver) return;
      if (world.now > expiresAt) return give();
      way.say({ type: 'heartbeat', cursor: `${this.epoch}-${position}` });
      world.at(HEARTBEAT_MS, tab, beat, 'network');
    };
    const session = {
      tab,
      open: () => {
        const { position: begins, reset } = this.place(query);
        position = begins;
        this.sessions.add(session);
        // Before a reset, the stream is still at the reader's own cursor.
        way.begin(reset ? query.get('after') : `${this.epoch}-${position}`);
        if (reset) way.say(reset);
        session.wake();
        world.at(HEARTBEAT_MS, tab, beat, 'network');
        if (this.malice) world.at(chance.of([1, 100, 3000, 20000, 60000]), tab, () => this.malice && end('any'), 'network');
        if (expiresAt < Infinity) world.at(expiresAt - world.now + 1, tab, give, 'network');
      },
      wake: () => {
        if (due || isOver) return;
        due = true;
        world.at(chance.below(10), tab, give, 'network');
      },
      cut: () => world.at(1, tab, () => end('cut'), 'network'),
      end: () => end('left'),
    };
    return session;
  }

  socketOf(tab) {
    const server = this;
    const { world } = this;
    const { chance } = world;
    return class {
      readyState = 0;

      constructor(address, protocol) {
        if (protocol !== 'fourways.v1.json') throw new Error(protocol);
        server.#isBelow(address);
        server.#asked(tab, true);
        tab.open.add(this);
        const { searchParams } = new URL(address);
        world.at(chance.below(80), tab, () => this.#open(searchParams), 'network');
      }

      #open(query) {
        if (this.readyState > 1) return;
        const shown = query.get('ticket');
        const isBad = server.isAway || !tab.navigator.onLine || server.refusal(shown);
        if (isBad || chance.is(server.malice)) {
          // The upgrade is refused, or the socket never opens.
          if (isBad || chance.is(0.7)) this.#closed(1006, '');
          return;
        }
        this.readyState = 1;
        const say = message => this.readyState === 1 && this.onmessage?.({ data: JSON.stringify(message) });
        this.session = server.#session(tab, query, server.endOf(shown), {
          begin: cursor => {
            say({ type: 'welcome', cursor: `${server.epoch}-${server.head}`, heartbeat_ms: HEARTBEAT_MS });
            say({ type: 'subscribed', cursor, topics: ['a'] });
          },
          // A browser hides pings from the page.
          say: message => message.type === 'heartbeat' || say(message),
          expire: () => this.#closed(4401, 'the token has expired'),
          end: how => {
            if (how === 'left') return;
            const reason = chance.of(['', 'bye', 'retry after ms: 0', 'retry after ms: 1500', 'retry after ms: 99999999999']);
            const isFinal = how === 'any' && chance.is(0.01);
            const code = how === 'cut' ? 1006 : chance.of(isFinal ? FINAL_CLOSES : PASSING_CLOSES);
            if (isFinal) tab.wasRefused = true;
            const ends = [
              () => this.#closed(code, code === 1006 ? '' : reason),
              () => this.onmessage?.({ data: '<html>' }),
              () => say({ type: 'error', status: chance.of(PASSING), code: 'unavailable', detail: 'not now' }),
              // Nothing more comes, but the socket stays open.
              () => {},
            ];
            (how === 'cut' || isFinal ? ends[0] : chance.of(ends))();
          },
        });
        this.session.open();
      }

      send(text) {
        if (this.readyState !== 1) throw new Error('it is not open');
        if (JSON.parse(text).type === 'ping' && server.sessions.has(this.session)) {
          world.at(30, tab, () => this.readyState === 1 && this.onmessage?.({ data: '{"type":"pong"}' }), 'network');
        }
      }

      close() {
        if (this.readyState > 1) return;
        this.readyState = 2;
        this.session?.end();
        tab.open.delete(this);
      }

      #closed(code, reason) {
        if (this.readyState > 2) return;
        this.readyState = 3;
        tab.open.delete(this);
        this.onclose?.({ code, reason });
      }
    };
  }
}
