//! A channel on which the tabs of one origin send each other texts.

use wasm_bindgen::{JsCast as _, closure::Closure};
use web_sys::{BroadcastChannel, MessageEvent};

/// A channel between tabs. A tab does not receive its own messages. Dropping the handle closes the channel.
pub(crate) struct Tabs {
    channel: BroadcastChannel,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Tabs {
    /// Opens the channel; `None` in a browser without `BroadcastChannel`.
    pub(crate) fn open(name: &str, mut hear: impl FnMut(String) + 'static) -> Option<Self> {
        let channel = BroadcastChannel::new(name).ok()?;
        let on_message = Closure::new(move |event: MessageEvent| {
            if let Some(text) = event.data().as_string() {
                hear(text);
            }
        });
        channel.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        Some(Self { channel, _on_message: on_message })
    }

    /// Sends a text to all other tabs.
    pub(crate) fn tell(&self, text: &str) {
        // A text can always be cloned, and a closed channel has no listeners.
        drop(self.channel.post_message(&text.into()));
    }
}

impl Drop for Tabs {
    fn drop(&mut self) {
        self.channel.set_onmessage(None);
        self.channel.close();
    }
}
