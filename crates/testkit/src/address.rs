//! A loopback address for each test, so that no other test takes its port.

use std::{
    net::Ipv4Addr,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Returns an address of 127.0.0.0/8 that neither this process nor another test process has been given before.
///
/// A port that a server leaves on 127.0.0.1 may be taken before the server restarts: by another test, or by the kernel
/// for an outgoing connection. Connections to any address of 127.0.0.0/8 start from 127.0.0.1, and listeners on port 0
/// of other addresses stay there, so a test with its own address finds every port as the test left it.
pub fn own_address() -> Ipv4Addr {
    let count = TAKEN.fetch_add(1, Ordering::Relaxed);
    // Each of 65,535 process ids in a row has 254 addresses of its own; 127.0.x.y is left to other programs.
    let (process, high) = (process::id() % 0xFFFF, count / 254);
    let [_, _, a, b] = (process + high * 7919).to_be_bytes();
    let low = u8::try_from(count % 254).unwrap_or_default() + 1;
    Ipv4Addr::new(127, a.max(1), b, low)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::TcpListener};

    use super::own_address;

    #[test]
    fn a_thousand_addresses_differ_and_can_be_listened_on() {
        let all: HashSet<_> = (0..1000).map(|_| own_address()).collect();
        assert_eq!(all.len(), 1000);
        for address in all {
            assert!(address.is_loopback());
            TcpListener::bind((address, 0)).unwrap();
        }
    }
}
