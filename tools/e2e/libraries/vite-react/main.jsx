// The hook of docs/client.md in a page in StrictMode, with a button for each thing that may happen to it: `/?options={"url":…}`.
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useTopic } from './useTopic.js';

const options = JSON.parse(new URLSearchParams(location.search).get('options'));

function Events({ topics }) {
  const { events, state, error, reset } = useTopic(topics, { keep: 3, ...options });
  return <>
    <p id="state">{state.state} {error?.message} {reset?.reason}</p>
    <p id="events">{events.map(({ data }) => JSON.stringify(data)).join(' ')}</p>
  </>;
}

function App() {
  const [topics, setTopics] = useState('react.a');
  const [count, setCount] = useState(0);
  const [isThere, setIsThere] = useState(true);
  return <>
    <button id="more" onClick={() => setTopics('react.a react.b')}>Read another topic</button>
    <button id="again" onClick={() => setCount(count + 1)}>Render again ({count})</button>
    <button id="leave" onClick={() => setIsThere(false)}>Leave</button>
    {isThere && <Events topics={topics.split(' ')} />}
  </>;
}

createRoot(document.querySelector('#root')).render(<StrictMode><App /></StrictMode>);
