//! Three NATS servers and three servers that follow them, each over links of its own that can be cut.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use fourways_testkit::{Balancer, Link, Nats, Process, own_address};

use super::PATIENCE;
use crate::FOURWAYS;

/// The servers under test, and the NATS servers that keep their order.
pub(super) struct Rig {
    pub(super) nats: Nats,
    nodes: Vec<Node>,
    balancer: Balancer,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// One server, its links to the NATS servers, and its address, which it keeps through restarts.
struct Node {
    process: Option<Process>,
    links: Vec<Link>,
    address: String,
    data: std::path::PathBuf,
}

impl Rig {
    pub(super) fn start(binary: &Path) -> Self {
        let nats = Nats::cluster(binary).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let node = |at: usize| Node {
            process: None,
            links: (0..nats.count()).map(|server| Link::to(nats.address(server)).unwrap()).collect(),
            address: format!("{}:8080", own_address()),
            data: folder.path().join(format!("node{at}")),
        };
        let nodes: Vec<Node> = (0..3).map(node).collect();
        let addresses: Vec<_> = nodes.iter().map(|node| node.address.parse().unwrap()).collect();
        let balancer = Balancer::start((own_address(), 0), &addresses).unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let mut rig = Self { nats, nodes, balancer, http, _folder: folder };
        for at in 0..3 {
            rig.start_node(at);
        }
        rig
    }

    pub(super) fn bases(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("http://{}", node.address)).collect()
    }

    /// Returns the URL of the balancer in front of all servers.
    pub(super) fn balancer(&self) -> String {
        format!("http://{}", self.balancer.address())
    }

    pub(super) fn start_node(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let order: Vec<_> = node.links.iter().map(|link| format!("nats://{}", link.address())).collect();
        let (order, name) = (order.join(","), format!("node{at}"));
        let flags = [
            "--source",
            "none",
            "--use-cases",
            "off",
            "--publish-rate",
            "0",
            "--workers",
            "1",
            "--node",
            &name,
            "--order",
            &order,
            "--drain",
            "1s",
            "--data",
            node.data.to_str().unwrap(),
        ];
        node.process = Some(Process::serve_on(FOURWAYS, &node.address, &flags).unwrap());
    }

    /// Kills a server as `kill -9` does.
    pub(super) fn kill_node(&mut self, at: usize) {
        drop(self.nodes[at].process.take());
    }

    /// Stops a server in order.
    pub(super) fn stop_node(&mut self, at: usize) {
        let mut process = self.nodes[at].process.take().unwrap();
        process.terminate().unwrap();
        process.ended().unwrap();
    }

    pub(super) fn pause_node(&self, at: usize, is_paused: bool) {
        let id = self.nodes[at].process.as_ref().unwrap().id().to_string();
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Cuts a server from all NATS servers, or connects it again.
    pub(super) fn cut_node(&self, at: usize, is_cut: bool) {
        self.nodes[at].links.iter().for_each(|link| link.cut(is_cut));
    }

    /// Lets nothing through between a server and all NATS servers, without closing a connection.
    pub(super) fn silence_node(&self, at: usize, is_silent: bool) {
        self.nodes[at].links.iter().for_each(|link| link.silence(is_silent));
    }

    /// Returns the NATS server that leads the stream, as any of them says.
    pub(super) async fn leader(&self) -> Option<usize> {
        for at in 0..self.nats.count() {
            let url = format!("{}/jsz?streams=true&accounts=true", self.nats.monitor(at));
            let Ok(answer) = self.http.get(url).send().await else { continue };
            let Ok(text) = answer.text().await else { continue };
            let Ok(told) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            let streams = told["account_details"].as_array().into_iter().flatten();
            let streams =
                streams.flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
            let leader = streams
                .filter(|stream| stream["name"] == "fourways")
                .find_map(|stream| stream["cluster"]["leader"].as_str()?.strip_prefix('n')?.parse().ok());
            if leader.is_some() {
                return leader;
            }
        }
        None
    }

    /// Waits until every server is ready.
    pub(super) async fn ready(&self, after: &str) {
        let began = Instant::now();
        for node in &self.nodes {
            loop {
                let answer = self.http.get(format!("http://{}/readyz", node.address)).send().await;
                let why = match answer {
                    Ok(answer) if answer.status().is_success() => break,
                    Ok(answer) => answer.text().await.unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                assert!(
                    began.elapsed() < PATIENCE,
                    "{after}: {why}\n{}",
                    node.process.as_ref().map(Process::said).unwrap_or_default()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
