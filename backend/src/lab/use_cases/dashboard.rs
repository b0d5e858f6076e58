//! The publisher of the dashboard's figures: this machine, this process and this server, at the rates that are read.

use std::time::Instant;

use fourways_shared::{
    Event, Filter, Technique, Topic,
    use_case::dashboard::{Figures, RATES, TILES, figures},
};
use sysinfo::{
    MINIMUM_CPU_UPDATE_INTERVAL, Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System,
    get_current_pid,
};

use super::{Due, Machine, Publication, Readers, until};

/// The state of the dashboard. If the system's figures can't be read, nothing is published; `--source host` logs why.
#[derive(Default)]
pub(super) struct Host {
    asked: Option<Asked>,
    /// Time when the next figures of each rate are due, in the order of [`RATES`].
    next_us: [u64; RATES.len()],
}

struct Asked {
    system: System,
    networks: Networks,
    own: Option<Pid>,
    at: Instant,
    cpu_at: Instant,
    /// Totals at the reading before: bytes received and sent, events published and delivered.
    counted: [u64; 4],
    values: [f64; TILES.len()],
}

/// Returns the topics of the figures.
pub(super) fn live_topics() -> impl Iterator<Item = Topic> {
    RATES.into_iter().filter_map(figures)
}

impl Machine for Host {
    /// Returns the topics of the figures themselves: the log counts subscribers only of topics that it knows.
    fn reads(&self) -> Vec<Filter> {
        live_topics().map(|topic| (&topic).into()).collect()
    }

    fn apply(&mut self, _: &Event, _: u64) {}

    fn due(&mut self, now_us: u64, readers: &mut Readers) -> Due {
        let mut due = Due::default();
        for (rate, next_us) in RATES.into_iter().zip(&mut self.next_us) {
            let Some(topic) = figures(rate) else { continue };
            if !readers.has(&topic) {
                continue;
            }
            if *next_us <= now_us {
                let every_us = 1_000_000 / u64::from(rate);
                // A late event is not made up for: two readings of the same moment would show nothing new.
                *next_us = (*next_us + every_us).max(now_us + every_us / 2);
                if self.asked.is_none() {
                    self.asked = Asked::new().ok();
                }
                if let Some(asked) = &mut self.asked {
                    asked.look(readers);
                    due.says.extend(Publication::of(Some(topic), &Figures { values: asked.values }));
                }
            }
            let wait = until(*next_us, now_us);
            due.again = Some(due.again.map_or(wait, |again| again.min(wait)));
        }
        due
    }
}

impl Asked {
    fn new() -> Result<Self, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        let (networks, now) = (Networks::new_with_refreshed_list()?, Instant::now());
        let own = get_current_pid().ok();
        Ok(Self { system, networks, own, at: now, cpu_at: now, counted: [0; 4], values: [0.0; TILES.len()] })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn look(&mut self, readers: &Readers) {
        // The kernel's counters are too coarse below sysinfo's minimum interval: until then the last reading stays.
        if self.cpu_at.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL {
            self.cpu_at = Instant::now();
            self.system.refresh_cpu_usage();
            self.values[0] = f64::from(self.system.global_cpu_usage());
            if let Some(own) = self.own {
                let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
                self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
                if let Some(process) = self.system.process(own) {
                    self.values[1] = f64::from(process.cpu_usage());
                    self.values[3] = process.memory() as f64 / 1e6;
                }
            }
        }
        self.system.refresh_memory();
        self.values[2] = self.system.used_memory() as f64 / self.system.total_memory().max(1) as f64 * 100.0;
        if let Ok(load) = System::load_average() {
            self.values[4..7].copy_from_slice(&[load.one, load.five, load.fifteen]);
        }
        self.networks.refresh(true);
        let network = self.networks.values().fold((0, 0), |(received, sent), network| {
            (received + network.total_received(), sent + network.total_transmitted())
        });
        let tail = readers.tail();
        let reads = Technique::ALL.map(|technique| tail.meters().reads(technique));
        self.values[9] = reads.iter().map(|reads| reads.open as f64).sum();
        let counted = [network.0, network.1, tail.head().0, reads.iter().map(|reads| reads.events).sum()];
        let seconds = self.at.elapsed().as_secs_f64();
        // A rate over a shorter time is too coarse.
        if seconds > 0.05 {
            let rate = |at: usize| counted[at].saturating_sub(self.counted[at]) as f64 / seconds;
            // The first reading has nothing to be compared with.
            if self.counted != [0; 4] {
                [self.values[7], self.values[8]] = [rate(0) / 1e3, rate(1) / 1e3];
                [self.values[10], self.values[11]] = [rate(2), rate(3)];
            }
            (self.counted, self.at) = (counted, Instant::now());
        }
        for value in &mut self.values {
            *value = (*value * 100.0).round() / 100.0;
        }
    }
}
