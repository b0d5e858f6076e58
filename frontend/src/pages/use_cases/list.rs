//! The use cases, with the texts about each.

use fourways_shared::Technique;
use leptos::prelude::RwSignal;

use super::{Parts, chat, dashboard, notice, order, pointer, score, text, trade, upload};

/// A use case, as the list and its page describe it.
pub(super) struct UseCase {
    /// Name of the use case in all layers: in the addresses of its page and its code, its files and its topics.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    /// Technique that fits best.
    pub(super) fits: Technique,
    /// Another technique that does nearly as well.
    pub(super) also: Option<Technique>,
    /// One sentence on why the technique fits.
    pub(super) why: &'static str,
    /// Drawing of the use case, as inline SVG.
    pub(super) picture: &'static str,
    /// Starts the use case with the technique in the signal.
    pub(super) open: fn(RwSignal<Technique>) -> Parts,
}

pub(super) static USE_CASES: &[UseCase] = &[
    UseCase {
        name: "chat",
        title: "Chat room",
        caption: "Everyone talks, order matters.",
        fits: Technique::Websocket,
        also: Some(Technique::Sse),
        why: "Everybody sends as often as they read, typing included, and one socket carries both ways without a request for each word.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="10" y="6" width="56" height="13" rx="6.5" class="o"/><rect x="48" y="24" width="62" height="13" rx="6.5" class="f"/><rect x="10" y="42" width="44" height="13" rx="6.5" class="o"/></svg>"#,
        open: chat::open,
    },
    UseCase {
        name: "score",
        title: "Live score",
        caption: "One way, a few changes a minute.",
        fits: Technique::Sse,
        also: Some(Technique::ShortPoll),
        why: "The score goes one way and rarely, so a stream that the browser itself reopens is all it takes; short polling does as well where some seconds don't matter, and a cache can answer it for everybody.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="14" y="12" width="92" height="36" rx="5" class="o"/><text x="60" y="38" text-anchor="middle" class="t">2 : 1</text></svg>"#,
        open: score::open,
    },
    UseCase {
        name: "order",
        title: "“Your order shipped”",
        caption: "One rare message, on any page.",
        fits: Technique::Sse,
        also: Some(Technique::LongPoll),
        why: "A message now and then, from server to browser, that must not be missed: SSE brings it at once and asks for what it missed with the last id.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="12" y="16" width="96" height="28" rx="5" class="o"/><circle cx="28" cy="30" r="7" class="s"/><path d="m24.5 30 2.6 2.6 4.4-5" class="s"/><path d="M44 27h54M44 35h36" class="l"/></svg>"#,
        open: order::open,
    },
    UseCase {
        name: "notice",
        title: "Notification feed",
        caption: "A badge and a list, the same in every tab.",
        fits: Technique::Sse,
        also: Some(Technique::LongPoll),
        why: "Notices come rarely and must be there after a night's sleep: SSE resumes from the last one, and long polling does the same where a proxy holds streams back.",
        picture: r#"<svg viewBox="0 0 120 60"><g class="o"><rect x="14" y="6" width="92" height="13" rx="3"/><rect x="14" y="24" width="92" height="13" rx="3"/><rect x="14" y="42" width="92" height="13" rx="3"/></g><circle cx="22" cy="12" r="3" class="f"/><circle cx="22" cy="30" r="3" class="s"/><circle cx="22" cy="48" r="3" class="s"/></svg>"#,
        open: notice::open,
    },
    UseCase {
        name: "dashboard",
        title: "Live dashboard",
        caption: "Many small numbers, steady.",
        fits: Technique::Sse,
        also: Some(Technique::Websocket),
        why: "Figures only go down, and only the newest matters: SSE with the policy latest skips what a slow reader would only have thrown away.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="14" y="8" width="42" height="44" rx="3" class="o"/><rect x="64" y="8" width="42" height="44" rx="3" class="o"/><path d="m19 42 8-9 7 5 16-18M69 38l8-4 7 8 16-22" class="s"/></svg>"#,
        open: dashboard::open,
    },
    UseCase {
        name: "upload",
        title: "Progress stream",
        caption: "A job that takes a while and ends.",
        fits: Technique::Sse,
        also: Some(Technique::ShortPoll),
        why: "A job tells how far it is and then ends, one way: SSE shows each step as it is done, and a reload goes on where the log is.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="10" y="20" width="100" height="12" rx="6" class="o"/><rect x="10" y="20" width="64" height="12" rx="6" class="f"/><path d="M12 42h44" class="l"/></svg>"#,
        open: upload::open,
    },
    UseCase {
        name: "pointer",
        title: "Multiplayer pointers",
        caption: "Thirty positions a second, both ways.",
        fits: Technique::Websocket,
        also: None,
        why: "Thirty small messages a second from everybody to everybody: a frame of a socket has six bytes around it on the way up, a request has hundreds.",
        picture: r#"<svg viewBox="0 0 120 60"><path d="M20 50 46 20" class="d"/><path d="m46 20 4 12 3-5 6-2z" class="o"/><path d="m72 34 4 12 3-5 6-2z" class="f"/><path d="m94 14 4 12 3-5 6-2z" class="o"/></svg>"#,
        open: pointer::open,
    },
    UseCase {
        name: "text",
        title: "Collaborative editing",
        caption: "One text, several writers, no lost word.",
        fits: Technique::Websocket,
        also: None,
        why: "Every keystroke is a small message that the others want at once, carets included, from all sides: one socket carries it without a request for each letter.",
        picture: r#"<svg viewBox="0 0 120 60"><rect x="24" y="4" width="72" height="52" rx="4" class="o"/><path d="M32 16h56M32 26h40M32 36h50M32 46h30" class="l"/><path d="M76 21v10M86 31v10" class="s"/></svg>"#,
        open: text::open,
    },
    UseCase {
        name: "trade",
        title: "Live trading",
        caption: "Bursty prices, orders that count once.",
        fits: Technique::Websocket,
        also: Some(Technique::Sse),
        why: "Prices come in bursts and orders go the other way at the same time: one socket carries both, conflated where only the newest price matters and complete where an order is filled.",
        picture: r#"<svg viewBox="0 0 120 60"><path d="M22 14v34M40 20v32M58 8v30M76 14v28M94 6v28" class="l"/><g class="o"><rect x="18" y="22" width="8" height="16"/><rect x="54" y="14" width="8" height="16"/><rect x="90" y="10" width="8" height="14"/></g><g class="f"><rect x="36" y="26" width="8" height="18"/><rect x="72" y="20" width="8" height="14"/></g></svg>"#,
        open: trade::open,
    },
];
