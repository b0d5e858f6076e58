//! What the pages under `docs/` say to type works: each `sh` block is run, against a server of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use fourways_e2e::Server;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
/// Not everybody has it; its block is an example of a session.
const OTHERS: [&str; 1] = ["websocat"];

/// The blocks of shell in a page, indented or not.
fn blocks(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        let line = line.trim_start();
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => found.extend(block.take()),
            (Some(block), line) => *block += &[line, "\n"].concat(),
            (None, _) => {}
        }
    }
    found
}

fn run(script: &str, folder: &Path, server: &Server) {
    let script = script.replace("127.0.0.1:8080", &server.address);
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .args(["60", "bash", "-e", "-o", "pipefail", "-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // `head` closes its pipe, and who writes into it is told so.
    let is_fine = output.status.success() || output.status.code() == Some(141);
    assert!(is_fine && !out.is_empty(), "{script}\n{:?}\n{out}\n{error}", output.status);
}

#[test]
fn every_command_in_the_docs_works() {
    let server = Server::start("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    symlink(std::env::var_os("FOURWAYS_BINARY").unwrap(), folder.path().join("fourways")).unwrap();
    let mut count = 0;
    let mut pages: Vec<_> = fs::read_dir(DOCS).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for page in pages.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        for block in blocks(&fs::read_to_string(page).unwrap()) {
            if OTHERS.iter().any(|program| block.contains(program)) {
                continue;
            }
            run(&block, folder.path(), &server);
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}

/// A link to a file leads to one.
#[test]
fn every_link_in_the_docs_leads_somewhere() {
    for entry in fs::read_dir(DOCS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_elsewhere = target.starts_with("http");
            assert!(is_elsewhere || Path::new(DOCS).join(target).exists(), "{}: {target}", path.display());
        }
    }
}
