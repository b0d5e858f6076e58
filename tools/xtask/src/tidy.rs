//! Checks the walls that the compiler can't: which module must not use which, and which calls are allowed nowhere.

use std::fs;

use anyhow::{Context as _, ensure};

use crate::{app::files, prose, root};

/// Checks every Rust source, and that each technique has its file in every set of deliveries.
///
/// # Errors
/// If a rule is broken. The error lists all breaches, one a line.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut breaches = Vec::new();
    for crate_name in ["shared", "backend", "frontend", "crates", "tools"] {
        for path in files(&root().join(crate_name))? {
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).with_context(|| format!("{name} can't be read"))?;
            breaches.extend(breaches_of(&name, &text));
            breaches.extend(prose::breaches_of(&name, &text));
        }
    }
    for room in ["backend/src/delivery", "crates/client/src", "frontend/src/delivery"] {
        for technique in ["short_poll.rs", "long_poll.rs", "sse.rs", "websocket.rs"] {
            let folder = technique.trim_end_matches(".rs");
            if !root().join(room).join(technique).is_file()
                && !root().join(room).join(folder).join("mod.rs").is_file()
            {
                breaches.push(format!(
                    "{room}/{technique} is missing: the four techniques have the same names everywhere"
                ));
            }
        }
    }
    breaches.extend(use_cases()?);
    ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
    Ok(())
}

/// Returns the use cases that lack a page or their code: each has one name in all layers.
fn use_cases() -> anyhow::Result<Vec<String>> {
    let code = fs::read_to_string(root().join("backend/src/lab/use_cases/code.rs"))?;
    let pages = root().join("frontend/src/pages/use_cases");
    let list = fs::read_to_string(pages.join("list.rs"))?;
    let mut breaches = Vec::new();
    for path in files(&root().join("shared/src/use_case"))? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // The room's own file, and a check of what is published in it.
        if ["mod", "plain"].contains(&&*name) {
            continue;
        }
        if !code.contains(&format!("\"{name}\" => files!")) {
            breaches.push(format!("{name}: backend/src/lab/use_cases/code.rs does not name its files"));
        }
        if !pages.join(format!("{name}.rs")).is_file() || !list.contains(&format!("name: \"{name}\"")) {
            breaches.push(format!("{name}: {} has no page of this name", pages.display()));
        }
    }
    Ok(breaches)
}

fn breaches_of(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut forbid = |words: &[&str], reason: &str| {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = words.iter().find(|word| code.contains(**word)) {
                breaches.push(format!("{name}:{}: {word}: {reason}", number + 1));
            }
        }
    };
    if name.starts_with("shared/") || name.starts_with("crates/model/") {
        forbid(&["Instant::now", "SystemTime::now"], "pure code must not read a clock");
    }
    if name.starts_with("crates/log/src/engine/") {
        forbid(&["crate::subscription"], "an engine must not know its readers");
    }
    let pure = [
        "crates/cluster/src/order/follow/",
        "crates/cluster/src/peers/tally.rs",
        "crates/cluster/src/audit.rs",
    ];
    if pure.iter().any(|pure| name.starts_with(pure)) {
        forbid(
            &["async_nats", "tokio::", "Instant::now", ".await"],
            "it decides, and neither asks nor waits",
        );
    }
    if name.starts_with("backend/src/access/") {
        forbid(&["crate::operate", "    operate::"], "access is below the operation of the server");
    }
    let push_server = ["access", "delivery", "net", "operate", "publish", "worker"];
    if name
        .strip_prefix("backend/src/")
        .is_some_and(|rest| push_server.iter().any(|room| rest.starts_with(room)))
    {
        // In a nested list of imports, `lab::` begins a line.
        forbid(&["crate::lab", "use crate::{lab", "    lab::"], "the push server must not know the lab");
    }
    for room in ["backend/src/delivery/", "frontend/src/delivery/"] {
        let Some(own) = name.strip_prefix(room).map(|rest| rest.split(['/', '.']).next().unwrap_or_default())
        else {
            continue;
        };
        forbid(&["MemoryEngine", "DiskEngine"], "a delivery must not know an engine");
        let neighbours = ["short_poll", "long_poll", "sse", "websocket"]
            .into_iter()
            .filter(|other| *other != own && own != "mod");
        for neighbour in neighbours {
            forbid(
                &[&format!("super::{neighbour}"), &format!("delivery::{neighbour}")],
                "a delivery must not import another",
            );
        }
    }
    if name.starts_with("frontend/") && !name.starts_with("frontend/src/delivery/") {
        let doors = ["EventSource::new", "WebSocket::new", "fetch_with_", "gloo_net"];
        forbid(&doors, "only `delivery` may open connections");
    }
    if name.starts_with("frontend/src/components/") || name.starts_with("frontend/src/streams/") {
        forbid(&["crate::pages", "    pages::", "{pages::"], "no page is known below the pages");
    }
    if !name.starts_with("tools/xtask/") {
        forbid(
            &[".forget()", "unbounded_channel", "mpsc::unbounded"],
            "everything that is opened needs an owner, and every queue a bound",
        );
    }
    breaches
}
