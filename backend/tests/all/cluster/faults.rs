//! The faults, and how long each keeps publishers and readers waiting.

use std::{collections::BTreeMap, time::Duration};

use super::rig::Rig;

/// A fault of one of the seven processes or of the network between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// `kill -9` of the NATS server that leads the stream.
    KillLeader,
    /// `kill -9` of another NATS server.
    KillFollower,
    /// SIGTERM to the NATS server that leads the stream.
    StopLeader,
    /// The leading NATS server stands still.
    PauseLeader,
    /// `kill -9` of all NATS servers.
    KillNats,
    /// The leading NATS server is cut from the others.
    IsolateLeader,
    /// `kill -9` of a server.
    KillNode,
    /// SIGTERM to a server.
    StopNode,
    /// A server stands still.
    PauseNode,
    /// A server is cut from NATS.
    CutNode,
    /// The network between a server and NATS swallows everything.
    SilenceNode,
}

impl Fault {
    const ALL: [Self; 11] = [
        Self::KillLeader,
        Self::KillNode,
        Self::CutNode,
        Self::KillFollower,
        Self::StopNode,
        Self::IsolateLeader,
        Self::SilenceNode,
        Self::KillNats,
        Self::PauseNode,
        Self::StopLeader,
        Self::PauseLeader,
    ];

    /// Returns this many faults: each kind in turn, from a random one on.
    pub(super) fn sequence(count: usize) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().cycle().skip(random(Self::ALL.len() as u64)).take(count)
    }

    /// Injects the fault, and ends it. Returns what was done to whom.
    pub(super) async fn inject(self, rig: &mut Rig) -> String {
        let leader = rig.leader().await.unwrap_or(0);
        let other = (leader + 1 + random(2)) % 3;
        let node = random(3);
        // Shorter than publishers are held.
        let lasts = Duration::from_millis(500 + random(1500) as u64);
        match self {
            Self::KillLeader | Self::KillFollower => {
                let who = if self == Self::KillLeader { leader } else { other };
                rig.nats.kill(who);
                tokio::time::sleep(lasts).await;
                rig.nats.restart(who).unwrap();
            }
            Self::StopLeader => {
                rig.nats.stop(leader).unwrap();
                tokio::time::sleep(lasts).await;
                rig.nats.restart(leader).unwrap();
            }
            Self::PauseLeader => {
                rig.nats.pause(leader, true).unwrap();
                tokio::time::sleep(2 * lasts).await;
                rig.nats.pause(leader, false).unwrap();
            }
            Self::KillNats => {
                (0..3).for_each(|at| rig.nats.kill(at));
                (0..3).for_each(|at| rig.nats.restart(at).unwrap());
            }
            Self::IsolateLeader => {
                rig.nats.isolate(leader, true);
                tokio::time::sleep(2 * lasts).await;
                rig.nats.isolate(leader, false);
            }
            Self::KillNode => {
                rig.kill_node(node);
                tokio::time::sleep(lasts).await;
                rig.start_node(node);
            }
            Self::StopNode => {
                rig.stop_node(node);
                rig.start_node(node);
            }
            Self::PauseNode => {
                rig.pause_node(node, true);
                tokio::time::sleep(lasts).await;
                rig.pause_node(node, false);
            }
            Self::CutNode => {
                rig.cut_node(node, true);
                tokio::time::sleep(2 * lasts).await;
                rig.cut_node(node, false);
            }
            Self::SilenceNode => {
                rig.silence_node(node, true);
                tokio::time::sleep(2 * lasts).await;
                rig.silence_node(node, false);
            }
        }
        format!("{self:?}: leader {leader}, other {other}, node {node}, {lasts:?}")
    }
}

fn random(below: u64) -> usize {
    usize::try_from(getrandom::u64().unwrap() % below).unwrap()
}

/// The times of all faults, by kind.
#[derive(Default)]
pub(super) struct Table(BTreeMap<Fault, Vec<Times>>);

struct Times {
    whole: Duration,
    publish: Duration,
    read: Duration,
}

impl Table {
    pub(super) fn add(&mut self, fault: Fault, whole: Duration, publish: Duration, read: Duration) {
        self.0.entry(fault).or_default().push(Times { whole, publish, read });
    }

    pub(super) fn print(&self, refused: u64) {
        println!(
            "| fault | times | longest time without an acknowledgement, s | without an event at any reader, s | until all are ready, s |"
        );
        println!("| --- | ---: | ---: | ---: | ---: |");
        for (fault, times) in &self.0 {
            let range = |of: fn(&Times) -> Duration| {
                let all = || times.iter().map(of);
                let (least, most) = (all().min().unwrap_or_default(), all().max().unwrap_or_default());
                format!("{:.1}–{:.1}", least.as_secs_f64(), most.as_secs_f64())
            };
            println!(
                "| {fault:?} | {} | {} | {} | {} |",
                times.len(),
                range(|times| times.publish),
                range(|times| times.read),
                range(|times| times.whole)
            );
        }
        println!("publishes refused: {refused}");
    }
}
