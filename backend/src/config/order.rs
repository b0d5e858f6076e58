//! The settings of a log that several servers share.

use std::path::PathBuf;

use clap::Args;
use fourways_cluster::OrderSettings;
use fourways_log::engine::{Copy, TailCap};

use super::{Config, LogFlags};

/// Settings of a log whose order NATS keeps, so that several servers share it. Without `--order`, this server decides the
/// order itself.
#[derive(Args, Clone, Debug)]
pub struct OrderFlags {
    /// NATS servers (2.15 or newer, with JetStream) that keep the order of a log which several servers share, as in
    /// nats://a:4222,nats://b:4222,nats://c:4222. --data is then this server's copy of the log.
    #[arg(long, env = "FOURWAYS_ORDER", value_name = "NATS", value_delimiter = ',', hide_env_values = true)]
    pub order: Vec<String>,

    /// File with the credentials of this server's NATS user.
    #[arg(long, env = "FOURWAYS_ORDER_CREDENTIALS", value_name = "FILE", requires = "order")]
    pub order_credentials: Option<PathBuf>,

    /// Certificates of the authorities that signed the NATS servers' certificates, in PEM. Connections then use TLS.
    #[arg(long, env = "FOURWAYS_ORDER_CA", value_name = "FILE", requires = "order")]
    pub order_ca: Option<PathBuf>,

    /// Name of the log among those that the same NATS servers keep: the name of its stream.
    #[arg(long, env = "FOURWAYS_LOG_NAME", default_value = "fourways", value_name = "NAME")]
    pub log_name: String,

    /// Name of this server among those that share the log [default: the machine's name].
    #[arg(long, env = "FOURWAYS_NODE", value_name = "NAME")]
    pub node: Option<String>,

    /// Monitoring addresses of the NATS servers, as in <http://a:8222>. With them, the start checks that NATS syncs
    /// before it acknowledges.
    #[arg(
        long,
        env = "FOURWAYS_NATS_MONITOR",
        value_name = "URL",
        value_delimiter = ',',
        requires = "order"
    )]
    pub nats_monitor: Vec<String>,
}

impl OrderFlags {
    /// Returns the settings of the order; `None` if this server decides the order itself.
    pub fn settings(&self, config: &Config) -> Option<OrderSettings> {
        if self.order.is_empty() {
            return None;
        }
        let LogFlags { memory, data, tail_events, tail_bytes, .. } = &config.log;
        let cap = TailCap { events: *tail_events, bytes: *tail_bytes };
        let copy = if *memory { Copy::Memory } else { Copy::Disk { folder: data.clone(), cap } };
        Some(OrderSettings {
            servers: self.order.clone(),
            credentials: self.order_credentials.clone(),
            ca: self.order_ca.clone(),
            log: self.log_name.clone(),
            node: self.node(),
            monitors: self.nats_monitor.clone(),
            max_bytes: config.limits.max_body_bytes,
            copy,
            rules: config.log.rules(),
            workers: config.workers(),
        })
    }

    /// Returns the name of this server.
    pub fn node(&self) -> String {
        let host = || sysinfo::System::host_name().unwrap_or_else(|_| "node".to_owned());
        self.node.clone().unwrap_or_else(host)
    }
}
