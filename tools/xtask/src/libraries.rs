//! `cargo xtask libraries`: tests event streams with client libraries of other languages, and `client.js` in a page of
//! Vite and React.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;

use crate::{
    app, root,
    run::{command, output, say},
    steps::{Step, Steps},
    tools,
};

/// The readers: the folder of each in `tools/e2e/libraries`, a command that succeeds only if the reader's language is
/// installed, and the commands that build the reader.
const READERS: [(&str, &str, &[&str]); 10] = [
    ("httpx-sse", "python3 --version", PYTHON),
    ("requests-sse", "python3 --version", PYTHON),
    ("go-launchdarkly", "go version", &["go build -o client ."]),
    ("go-r3labs", "go version", &["go build -o client ."]),
    ("go-tmaxmax", "go version", &["go build -o client ."]),
    ("rust-reqwest-eventsource", "cargo --version", &["cargo build --locked --target-dir target"]),
    ("rust-eventsource-client", "cargo --version", &["cargo build --locked --target-dir target"]),
    ("java-okhttp-eventsource", "mvn --version", JAVA),
    ("npm-eventsource", "npm --version", NODE),
    ("vite-react", "npm --version", NODE),
];
const NODE: &[&str] = &["npm ci --no-audit --no-fund --loglevel=error"];
const PYTHON: &[&str] = &["python3 -m venv .venv", ".venv/bin/pip install --quiet -r requirements.txt"];
const JAVA: &[&str] =
    &["mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib", "javac -cp lib/* -d classes Main.java"];

/// Builds the readers whose language is installed, reports those that are left out, and tests the readers through a
/// kill, a restart and a drain of the server.
///
/// # Errors
/// If a reader can't be built, or a test fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let steps = Steps::of(3);
    let folder = root().join("target/libraries");
    steps.step("building the readers", "6 min the first time", |step| {
        for (name, needs, how) in READERS {
            if output(needs).is_none() {
                say(&format!("   {name} is left out: `{needs}` does not run"));
                continue;
            }
            build(step, &root().join("tools/e2e/libraries").join(name), &folder.join(name), how)?;
        }
        Ok(())
    })?;
    steps.step("building the server and the tests", "4 min the first time", |step| {
        step.run(&mut command("cargo build --locked --package fourways"))?;
        step.run(&mut command("cargo test --locked --package fourways-e2e --test e2e --no-run"))
    })?;
    steps.step("reading through kills, restarts and drains", "1 min", |step| {
        let mut tests =
            command("cargo test --locked --package fourways-e2e --test e2e -- --test-threads=3 libraries::");
        tests
            .env("FOURWAYS_LIBRARIES", &folder)
            .env("FOURWAYS_BINARY", root().join("target/debug/fourways"))
            .env("FOURWAYS_APP", app::folder())
            .env("NODE_PATH", tools::node_clients(step)?);
        step.run(&mut tests)?;
        say(&step.printed());
        Ok(())
    })
}

/// Copies the sources of a reader, and builds them unless the same sources have been built already.
fn build(step: &Step<'_>, from: &Path, to: &Path, how: &[&str]) -> anyhow::Result<()> {
    let mark = to.join("built");
    let sources = copy(from, to)?;
    if fs::read_to_string(&mark).is_ok_and(|built| built == sources) {
        return Ok(());
    }
    for line in how {
        let (program, arguments) = line.split_once(' ').context("a command without arguments")?;
        // A program with a slash in its name is in the reader's folder, not on `PATH`.
        let program = if program.contains('/') { to.join(program).into_os_string() } else { program.into() };
        step.run(Command::new(program).args(arguments.split(' ')).current_dir(to).env_remove("RUSTFLAGS"))?;
    }
    fs::write(&mark, sources).context("a finished build can't be recorded")
}

/// Copies a folder, and returns the text of all its files, joined.
fn copy(from: &Path, to: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(to).with_context(|| format!("{} can't be created", to.display()))?;
    let mut all = String::new();
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            all.push_str(&copy(&entry.path(), &target)?);
        } else {
            let text = fs::read_to_string(entry.path())?;
            if fs::read_to_string(&target).ok().as_ref() != Some(&text) {
                fs::write(&target, &text)?;
            }
            all.push_str(&text);
        }
    }
    Ok(all)
}
