// What client.js says where a page asked for nothing, can't show a token, or hears nothing at all.
//
//   node client-js/tests/edges.mjs

import assert from 'node:assert/strict';
import { World, Tab } from './world.mjs';

/** A world with a server that answers as it is told, `null` for never, and one tab. */
function place(answer) {
  const world = new World(1);
  const server = {
    fetch: (tab, address, { signal }) => new Promise((done, fail) => {
      tab.asked.push(address);
      const given = answer(address);
      if (given instanceof Error) fail(given);
      else if (given) done(new Response(JSON.stringify(given)));
      else signal.addEventListener('abort', () => fail(signal.reason ?? new Error('aborted')));
    }),
    socketOf: () => class {
      close() {}
    },
  };
  return { world, tab: new Tab(world, server) };
}

/** Subscribes, lets so much time pass, and closes. */
async function read({ world, tab }, topics, ms, options) {
  const states = [];
  const stream = tab.client.subscribe(topics, () => {}, { onState: state => states.push(state), ...options });
  await new Promise(setImmediate);
  await world.until(world.now + ms);
  stream.close();
  return states;
}

const nothing = { events: [], cursor: 'e-0' };
const polls = { techniques: ['short_poll'], share: false };

{
  const { tab } = place(() => nothing);
  for (const none of [[], '', undefined]) assert.throws(() => tab.client.subscribe(none, () => {}), /no topics/);
}
{
  // Two tabs that read the same share a line, in whatever order they name it.
  const of = async topics => {
    const { world, tab } = place(() => nothing);
    await read({ world, tab }, topics, 1000, polls);
    return tab.asked[0];
  };
  assert.equal(await of(['b', 'a']), await of(['a', 'b']));
}
{
  const states = await read(place(() => nothing), 'a', 5000, { ...polls, token: async () => { throw new Error('the page has no session'); } });
  assert.deepEqual(states.at(-1).error?.message, 'the page has no session');
  assert.equal(states.at(-1).state, 'waiting');
}
{
  // As where this page's origin is not let in.
  const states = await read(place(() => new TypeError('Failed to fetch')), 'a', 5000, polls);
  assert.equal(states.at(-1).error?.message, 'Failed to fetch');
}
{
  const states = await read(place(() => nothing), 'a', 5000, polls);
  assert.deepEqual(states.map(({ state, error }) => [state, error]), [['open', undefined]]);
}
{
  // A server that never says whose cookie it is holds up nobody for longer than a line that gives no sign of life.
  const { world, tab } = place(address => (address.includes('session') ? null : nothing));
  await read({ world, tab }, 'a', 10000, { techniques: ['short_poll'] });
  assert.ok(tab.asked.some(address => address.includes('v1/events')), `${tab.asked}`);
}
{
  // Where this machine is its own server it is there without a network.
  const { world, tab } = place(() => nothing);
  tab.navigator.onLine = false;
  await read({ world, tab }, 'a', 5000, { ...polls, url: 'http://localhost:8080' });
  assert.notEqual(tab.asked.length, 0);
}
console.log('all is said');
