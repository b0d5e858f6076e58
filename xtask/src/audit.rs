//! `cargo xtask audit`: what is built in, held to `deny.toml`. Works without a network, but for known holes: those are
//! looked up in a copy of the `RustSec` database, where there is one.

use crate::{
    run::{check, command, output, say, step},
    tools,
};

/// Checks licences, bans, sources, and advisories where they can be.
pub(crate) fn run() -> anyhow::Result<()> {
    let path = tools::for_audit()?;
    let deny = |line: &str| {
        let mut command = command(&format!("cargo deny --offline check {line}"));
        command.env("PATH", &path);
        command
    };
    step("Licences, bans, sources");
    check(&mut deny("--hide-inclusion-graph licenses bans sources"))?;
    step("Advisories (RustSec)");
    let database =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let database = database.unwrap_or_default() + "/advisory-dbs";
    if output(&format!("ls {database}")).is_none_or(|list| list.trim().is_empty()) {
        say(&format!(
            "not checked: there is no copy of the database in {database}; `cargo deny fetch` gets one"
        ));
        return Ok(());
    }
    check(&mut deny("advisories"))
}
