//! The other clients during an attack: one requests `/healthz` and one publishes, all the time, and the longest wait of
//! each is kept.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{http2::Secure, line::Attacker};

/// Pause of a client between an answer and its next request.
const PAUSE: Duration = Duration::from_millis(5);

/// The two other clients, each on a separate thread, with which the watch shares only atomics. Dropping the watch
/// stops the threads and waits for them.
pub(crate) struct Watch {
    stops: Arc<AtomicBool>,
    slowest_us: [Arc<AtomicU64>; 2],
    failed: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

const QUESTIONS: [(&str, &[u8]); 2] = [("GET /healthz", b""), ("POST /v1/topics/watched/events", b"1")];

impl Watch {
    /// Connects both clients, and starts their threads.
    ///
    /// # Errors
    /// If the server accepts no connection.
    pub(crate) fn begin(address: SocketAddr, is_secure: bool) -> anyhow::Result<Self> {
        let (stops, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let slowest_us: [Arc<AtomicU64>; 2] = Default::default();
        let mut threads = Vec::new();
        for ((head, body), slowest) in QUESTIONS.into_iter().zip(&slowest_us) {
            let (stops, failed, slowest) = (Arc::clone(&stops), Arc::clone(&failed), Arc::clone(slowest));
            let mut ask: Box<dyn FnMut() -> anyhow::Result<u16> + Send> = if is_secure {
                let mut line = Secure::connect(address, b"http/1.1")?;
                Box::new(move || line.ask(head, body))
            } else {
                let mut line = Attacker::of(address).connect()?;
                Box::new(move || line.ask(head, body))
            };
            threads.push(std::thread::spawn(move || {
                while !stops.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    let status = ask();
                    let waited = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    slowest.fetch_max(waited, Ordering::SeqCst);
                    if !status.is_ok_and(|status| status < 300) {
                        failed.store(true, Ordering::SeqCst);
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            }));
        }
        Ok(Self { stops, slowest_us, failed, threads })
    }

    /// Returns the longest waits since the last call: for `/healthz`, and for a publish.
    pub(crate) fn read(&self) -> (Duration, Duration) {
        // A wait counts only once it is over, so give the current requests time.
        std::thread::sleep(Duration::from_millis(300));
        let [healthz, publish] = self
            .slowest_us
            .each_ref()
            .map(|slowest| Duration::from_micros(slowest.swap(0, Ordering::SeqCst)));
        (healthz, publish)
    }

    /// True if every request so far has succeeded.
    pub(crate) fn is_well(&self) -> bool {
        !self.failed.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // An error would mean that the thread panicked, which it never does.
            drop(thread.join());
        }
    }
}
