//! `cargo xtask release`: builds the binary to deploy, with the app built in.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{
    app,
    run::{command, say},
    steps::{Steps, spoken},
    tools,
};

/// Path of the binary to deploy, relative to the workspace.
pub(crate) const BINARY: &str = "target/release/fourways";

/// Builds the app and the server, fully optimised, and checks that the binary serves the app.
///
/// # Errors
/// If something can't be installed or built, the app is larger than its limit, or the binary does not serve the app.
pub(crate) fn run() -> anyhow::Result<()> {
    let steps = Steps::of(5);
    let tools = steps.step("installing tools", "1 s; 5 min once", |step| {
        tools::wasm_target(step)?;
        tools::for_release(step)
    })?;
    let path = tools.path()?;
    steps.step("building the app, small", "5 min", |step| app::release(step, &path))?;
    steps.step("building the server", "7 min", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways"))
    })?;
    steps.step("requesting the app from the binary", "1 s", |_| serves_the_app())?;
    say(&format!("\n{BINARY} was built in {}", spoken(steps.elapsed())));
    Ok(())
}

/// Builds only the app of a release, into `dist`.
///
/// # Errors
/// If something can't be installed or built, or the app is larger than its limit.
pub(crate) fn app_alone() -> anyhow::Result<()> {
    let steps = Steps::of(2);
    let tools = steps.step("installing tools", "1 s; 5 min once", |step| {
        tools::wasm_target(step)?;
        tools::for_release(step)
    })?;
    let path = tools.path()?;
    steps.step("building the app, small", "5 min", |step| app::release(step, &path))
}

/// The running server that is checked. Dropping the handle kills the process.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serves_the_app() -> anyhow::Result<()> {
    let mut serve = command(&format!("{BINARY} serve --memory --source none --listen 127.0.0.1:0"));
    let mut server = Served(serve.stderr(Stdio::piped()).spawn().context("the binary can't be started")?);
    let said = BufReader::new(server.0.stderr.take().context("no standard error")?);
    let address = said
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("http://").map(|(_, address)| address.trim().to_owned()))
        .context("the binary does not listen")?;
    let page = get(&address, "/")?;
    let code = code_of(&page).context("the page does not refer to the app's code")?;
    let code = get(&address, code)?;
    ensure!(code.starts_with("HTTP/1.1 200 "), "the app's code is not built in: {code}");
    Ok(())
}

/// Returns the path of the app's code, from a page whose attributes may or may not have quotes.
fn code_of(page: &str) -> Option<&str> {
    page.split(['"', '\'', '=', ' ', '>']).find(|part| part.ends_with("_bg.wasm"))
}

/// Sends a GET request, and returns the answer with its head, as text.
fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn the_code_is_found_in_either_spelling() {
        for page in [
            r#"<link rel="preload" href="/app-1_bg.wasm" as="fetch">"#,
            "<link href=/app-1_bg.wasm as=fetch rel=preload>",
            "<link rel=preload as=fetch href=/app-1_bg.wasm>",
        ] {
            assert_eq!(code_of(page), Some("/app-1_bg.wasm"), "{page}");
        }
        assert_eq!(code_of("<p>no code</p>"), None);
    }
}
