// Runs client.js in a simulated world where everything goes wrong, and checks the rules of resuming:
//
// - each event is delivered once and in order, or a break in continuity is reported;
// - once all faults are over, every reader has every event;
// - no tab makes more than MOST_REQUESTS requests in any second, whatever it is answered;
// - the reason for the end of a stream is reported, and nothing else ends a stream;
// - after `close()` nothing is delivered and nothing stays open.
//
//   node client-js/tests/model.mjs --steps 1000000 --seed 7
//   node client-js/tests/model.mjs --story 123      (repeats one story; TOLD=1 in the environment prints its steps)

import { World, Tab } from './world.mjs';
import { Server, token } from './server.mjs';

const MOST_REQUESTS = 15;
const MOST_IN_A_MINUTE = 150;
const MINUTE = 60000;

/** A page that subscribes, with checks on everything that it is given. */
class Reader {
  /** Epoch and offset of the last event or reset; `null` before the first. */
  last = null;
  problems = [];
  counts = { events: 0, resets: 0 };
  errors = 0;

  constructor(world, server, tab, options) {
    this.world = world;
    this.server = server;
    this.tab = tab;
    this.options = options;
    if (options.after && options.after !== 'earliest') this.#at(options.after);
    this.ends = world.chance.is(0.5) && new AbortController();
    this.stream = tab.client.subscribe('a', event => this.#event(event), {
      ...options,
      ...(this.ends && { signal: this.ends.signal }),
      onReset: reset => this.#reset(reset),
      onState: ({ technique, state }) => this.#told(`${technique} ${state}`),
      onError: error => {
        this.errors++;
        this.#told(`error ${error.message}`);
      },
    });
  }

  #at(cursor) {
    const [epoch, offset] = cursor.split('-');
    this.last = { epoch, offset: +offset };
  }

  #told(what) {
    this.state = what;
    if (process.env.TOLD) console.log(this.world.now - 1_700_000_000_000, this.tab.name, what);
    // The end is reported twice: as the state `stopped` and as an error.
    if (this.isClosed && !what.startsWith('error') && !what.endsWith('stopped')) this.wrong(`${what} after it was closed`);
  }

  wrong(what) {
    this.problems.push(`${this.world.now - 1_700_000_000_000} ms, ${this.tab.name}: ${what}`);
  }

  #event({ cursor }) {
    if (process.env.TOLD) console.log(this.world.now - 1_700_000_000_000, this.tab.name, cursor);
    if (this.isClosed) this.wrong(`${cursor} after it was closed`);
    else if (this.world.chance.is(0.0005)) this.close();
    if (this.tab.sub === 'mallory' && this.server.wantsTokens) this.wrong(`${cursor}, which mallory may not hear`);
    const { last, options } = this;
    this.#at(cursor);
    this.counts.events++;
    if (last) {
      if (last.epoch !== this.last.epoch || last.offset + 1 !== this.last.offset) this.wrong(`${cursor} after ${last.epoch}-${last.offset}`);
    } else if (options.last && this.last.epoch === this.server.epoch
      && this.server.head - this.last.offset + 1 < Math.min(options.last, this.server.events.length)) {
      this.wrong(`it began with ${cursor}, and not with the last ${options.last}`);
    } else if (options.after && this.last.epoch === 'e1' && this.last.offset > this.server.floor + 1) this.wrong(`it began with ${cursor}, not with the earliest`);
  }

  #reset({ cursor, reason }) {
    if (process.env.TOLD) console.log(this.world.now - 1_700_000_000_000, this.tab.name, 'reset', reason, cursor);
    if (this.isClosed) this.wrong('a reset after it was closed');
    const { last } = this;
    this.#at(cursor);
    this.counts.resets++;
    // Going back in the same log would deliver events again.
    if (last?.epoch === this.last.epoch && last.offset > this.last.offset) this.wrong(`back to ${cursor} from ${last.offset}`);
  }

  close() {
    this.isClosed = true;
    if (this.ends) this.ends.abort();
    else this.stream.close();
  }

  /** Returns the number of requests in the busiest second, or in the busiest stretch of `ms` milliseconds. */
  busiest(ms = 1000) {
    const asked = this.tab.asked.filter(({ isFollowing }) => !isFollowing).map(({ at }) => at);
    let most = 0;
    for (let from = 0, to = 0; to < asked.length; to++) {
      while (asked[to] - asked[from] >= ms) from++;
      most = Math.max(most, to - from + 1);
    }
    return most;
  }
}

/** Checks a world without faults: no tab's freezing or leaving holds up another, and bursts soon reach every reader. */
async function calm(world, server, readers) {
  const living = () => readers.filter(({ tab, isClosed, errors }) => !tab.isDead && !isClosed && !errors);
  const behind = what => {
    for (const reader of living()) {
      if (!reader.tab.isFrozen && reader.stream.cursor !== `${server.epoch}-${server.head}`) reader.wrong(`${what}: it is at ${reader.stream.cursor}, ${reader.state}, not at ${server.head}`);
    }
  };
  const many = async (what, ms) => {
    for (let n = 0; n < 1000; n++) server.publish();
    await world.until(world.now + ms);
    behind(what);
  };
  const reader = living().length && world.chance.of(living());
  if (!reader) return;
  const { tab } = reader;
  server.isQuiet = true;
  await world.until(world.now + 30000);
  tab.freeze(false);
  await many('a tab is frozen', 120000);
  tab.thaw(false);
  await many('a tab is back', 120000);
  tab.page.fire('pagehide');
  tab.freeze(false);
  // A page that leaves gives up the lead itself; the other tabs need not wait for its silence.
  await world.until(world.now + 1000);
  server.publish();
  await world.until(world.now + 7000);
  if (reader.options.share !== false) behind('a tab shows another page');
  tab.thaw(false);
  tab.page.fire('pageshow');
  await many('it shows its own again', 120000);
  // This tab, which may be the leading one, gets no token any more.
  tab.isLoggedOut = true;
  [...server.sessions].forEach(session => session.cut());
  server.publish();
  await world.until(world.now + 180000);
  if (reader.options.token?.call && reader.options.share !== false) {
    readers.filter(({ tab: other }) => other === tab).forEach(gone => gone.close());
    behind('a tab gets no token');
  }
  tab.isLoggedOut = false;
  await world.until(world.now + 120000);
}

/** Plays one story and returns what went wrong in it, with its counts. */
async function story(seed) {
  const world = new World(seed);
  const { chance } = world;
  const server = new Server(world);
  server.wantsTokens = chance.is(0.3);
  server.path = chance.of(['/', '/', '/push/', '/a/b']);
  for (let n = chance.below(300); n > 0; n--) server.publish();
  const storage = {};
  const isShared = chance.is(0.7);
  const readers = [];
  const published = [];
  const open = () => {
    const tab = new Tab(world, server, { locks: isShared ? 'there' : chance.of(['there', 'missing', 'refused']), storage });
    tab.name = `tab ${readers.length + 1}`;
    tab.sub = server.wantsTokens ? chance.of(['ada', 'ada', 'ada', 'bob', 'mallory']) : 'ada';
    const lasts = chance.of([2000, 30000, 20 * MINUTE]);
    const fixed = token(tab.sub, world.now + 60 * MINUTE);
    const get = () => {
      const fresh = token(tab.sub, world.now + lasts);
      if (tab.isLoggedOut) return Promise.reject(new Error('logged out'));
      if (!server.malice || chance.is(0.8)) return fresh;
      return chance.of([() => new Promise(() => {}), () => Promise.reject(new Error('no')), () => Promise.resolve(fresh)])();
    };
    const options = {
      ...(server.wantsTokens && { token: chance.is(0.3) ? fixed : get }),
      ...(chance.is(0.2) && { share: false }),
      ...(server.path !== '/' && { url: `https://push.example${server.path}` }),
      ...chance.of([{}, {}, { after: 'earliest' }, { last: 20 }, server.epoch === 'e1' ? { after: `e1-${server.floor + chance.below(server.events.length + 1)}` } : {}]),
      ...(chance.is(0.2) && { techniques: chance.of([['long_poll'], ['short_poll'], ['sse', 'short_poll'], ['websocket'], ['sse']]) }),
    };
    // A token that expires before a line is trusted may end the subscription, since it can't be told from a bad one.
    tab.mayEnd = tab.sub === 'mallory' || (options.token?.call && lasts < 10000);
    readers.push(new Reader(world, server, tab, options));
  };
  const end = world.now + (2 + chance.below(8)) * MINUTE;
  const publish = () => {
    if (chance.is(0.9) && !server.isQuiet) server.publish();
    world.at(world.now < end ? chance.below(chance.is(0.9) ? 400 : 20000) : 5000, null, publish);
  };
  publish();
  for (let n = 1 + chance.below(isShared ? 6 : 2); n > 0; n--) world.at(chance.below(3000), null, open);
  const happen = () => {
    if (world.now >= end) return;
    const living = readers.filter(({ tab, isClosed }) => !tab.isDead && !isClosed);
    const reader = living.length && chance.of(living);
    const { tab } = reader || {};
    const acts = [
      () => {
        server.malice = chance.of([0, 0.1, 0.5, 0.9, 1]);
        server.way = chance.is(0.5) ? chance.below(9) : null;
      },
      () => { server.isAway = chance.is(0.3); },
      () => chance.is(0.3) && server.forget(),
      () => chance.is(0.3) && server.retain(chance.below(30)),
      () => [...server.sessions].forEach(session => chance.is(0.5) && session.cut()),
      () => readers.length < 10 && open(),
      () => tab && chance.is(0.3) && tab.die(),
      () => tab && chance.is(0.3) && reader.close(),
      () => {
        if (!tab || tab.isFrozen) return;
        const isTold = chance.is(0.5);
        tab.freeze(isTold);
        world.at(chance.of([500, 20000, MINUTE, 5 * MINUTE]), null, () => tab.isDead || tab.thaw(isTold));
      },
      () => {
        if (!tab || tab.isFrozen) return;
        // The tab goes to another page and back.
        tab.page.fire('pagehide');
        world.at(chance.below(MINUTE), null, () => tab.isDead || tab.page.fire('pageshow'));
      },
      () => {
        if (!tab) return;
        tab.navigator.onLine = false;
        tab.offlineSince = world.now;
        world.at(chance.below(MINUTE), null, () => {
          tab.navigator.onLine = true;
          if (!tab.isFrozen) tab.page.fire('online');
        });
      },
      () => tab && !tab.isFrozen && tab.document.fire('visibilitychange'),
      () => {
        if (!tab || tab.isFrozen || published.length > 5) return;
        const id = `key-${published.length}`;
        const entry = { id, epoch: server.epoch };
        published.push(entry);
        tab.client.publish('a', 1, { id, url: reader.options.url, ...(reader.options.token && { token: reader.options.token }) })
          .then(cursor => { entry.cursor = cursor; }, error => { entry.error = error; });
      },
    ];
    chance.of(acts)();
    world.at(chance.below(4000), null, happen);
  };
  happen();
  await world.until(end);
  // The faults are over, for longer than any wait lasts.
  server.malice = 0;
  server.isAway = false;
  for (const { tab } of readers) {
    tab.navigator.onLine = true;
    if (tab.isDead) continue;
    if (tab.isFrozen) tab.thaw(true);
    tab.page.fire('pageshow');
    tab.page.fire('online');
  }
  await world.until(end + 30 * MINUTE);
  await calm(world, server, readers);
  const wrong = readers.flatMap(({ problems }) => problems);
  for (const reader of readers) {
    const { tab, last, stream, errors, state } = reader;
    const busiest = reader.busiest();
    if (busiest > MOST_REQUESTS) reader.wrong(`${busiest} requests in a second`);
    if (reader.busiest(MINUTE) > MOST_IN_A_MINUTE) reader.wrong(`${reader.busiest(MINUTE)} requests in a minute`);
    if (tab.askedInVain) reader.wrong('it opened a stream without a network');
    if (tab.isDead) continue;
    const hasStopped = errors > 0;
    if (errors > 1) reader.wrong(`${errors} errors`);
    if (hasStopped && !tab.wasRefused && !(server.wantsTokens && tab.mayEnd)) reader.wrong(`it ended (${state}), and nobody refused it`);
    if (tab.sub === 'mallory' && server.wantsTokens && !hasStopped && !reader.isClosed) reader.wrong('mallory was not told');
    if (hasStopped || reader.isClosed) continue;
    if (tab.open.size > 2) reader.wrong(`${tab.open.size} connections are open`);
    if (stream.cursor !== `${server.epoch}-${server.head}`) reader.wrong(`it is at ${stream.cursor}, ${state}; the log is at ${server.epoch}-${server.head}`);
    if (last && (last.epoch !== server.epoch || last.offset !== server.head)) reader.wrong(`it has ${last.epoch}-${last.offset} of ${server.epoch}-${server.head}`);
  }
  for (const { id, cursor, error, epoch } of published) {
    const count = server.events.filter(({ key }) => key === id).length;
    if (cursor && count > 1) wrong.push(`${id} was published ${count} times`);
    if (cursor?.startsWith(`${server.epoch}-`) && epoch === server.epoch && +cursor.split('-')[1] > server.floor && count !== 1) wrong.push(`${id} is said to be at ${cursor} and is there ${count} times`);
    void error;
  }
  readers.forEach(reader => reader.close());
  await world.until(world.now + MINUTE);
  for (const reader of readers.filter(({ tab }) => !tab.isDead)) {
    const { tab } = reader;
    if (tab.open.size) reader.wrong(`${tab.open.size} connections are open after the end`);
    if (tab.timers.size) reader.wrong(`${tab.timers.size} timers run after the end`);
    if (tab.page.count || tab.document.count) reader.wrong('listeners are left');
  }
  const counts = readers.map(reader => reader.counts);
  return {
    wrong: [...new Set([...wrong, ...readers.flatMap(({ problems }) => problems)])],
    steps: world.steps,
    readers: readers.length,
    requests: server.requests,
    events: counts.reduce((sum, { events }) => sum + events, 0),
    resets: counts.reduce((sum, { resets }) => sum + resets, 0),
    busiest: Math.max(0, ...readers.map(reader => reader.busiest())),
  };
}

const flag = (name, other) => +(process.argv[process.argv.indexOf(`--${name}`) + 1 || Infinity] ?? other);
const isOne = process.argv.includes('--story');
const seed = isOne ? flag('story') : flag('seed', 1);
const wanted = isOne ? 1 : flag('steps', 100000);
const sums = { steps: 0, readers: 0, requests: 0, events: 0, resets: 0 };
let stories = 0;
let busiest = 0;
let found = 0;
process.on('unhandledRejection', error => {
  console.error('unhandled', error);
  process.exitCode = 1;
});
for (let at = seed; sums.steps < wanted && found < 5; at++, stories++) {
  const told = await story(at);
  for (const name of Object.keys(sums)) sums[name] += told[name];
  busiest = Math.max(busiest, told.busiest);
  if (!told.wrong.length) continue;
  found++;
  console.log(`story ${at}:\n  ${told.wrong.slice(0, 6).join('\n  ')}`);
}
console.log(`seed ${seed}: ${stories} stories, ${sums.steps} steps, ${sums.readers} tabs, ${sums.requests} requests (${busiest} in the busiest second),`
  + ` ${sums.events} events, ${sums.resets} resets; ${found} of the stories went wrong`);
process.exit(found ? 1 : process.exitCode ?? 0);
