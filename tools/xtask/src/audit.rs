//! `cargo xtask audit`: checks the dependencies against `deny.toml`, without a network. Known vulnerabilities are
//! looked up in a local copy of the `RustSec` database, if there is one.

use crate::{
    run::{command, output, say},
    steps::Steps,
    tools,
};

/// Checks licences, bans and sources, and advisories if their database is there.
///
/// # Errors
/// If cargo-deny can't be installed, or a dependency breaks a rule of `deny.toml`.
pub(crate) fn run() -> anyhow::Result<()> {
    let steps = Steps::of(3);
    let path = steps.step("installing tools", "1 s; 3 min once", tools::for_audit)?;
    let deny = |line: &str| {
        let mut command = command(&format!("cargo deny --offline check {line}"));
        command.env("PATH", &path);
        command
    };
    steps.step("licences, bans, sources", "1 s", |step| {
        step.run(&mut deny("--hide-inclusion-graph licenses bans sources"))
    })?;
    let database =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let database = database.unwrap_or_default() + "/advisory-dbs";
    steps.step("advisories (RustSec)", "1 s", |step| {
        if output(&format!("ls {database}")).is_none_or(|list| list.trim().is_empty()) {
            say("   not checked: there is no copy of the database; `cargo deny fetch` downloads one");
            return Ok(());
        }
        step.run(&mut deny("advisories"))
    })
}
