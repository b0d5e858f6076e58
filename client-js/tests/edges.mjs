// Edge cases of client.js: no topics, a token that can't be had, a server that never answers, no network.
//
//   node client-js/tests/edges.mjs

import assert from 'node:assert/strict';
import { World, Tab } from './world.mjs';

/** Returns a world of one tab and a server that answers with `answer(address)`: a body, an error, or never (`null`). */
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

/** Subscribes, lets `ms` milliseconds pass, closes, and returns the states that were reported. */
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
  // Tabs that read the same topics share a line, whatever the order of the topics.
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
  // The error that `fetch` throws if the server does not allow the page's origin.
  const states = await read(place(() => new TypeError('Failed to fetch')), 'a', 5000, polls);
  assert.equal(states.at(-1).error?.message, 'Failed to fetch');
}
{
  const states = await read(place(() => nothing), 'a', 5000, polls);
  assert.deepEqual(states.map(({ state, error }) => [state, error]), [['open', undefined]]);
}
{
  // A server that never answers `v1/session` delays the start no longer than a line without a sign of life.
  const { world, tab } = place(address => (address.includes('session') ? null : nothing));
  await read({ world, tab }, 'a', 10000, { techniques: ['short_poll'] });
  assert.ok(tab.asked.some(address => address.includes('v1/events')), `${tab.asked}`);
}
{
  // A server on this machine can be reached without a network.
  const { world, tab } = place(() => nothing);
  tab.navigator.onLine = false;
  await read({ world, tab }, 'a', 5000, { ...polls, url: 'http://localhost:8080' });
  assert.notEqual(tab.asked.length, 0);
}
console.log('all is said');
