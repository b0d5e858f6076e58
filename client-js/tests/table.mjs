// Compares the reaction of client.js to each status and close code with the table in the argument:
// `{"status": {"404": "stop", …}, "close": {…}}`. The test that runs this file makes the table from `Advice` in
// shared/src/problem.rs, which the native client and the lab follow.
//
//   node client-js/tests/table.mjs TABLE

import { World, Tab } from './world.mjs';

/** Returns true if the client tries again after this answer, and false if it stops. */
async function goesOn(technique, answer) {
  const world = new World(1);
  const server = {
    fetch: async (tab, address) => {
      tab.asked.push(address);
      return new Response(answer.status === 204 || answer.status === 304 ? null : '{}', { status: answer.status });
    },
    socketOf: tab => class {
      constructor(address) {
        tab.asked.push(address);
        world.at(5, tab, () => this.onclose({ code: answer.close, reason: '' }));
      }

      close() {}
    },
  };
  const tab = new Tab(world, server);
  let hasStopped = false;
  const stream = tab.client.subscribe('a', () => {}, { techniques: [technique], share: false, onError: () => { hasStopped = true; } });
  await new Promise(setImmediate);
  await world.until(world.now + 60000);
  const isTrying = tab.asked.length > 1;
  stream.close();
  if (hasStopped === isTrying) throw new Error(`${technique}, ${JSON.stringify(answer)}: stopped ${hasStopped}, ${tab.asked.length} requests`);
  return isTrying;
}

const table = JSON.parse(process.argv[2]);
let wrong = 0;
for (const [kind, techniques] of [['status', ['sse', 'long_poll', 'short_poll']], ['close', ['websocket']]]) {
  for (const [number, advice] of Object.entries(table[kind])) {
    for (const technique of techniques) {
      const does = await goesOn(technique, { [kind]: +number }) ? 'retry' : 'stop';
      if (does === advice) continue;
      wrong++;
      console.log(`${technique}, ${kind} ${number}: the table says ${advice}, it does ${does}`);
    }
  }
}
console.log(`${Object.keys(table.status).length} statuses and ${Object.keys(table.close).length} close codes; ${wrong} otherwise than the table`);
process.exit(wrong ? 1 : 0);
