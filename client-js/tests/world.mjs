// A simulated world for client.js in which everything may go wrong: the tabs of one browser with their own timers,
// network, locks and channels, on a clock that jumps to the next event. The same seed gives the same story.

import { readFileSync } from 'node:fs';

const SOURCE = readFileSync(process.env.FOURWAYS_CLIENT ?? new URL('../fourways.js', import.meta.url), 'utf8')
  .replaceAll('import.meta.url', 'moduleUrl')
  .replaceAll(/^export /gm, '');
const GLOBALS = ['globalThis', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'Math', 'fetch', 'WebSocket',
  'AbortSignal', 'navigator', 'BroadcastChannel', 'document', 'localStorage', 'crypto', 'queueMicrotask', 'moduleUrl'];
const load = new Function(...GLOBALS, `${SOURCE}\nreturn { subscribe, publish };`);

/** Creates a random generator (xorshift32) from a seed. */
export function chance(seed) {
  let state = (seed * 2654435761 | 0) || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const below = limit => Math.floor(next() * limit);
  return { next, below, is: share => next() < share, of: list => list[below(list.length)] };
}

export class World {
  now = 1_700_000_000_000;
  /** Tasks that are due later, in order of time and then of creation. */
  #due = [];
  #made = 0;
  tabs = [];
  locks = new Locks(this);
  channels = new Map();
  steps = 0;

  constructor(seed) {
    this.chance = chance(seed);
  }

  /** Schedules an action in `ms` milliseconds. `tab` is null for an action that belongs to no tab. */
  at(ms, tab, act, kind = 'timer') {
    const task = { at: this.now + Math.max(0, ms), made: this.#made++, tab, act, kind };
    let low = 0;
    let high = this.#due.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#due[middle].at <= task.at) low = middle + 1;
      else high = middle;
    }
    this.#due.splice(low, 0, task);
    return task;
  }

  /** Lets time pass up to `moment`, running the tasks that are due. */
  async until(moment) {
    while (this.#due.length && this.#due[0].at <= moment) {
      const task = this.#due.shift();
      this.now = Math.max(this.now, task.at);
      if (task.isOff || task.tab?.isDead) continue;
      if (task.tab?.isFrozen) {
        task.tab.late.push(task);
        continue;
      }
      this.steps++;
      task.act();
      await settled();
    }
    this.now = moment;
  }
}

/** Waits until all pending promise callbacks have run; streams need a few turns of the event loop. */
async function settled() {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}

class Target {
  #listeners = new Map();

  addEventListener(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  removeEventListener(name, listener) {
    this.#listeners.set(name, (this.#listeners.get(name) ?? []).filter(known => known !== listener));
  }

  fire(name) {
    (this.#listeners.get(name) ?? []).forEach(listener => listener({ type: name }));
  }

  get count() {
    return [...this.#listeners.values()].flat().length;
  }
}

/** A tab with the globals that client.js uses. */
export class Tab {
  isFrozen = false;
  isDead = false;
  /** Tasks that were due while the tab was frozen. */
  late = [];
  timers = new Map();
  /** Requests in flight and open sockets. */
  open = new Set();
  /** Log of the tab's requests; the servers of the tests write it. */
  asked = [];
  page = new Target();
  document = Object.assign(new Target(), { hidden: false });
  navigator = { onLine: true };
  #ids = 0;

  constructor(world, server, { locks = 'there', storage = {} } = {}) {
    this.world = world;
    this.server = server;
    world.tabs.push(this);
    // A frame with an opaque origin has Web Locks but may not use them.
    const refused = () => Promise.reject(Object.assign(new Error('not here'), { name: 'SecurityError' }));
    const request = (...given) => world.locks.request(this, ...given);
    if (locks !== 'missing') this.navigator.locks = { request: locks === 'refused' ? refused : request };
    const tab = this;
    class Channel {
      constructor(name) {
        this.name = name;
        this.tab = tab;
        world.channels.set(name, [...(world.channels.get(name) ?? []), this]);
      }

      postMessage(data) {
        if (this.isClosed) throw new Error('it is closed');
        for (const other of world.channels.get(this.name)) {
          if (other === this) continue;
          const copy = structuredClone(data);
          // Messages from one tab arrive in order; messages from different tabs may overtake each other.
          const at = Math.max(other.times?.get(this) ?? 0, world.now + world.chance.below(20));
          (other.times ??= new Map()).set(this, at);
          world.at(at - world.now, other.tab, () => other.isClosed || other.onmessage?.({ data: copy }), 'message');
        }
      }

      close() {
        this.isClosed = true;
        world.channels.set(this.name, world.channels.get(this.name).filter(known => known !== this));
      }
    }
    const setTimeout = (act, ms = 0) => {
      const id = ++this.#ids;
      // A browser fires a timer at once if its delay does not fit into 31 bits.
      const task = world.at(ms > 2 ** 31 - 1 ? 0 : ms, this, () => {
        this.timers.delete(id);
        act();
      });
      this.timers.set(id, task);
      return id;
    };
    const clearTimeout = id => {
      const task = this.timers.get(id);
      if (task) task.isOff = true;
      this.timers.delete(id);
    };
    const setInterval = (act, ms) => {
      const id = ++this.#ids;
      const again = () => this.timers.set(id, world.at(ms, this, () => {
        again();
        act();
      }));
      again();
      return id;
    };
    const signal = { any: signals => AbortSignal.any(signals), timeout: ms => {
      const controller = new AbortController();
      world.at(ms, this, () => controller.abort());
      return controller.signal;
    } };
    const math = Object.create(Math, { random: { value: () => world.chance.next() } });
    for (const name of Object.getOwnPropertyNames(Math)) if (name !== 'random') Object.defineProperty(math, name, { value: Math[name] });
    const socket = server.socketOf(this);
    const globals = {
      WebSocket: socket, navigator: this.navigator, BroadcastChannel: Channel, document: this.document,
      addEventListener: (...given) => this.page.addEventListener(...given),
      removeEventListener: (...given) => this.page.removeEventListener(...given),
      location: { href: 'https://app.example/page' },
    };
    this.client = load(globals, setTimeout, clearTimeout, setInterval, clearTimeout, { now: () => world.now, parse: Date.parse }, math,
      (address, init) => server.fetch(this, address, init), socket, signal, this.navigator, Channel, this.document,
      { getItem: key => storage[key] ?? null, setItem: (key, value) => (storage[key] = value) },
      { getRandomValues: bytes => bytes.map(() => world.chance.below(256)) },
      act => world.at(0, this, act), 'https://push.example/client.js');
  }

  /** Freezes the tab, so that none of its tasks run; with `isTold` it gets a `freeze` event first. */
  freeze(isTold) {
    if (isTold) this.document.fire('freeze');
    this.isFrozen = true;
  }

  /** Runs the tasks that were held back, by kind in one of two orders; with `isTold` the tab gets a `resume` event. */
  thaw(isTold) {
    this.isFrozen = false;
    const { late, world } = this;
    this.late = [];
    const kinds = world.chance.is(0.5) ? ['timer', 'message', 'network'] : ['message', 'network', 'timer'];
    for (const kind of kinds) for (const task of late.filter(task => task.kind === kind)) world.at(0, this, () => task.isOff || task.act(), kind);
    if (isTold) this.document.fire('resume');
  }

  /** Ends the tab without notice, as a crash does. */
  die() {
    this.isDead = true;
    this.world.locks.left(this);
    for (const [name, channels] of this.world.channels) this.world.channels.set(name, channels.filter(channel => channel.tab !== this));
    this.open.clear();
  }
}

/** A simulation of Web Locks, exclusive ones only. */
class Locks {
  #held = new Map();
  #queues = new Map();

  constructor(world) {
    this.world = world;
  }

  request(tab, name, how, act) {
    return new Promise((done, fail) => {
      const wish = { tab, name, act, done, fail };
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      if (how.ifAvailable && (this.#held.has(name) || queue.length)) return void this.world.at(1 + this.world.chance.below(40), tab, () => done(act(null)), 'network');
      if (how.steal) {
        const holder = this.#held.get(name);
        this.#held.delete(name);
        if (holder) this.world.at(1, holder.tab, () => holder.fail(Object.assign(new Error('stolen'), { name: 'AbortError' })), 'network');
        queue.unshift(wish);
      } else queue.push(wish);
      how.signal?.addEventListener('abort', () => {
        const at = queue.indexOf(wish);
        if (at < 0) return;
        queue.splice(at, 1);
        fail(Object.assign(new Error('given up'), { name: 'AbortError' }));
      });
      this.#next(name);
    });
  }

  #next(name) {
    const queue = this.#queues.get(name);
    if (this.#held.has(name) || !queue.length) return;
    const wish = queue.shift();
    this.#held.set(name, wish);
    const release = () => {
      if (this.#held.get(name) !== wish) return;
      this.#held.delete(name);
      this.#next(name);
    };
    this.world.at(1, wish.tab, async () => {
      if (this.#held.get(name) !== wish) return;
      try {
        const given = await wish.act({ name });
        release();
        wish.done(given);
      } catch (error) {
        release();
        wish.fail(error);
      }
    }, 'network');
  }

  left(tab) {
    for (const [name, queue] of this.#queues) {
      for (let at = queue.length; at-- > 0;) if (queue[at].tab === tab) queue.splice(at, 1);
      if (this.#held.get(name)?.tab === tab) this.#held.delete(name);
      this.#next(name);
    }
  }
}
