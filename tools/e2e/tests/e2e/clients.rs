//! Third-party clients, as the docs show them: Node's `ws`, and the `eventsource` package.

use std::process::Command;

use anyhow::Context as _;
use fourways_e2e::Server;

/// Runs a script that must print `done` and end.
fn node(script: &str, server: &Server) -> anyhow::Result<()> {
    let script = script.replace("SERVER", &server.address);
    let output = Command::new("timeout")
        .args(["30", "node", "-e", &script])
        .output()
        .context("node can't be started")?;
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success() && out.trim_end().ends_with("done"), "{out}{errors}");
    Ok(())
}

#[test]
fn node_ws_subscribes_publishes_and_is_refused_no_more_than_compression() {
    let server = Server::start().unwrap();
    node(
        r"
        const WebSocket = require('ws');
        const socket = new WebSocket('ws://SERVER/v1/ws?topic=chat.1', 'fourways.v1.json');
        socket.on('message', data => {
          const message = JSON.parse(data);
          console.log(message.type);
          if (message.type === 'subscribed')
            socket.send(JSON.stringify({ type: 'publish', topic: 'chat.1', data: { said: 'hello' }, ref: '1' }));
          if (message.type === 'event') {
            if (message.data.said !== 'hello' || socket.protocol !== 'fourways.v1.json') process.exit(1);
            socket.close(1000);
          }
        });
        socket.on('close', code => { if (code === 1000) console.log('done'); });
        ",
        &server,
    )
    .unwrap();
}

#[test]
fn node_eventsource_receives_and_resumes() {
    let server = Server::start().unwrap();
    node(
        r"
        const { EventSource } = require('eventsource');
        const seen = [];
        const source = new EventSource('http://SERVER/v1/stream?topic=host.cpu');
        source.onmessage = event => {
          const { cursor, data } = JSON.parse(event.data);
          if (event.lastEventId !== cursor || typeof data.percent !== 'number') process.exit(1);
          seen.push(cursor);
          if (seen.length === 3) { source.close(); console.log('done'); }
        };
        ",
        &server,
    )
    .unwrap();
}
