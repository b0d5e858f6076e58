// Does to the page whatever a visitor could: clicks, types nonsense, presses keys, drags on pictures. The same seed
// does the same, as far as the page is the same. Calls back with the number of steps and the findings. SEED and MS are
// replaced.
const done = arguments[arguments.length - 1];
let state = (SEED * 2654435761 | 0) || 1;
const next = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};
const of = list => list[Math.floor(next() * list.length)];
const WORDS = ['', ' ', '0', '-1', '1', '2.5', '1e3', '1e309', '-1e-309', '99999999999999999999', 'NaN', 'null', 'true', '0x10', '1,5', '٣٤', '한국어', 'שלום',
  '<b>x</b><script>x</' + 'script>', '"\'`\\', '{"a":1}', '[[[[', '../..', '%00', '\u0000', '\u202e', '🙂👩‍👩‍👧', 'e\u0301', 'a'.repeat(5000), 'orders.>', '*.*', '>', 'lab.x', 'host.cpu'];
const KEYS = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'End', 'PageUp', 'PageDown', 'Enter', ' ', 'Escape', 'Tab', 'Backspace', 'Delete', 'a', 'Z'];
// Steps and findings add up over the rounds on one page.
window.monkey ??= { steps: 0, wrong: [], at: {} };
const { monkey } = window;
const wrong = what => monkey.wrong.length < 20 && monkey.wrong.push(`${what}, after ${monkey.last}`);
if (!monkey.listens) {
  monkey.listens = true;
  addEventListener('error', event => event.error && wrong(`error: ${event.message} ${event.error.stack}`));
  addEventListener('unhandledrejection', event => wrong(`rejection: ${event.reason}`));
}

/** Everything that can be used, except what leaves the app or asks for a file. */
const controls = () => [...document.querySelectorAll('a[href], button, input, select, textarea, canvas, svg[tabindex], [role=radio], [tabindex="0"]')].filter(one => {
  if (one.disabled || one.type === 'file' || one.closest('#crash') || one.closest('[inert]')) return false;
  if (one.matches('a') && (one.origin !== location.origin || one.target || one.download)) return false;
  return one.getClientRects().length > 0;
});
const name = one => `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ''}${one.dataset?.testid ? `[${one.dataset.testid}]` : ''} "${(one.getAttribute('aria-label') ?? one.textContent ?? '').trim().slice(0, 30)}"`;

function set(one, value) {
  const kind = one instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(one, value);
}

function pointer(one) {
  const { left, top, width, height } = one.getBoundingClientRect();
  const at = { bubbles: true, pointerId: 1, clientX: left + next() * width, clientY: top + next() * height };
  for (const kind of ['pointermove', 'pointerdown', 'pointermove', 'pointerup', 'pointerleave']) one.dispatchEvent(new PointerEvent(kind, at));
}

function act() {
  const one = of(controls());
  if (!one) return;
  const what = next();
  monkey.last = name(one);
  monkey.at[location.pathname] = (monkey.at[location.pathname] ?? 0) + 1;
  if (what < 0.12) {
    one.focus();
    one.dispatchEvent(new KeyboardEvent('keydown', { key: of(KEYS), bubbles: true, cancelable: true, shiftKey: next() < 0.2 }));
  } else if (one.matches('canvas, svg')) {
    pointer(one);
  } else if (one.matches('input:not([type=checkbox]):not([type=range]), textarea')) {
    one.focus();
    set(one, of(WORDS));
    one.dispatchEvent(new Event('input', { bubbles: true }));
    if (next() < 0.8) one.dispatchEvent(new Event('change', { bubbles: true }));
    if (next() < 0.3) one.form?.requestSubmit();
    one.blur();
  } else if (one.matches('input[type=range]')) {
    set(one, String(Math.floor(next() * 40) - 5));
    one.dispatchEvent(new Event('input', { bubbles: true }));
    if (next() < 0.8) one.dispatchEvent(new Event('change', { bubbles: true }));
  } else if (one.matches('select')) {
    one.selectedIndex = Math.floor(next() * one.options.length);
    one.dispatchEvent(new Event('change', { bubbles: true }));
  } else if (one.matches('a') && what < 0.8) {
    // Most links are only focused, so that the monkey stays on its page for a while.
    one.focus();
  } else {
    one.focus();
    one.click();
  }
}

const until = performance.now() + MS;
function go() {
  if (performance.now() > until || monkey.wrong.length) return done({ steps: monkey.steps, wrong: monkey.wrong, at: monkey.at });
  try {
    act();
  } catch (error) {
    wrong(`thrown: ${error}`);
  }
  monkey.steps++;
  setTimeout(go, next() < 0.1 ? 60 : 4);
}
go();
