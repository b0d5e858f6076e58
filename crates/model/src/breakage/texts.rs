//! The network condition that each breakage stands for, and its causes in real life.

use fourways_shared::lab::FaultKind;

use super::Breakage;

/// Explanation of a breakage, shown before the visitor triggers it.
pub struct About {
    /// Effect on the connection, in the network's terms.
    pub models: &'static str,
    /// Usual causes in real life.
    pub causes: &'static str,
    /// A public thread of people who met the fault: its name and its address.
    pub source: (&'static str, &'static str),
}

pub const fn about(breakage: Breakage) -> About {
    match breakage {
        Breakage::Server(FaultKind::Drop) => About {
            models: "A TCP reset on this page's connection. Whoever connects again is served.",
            causes: "A load balancer's idle timeout, a NAT that forgot the flow, a phone that changes networks.",
            source: (
                "aws-load-balancer-controller #2681",
                "https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2681",
            ),
        },
        Breakage::Server(FaultKind::Restart) => About {
            models: "Every open connection of this page is reset, and new ones too until the time is over.",
            causes: "A deployment, a crash, a host that goes down: all clients come back at once.",
            source: ("rails #40229", "https://github.com/rails/rails/pull/40229"),
        },
        Breakage::Server(FaultKind::Stall) => About {
            models: "Packets vanish both ways and no connection ends; what was sent arrives when the path is back.",
            causes: "A lift, a tunnel, a lost route: the connection looks healthy, and the page shows stale data.",
            source: ("ws #1158", "https://github.com/websockets/ws/issues/1158"),
        },
        Breakage::Server(FaultKind::Delay) => About {
            models: "Everything takes 300 ms longer each way, and up to 200 ms more by chance; the order is kept.",
            causes: "Another continent, a satellite, a crowded mobile cell.",
            source: ("socketioxide #487", "https://github.com/Totodore/socketioxide/pull/487"),
        },
        Breakage::Server(FaultKind::Bandwidth) => About {
            models: "At most 2 kB a second each way: bytes queue up and arrive one after the other.",
            causes: "A bad mobile connection, or a link that others fill. Whoever sends more bytes waits longer.",
            source: ("relay-ide #1250", "https://github.com/donovan-yohan/relay-ide/pull/1250"),
        },
        Breakage::Server(FaultKind::Buffer) => About {
            models: "An answer that is not whole is held back until 4 kB have come together.",
            causes: "nginx with proxy_buffering on, antivirus software, a corporate filter, compression that does not flush.",
            source: ("nginx #1505", "https://github.com/nginx/nginx/issues/1505"),
        },
        Breakage::Server(FaultKind::Refuse) => About {
            models: "New requests are answered with 503 and Retry-After; what is open goes on.",
            causes: "An overloaded server, a rate limit, a gateway without a healthy backend.",
            source: ("EventSource polyfill #88", "https://github.com/Yaffle/EventSource/issues/88"),
        },
        Breakage::Offline => About {
            models: "This page closes its stream and asks for nothing, as a browser does without a network; then it comes back.",
            causes: "Flight mode, a closed laptop, a dead spot. Events go on without you.",
            source: ("socket.io #5538", "https://github.com/socketio/socket.io/issues/5538"),
        },
        Breakage::Background => About {
            models: "Browsers run a hidden tab's timers at most once a second, Chrome once a minute after five minutes; network callbacks still come.",
            causes: "You, by looking at another tab. Polls are timers, so they slow down; pushed bytes are not.",
            source: ("SignalR #4536", "https://github.com/SignalR/SignalR/issues/4536"),
        },
    }
}
