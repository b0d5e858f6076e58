//! The lab's own channel to the server: commands up, counts and wire records down. The channel is a WebSocket, so it
//! uses none of the six connections that a browser opens to a host over HTTP/1.1, and no figure contains its traffic.

use std::{cell::RefCell, rc::Rc, time::Duration};

use fourways_shared::{
    backoff::Backoff,
    lab::{LabCommand, LabId, LabNews, WireRecord, read_records},
};
use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use crate::browser::{page, wake};

/// A change of the channel's state, or a message from the server.
pub(crate) enum ChannelEvent {
    Open,
    Closed,
    News(Box<LabNews>),
    Records(Vec<WireRecord>),
}

/// A channel that reconnects after it was closed. Its owner is the app's `Lab`; dropping the handle closes the channel
/// for good.
pub(crate) struct Channel(Rc<RefCell<State>>);

struct State {
    id: LabId,
    sink: Rc<dyn Fn(ChannelEvent)>,
    backoff: Backoff,
    socket: Option<Socket>,
    is_wanted: bool,
}

struct Socket {
    socket: WebSocket,
    _on_change: Closure<dyn FnMut(web_sys::Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing a closed socket is no error, and without a close code none can be invalid.
        drop(self.socket.close());
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.is_wanted = false;
        state.socket = None;
    }
}

impl Channel {
    pub(crate) fn open(id: LabId, sink: Rc<dyn Fn(ChannelEvent)>) -> Self {
        let backoff = Backoff::new(page::random_seed());
        let state = Rc::new(RefCell::new(State { id, sink, backoff, socket: None, is_wanted: true }));
        connect(&state);
        Self(state)
    }

    /// Sends a command to the server. Returns false, and sends nothing, while the channel is not open.
    pub(crate) fn tell(&self, command: &LabCommand) -> bool {
        let state = self.0.borrow();
        let Some(Socket { socket, .. }) = &state.socket else { return false };
        let text = serde_json::to_string(command).unwrap_or_default();
        socket.ready_state() == WebSocket::OPEN && socket.send_with_str(&text).is_ok()
    }
}

fn connect(state: &Rc<RefCell<State>>) {
    let (id, sink) = {
        let this = state.borrow();
        (this.id, Rc::clone(&this.sink))
    };
    let origin = page::origin().replacen("http", "ws", 1);
    // A browser without WebSocket has a lab without counts.
    let Ok(socket) = WebSocket::new(&format!("{origin}/v1/lab/ws?lab={}", id.as_str())) else { return };
    socket.set_binary_type(BinaryType::Arraybuffer);
    let on_message = Closure::new(move |event: MessageEvent| {
        let told = match event.data().as_string() {
            Some(text) => serde_json::from_str(&text).ok().map(ChannelEvent::News),
            None => {
                read_records(&js_sys::Uint8Array::new(&event.data()).to_vec()).ok().map(ChannelEvent::Records)
            }
        };
        if let Some(told) = told {
            sink(told);
        }
    });
    let weak = Rc::downgrade(state);
    let on_change = Closure::new(move |event: web_sys::Event| {
        if let Some(state) = weak.upgrade() {
            changed(&state, event.type_() == "open");
        }
    });
    socket.set_onopen(Some(on_change.as_ref().unchecked_ref()));
    socket.set_onclose(Some(on_change.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    state.borrow_mut().socket = Some(Socket { socket, _on_change: on_change, _on_message: on_message });
}

fn changed(state: &Rc<RefCell<State>>, is_open: bool) {
    let (sink, wait) = {
        let mut this = state.borrow_mut();
        if is_open {
            this.backoff.succeeded();
            (Rc::clone(&this.sink), Duration::ZERO)
        } else {
            this.socket = None;
            (Rc::clone(&this.sink), this.backoff.next(Duration::from_millis(300)))
        }
    };
    sink(if is_open { ChannelEvent::Open } else { ChannelEvent::Closed });
    if is_open {
        return;
    }
    let weak = Rc::downgrade(state);
    spawn_local(async move {
        wake::sleep(wait.as_secs_f64() * 1000.0).await;
        if let Some(state) = weak.upgrade().filter(|state| state.borrow().is_wanted) {
            connect(&state);
        }
    });
}
