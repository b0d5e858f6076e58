// Follows an event stream with eventsource, which reconnects by itself, and prints each message's n.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2]);
source.addEventListener('message', event => console.log(JSON.parse(event.data).n));
source.addEventListener('heartbeat', event => JSON.parse(event.data));
source.addEventListener('reset', event => JSON.parse(event.data));
source.addEventListener('error', event => {
  console.error(event.message ?? 'the stream has ended');
  if (source.readyState === source.CLOSED) process.exitCode = 1;
});
