//! `POST /v1/lab/kill/{node}`: kills a server, so that visitors of the lab see what its clients do. Only servers that were
//! started with `--lab-kill` can be killed.

use std::time::Duration;

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::Code;

use crate::{access::Grant, config::Config, operate::nodes::Nodes, problem::Failure, worker::Worker};

/// Kind of the question between servers.
const KILL: &str = "kill";
/// Time in which the answer leaves before the server is gone.
const LEAVE: Duration = Duration::from_millis(50);

/// Lets other servers kill this one.
pub(crate) fn answer_for(nodes: &Nodes) {
    nodes.answers(KILL, |()| {
        end();
        true
    });
}

/// Kills the server of this id: its process ends at once, as if its machine had failed.
///
/// # Errors
/// 403 without the right to operate the server, 404 if no server of this id can be killed.
pub async fn handle(
    node: web::Path<String>,
    grant: Grant,
    config: web::Data<Config>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    let is_this = worker.nodes.id() == Some(node.as_str());
    let is_told = match (is_this, config.lab_kill) {
        (true, true) => {
            end();
            true
        }
        (true, false) => false,
        (false, _) => worker.nodes.ask(&node, KILL, &()).await.unwrap_or(false),
    };
    if !is_told {
        return Err(Failure::new(Code::NotFound, format!("there is no server {node} that can be killed")));
    }
    Ok(HttpResponse::Accepted().insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// Ends the process in a moment, without an orderly shutdown.
fn end() {
    tracing::warn!("a visitor of the lab kills this server");
    std::thread::spawn(|| {
        std::thread::sleep(LEAVE);
        // The exit status of a process that was killed by `kill -9`, in a shell.
        std::process::exit(137);
    });
}
