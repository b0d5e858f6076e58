//! Calls cargo for the checks, finds the test binaries that it built, and reads their results.

use std::{ops::Add, path::PathBuf, process::Command};

use anyhow::ensure;

use crate::run::{command, output};

/// Returns a cargo command for checks, which also lints whatever it compiles; see [`linted`].
pub(crate) fn cargo(line: &str) -> Command {
    linted(command(&format!("cargo {line}")))
}

/// Makes a command compile this workspace with clippy's compiler, which lints a crate and builds it, so that lints and
/// tests share one compilation. Other crates are compiled as usual.
pub(crate) fn linted(mut command: Command) -> Command {
    let sysroot = output("rustc --print sysroot").unwrap_or_default();
    command.env("RUSTC_WORKSPACE_WRAPPER", format!("{}/bin/clippy-driver", sysroot.trim()));
    // The value that `cargo clippy -- -D warnings` passes on.
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// Returns the names of the tests that have failed, from the lists that test binaries print at their end.
pub(crate) fn failed(printed: &str) -> Vec<&str> {
    let mut failed: Vec<&str> = Vec::new();
    let mut is_list = false;
    for line in printed.lines() {
        is_list = line == "failures:" || (is_list && !line.starts_with("test result:"));
        // The output of failed tests is printed under such a line too, but a name contains no spaces.
        if let Some(name) = line.strip_prefix("    ").filter(|name| is_list && !name.contains(' '))
            && !failed.contains(&name)
        {
            failed.push(name);
        }
    }
    failed
}

/// A test binary that has been built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tests {
    /// Path of the binary.
    pub(crate) program: PathBuf,
    /// Folder of the crate, where cargo would run the binary.
    folder: PathBuf,
    /// True for the unit tests of a crate (`#[cfg(test)]`), false for integration tests.
    pub(crate) is_unit: bool,
}

impl Tests {
    /// Builds all test binaries of the workspace by [`cargo`], and returns them. A build of only some crates would
    /// select other features of their dependencies, and recompile most of them.
    ///
    /// # Errors
    /// If a test binary can't be built.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let output = cargo("test --locked --workspace --no-run --message-format=json").output()?;
        ensure!(
            output.status.success(),
            "the tests can't be built: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Self::of).collect())
    }

    /// Reads one of cargo's messages (The Cargo Book, "External tools", artifact messages). `None` if the message is
    /// not about a test binary.
    fn of(message: &str) -> Option<Self> {
        let text = |name: &str| {
            let (_, rest) = message.split_once(&format!("\"{name}\":\""))?;
            rest.split_once('"').map(|(text, _)| PathBuf::from(text))
        };
        let profile = message.split_once("\"profile\":{").and_then(|(_, rest)| rest.split_once('}'));
        profile.filter(|(profile, _)| profile.contains("\"test\":true"))?;
        let folder = text("manifest_path")?.parent()?.to_owned();
        Some(Self { program: text("executable")?, folder, is_unit: !message.contains("\"kind\":[\"test\"]") })
    }

    /// True if these tests need a browser.
    pub(crate) fn is_of_browser(&self) -> bool {
        self.program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("e2e-"))
    }

    /// Returns the command that runs these tests, in the folder of their crate.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// Numbers of tests, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Number of tests that passed.
    pub(crate) passed: usize,
    /// Number of tests that are marked `#[ignore]`.
    pub(crate) ignored: usize,
}

impl Counts {
    /// Adds up the result lines in the output of test binaries.
    pub(crate) fn of(printed: &str) -> Self {
        let number_before = |line: &str, word: &str| {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let results = printed.lines().filter(|line| line.starts_with("test result: "));
        results.fold(Self::default(), |sum, line| Self {
            passed: sum.passed + number_before(line, " passed"),
            ignored: sum.ignored + number_before(line, " ignored"),
        })
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, ignored: self.ignored + other.ignored }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Tests, failed};

    #[test]
    fn closing_lines_are_added_up() {
        let printed = "test a ... ok\n\
            test result: ok. 114 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 2.52s\n\
            test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.00s\n";
        assert_eq!(Counts::of(printed), Counts { passed: 122, ignored: 3 });
    }

    #[test]
    fn programs_of_tests_are_found_in_what_cargo_tells() {
        let told = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/backend#fourways@0.1.0","manifest_path":"/w/backend/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"all","src_path":"/w/backend/tests/all/main.rs","test":true},"profile":{"opt_level":"0","debug_assertions":true,"overflow_checks":true,"test":true},"features":[],"filenames":["/w/target/debug/deps/all-1"],"executable":"/w/target/debug/deps/all-1","fresh":true}"#;
        let found = Tests::of(told).unwrap();
        assert_eq!(
            (found.program.to_str(), found.folder.to_str(), found.is_unit),
            (Some("/w/target/debug/deps/all-1"), Some("/w/backend"), false)
        );
        assert!(Tests::of(&told.replace("[\"test\"]", "[\"lib\"]")).unwrap().is_unit);
        let plain = told
            .replace("\"overflow_checks\":true,\"test\":true}", "\"overflow_checks\":true,\"test\":false}");
        assert_eq!(Tests::of(&plain), None, "a program that is no test");
    }

    #[test]
    fn what_has_failed_is_listed_at_the_end() {
        let printed = "test a::b ... FAILED\n\nfailures:\n\n---- a::b stdout ----\n    at the top\n\n\nfailures:\n    \
            a::b\n    c\n\ntest result: FAILED. 7 passed; 2 failed; 0 ignored\n    d\n";
        assert_eq!(failed(printed), ["a::b", "c"]);
        assert!(failed("test a ... ok\n\ntest result: ok. 1 passed; 0 failed\n").is_empty());
    }
}
