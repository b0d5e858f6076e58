//! The figures of the machine that the server runs on: real data that is always available.

use std::{sync::Arc, time::Duration};

use fourways_shared::{Data, EventName, Topic};
use serde::Serialize;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, Networks, System};
use tokio::time::{MissedTickBehavior, interval};

use fourways_log::engine::{Append, Draft, Engine};

/// Publishes to `host.cpu`, `host.memory`, `host.load` and `host.network`, each `rate` times a second, until the future
/// is dropped. Ends at once if the system's figures can't be read.
pub async fn run(engine: Arc<dyn Engine>, rate: f64) {
    let mut host = match Host::new() {
        Ok(host) => host,
        Err(error) => {
            return tracing::warn!(%error, "can't read this system's figures; the host source is off");
        }
    };
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    // A late tick is not made up for: two readings of the same moment would show nothing new.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (topic, data) in host.figures() {
            let Ok(topic) = Topic::parse(topic) else { continue };
            let append = Append { topic, drafts: vec![Draft { name: EventName::DEFAULT, data }], key: None };
            if let Err(error) = engine.append(append).await {
                tracing::warn!(%error, "host figures were not published");
            }
        }
    }
}

struct Host {
    system: System,
    networks: Networks,
    cpu_read_at: std::time::Instant,
    network_read_at: std::time::Instant,
}

#[derive(Serialize)]
struct Cpu {
    /// Use of all cores together since the reading before.
    percent: f32,
    cores: Vec<f32>,
}

#[derive(Serialize)]
struct Memory {
    used_bytes: u64,
    total_bytes: u64,
    swap_used_bytes: u64,
}

#[derive(Serialize)]
struct Load {
    one: f64,
    five: f64,
    fifteen: f64,
}

#[derive(Serialize)]
struct Network {
    received_bytes_per_second: u64,
    sent_bytes_per_second: u64,
}

impl Host {
    fn new() -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        let now = std::time::Instant::now();
        let networks = Networks::new_with_refreshed_list()?;
        Ok(Self { system, networks, cpu_read_at: now, network_read_at: now })
    }

    fn figures(&mut self) -> impl Iterator<Item = (&'static str, Data)> {
        let load = System::load_average().ok().map(|load| {
            ("host.load", Data::json(&Load { one: load.one, five: load.five, fifteen: load.fifteen }))
        });
        [("host.cpu", self.cpu()), ("host.memory", self.memory()), ("host.network", self.network())]
            .into_iter()
            .chain(load)
    }

    /// Returns the use of the CPU. The kernel's counters are too coarse for intervals below sysinfo's minimum, within
    /// which the last reading is repeated.
    fn cpu(&mut self) -> Data {
        if self.cpu_read_at.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL {
            self.system.refresh_cpu_usage();
            self.cpu_read_at = std::time::Instant::now();
        }
        let tenths = |percent: f32| (percent * 10.0).round() / 10.0;
        let cores = self.system.cpus().iter().map(|cpu| tenths(cpu.usage())).collect();
        Data::json(&Cpu { percent: tenths(self.system.global_cpu_usage()), cores })
    }

    fn memory(&mut self) -> Data {
        self.system.refresh_memory();
        Data::json(&Memory {
            used_bytes: self.system.used_memory(),
            total_bytes: self.system.total_memory(),
            swap_used_bytes: self.system.used_swap(),
        })
    }

    fn network(&mut self) -> Data {
        self.networks.refresh(true);
        let seconds = self.network_read_at.elapsed().as_secs_f64().max(0.001);
        self.network_read_at = std::time::Instant::now();
        let (received, sent) = self.networks.values().fold((0, 0), |(received, sent), network| {
            (received + network.received(), sent + network.transmitted())
        });
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people; 2^52 bytes a second are not reached"
        )]
        let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
        Data::json(&Network { received_bytes_per_second: rate(received), sent_bytes_per_second: rate(sent) })
    }
}
