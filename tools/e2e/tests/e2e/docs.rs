//! The commands in the pages under `docs/` work: each `sh` block is run, against a server that the test starts.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use fourways_e2e::Server;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
/// Programs that are not always installed; their blocks are examples of a session.
const OTHERS: [&str; 1] = ["websocat"];

/// Returns the `sh` blocks of a page, indented or not.
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
    // `head` closes its pipe, and a program that writes into it ends by a signal, or with 23 if it is curl.
    let is_fine = output.status.success() || matches!(output.status.code(), Some(141 | 23));
    assert!(is_fine && !out.is_empty(), "{script}\n{:?}\n{out}\n{error}", output.status);
}

#[test]
fn every_command_in_the_docs_works() {
    let server = Server::start().unwrap();
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

/// Returns the addresses of all links of a page: `[words](address)`, and `[words]: address` as references have it.
fn links(page: &str) -> Vec<&str> {
    let inline = page.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let referred =
        page.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, to)| to);
    inline.chain(referred).collect()
}

/// Returns the anchors of the headings of a page: lower case, words joined by hyphens, without punctuation.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(kept).collect()).collect()
}

/// Each link to a file leads to a file, and each link to an anchor leads to a heading.
#[test]
fn every_link_in_the_docs_leads_somewhere() {
    let root = Path::new(DOCS).parent().unwrap();
    let pages = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name));
    let docs = fs::read_dir(DOCS).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;
    for path in docs.chain(pages).filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link}", path.display());
            let is_there = || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|one| one == anchor);
            assert!(anchor.is_empty() || is_there(), "{}: no heading for {link}", path.display());
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}
