//! Cargo as all checks call it, and what its tests have come to.

use std::{ops::Add, process::Command};

use crate::run::{command, output};

/// A call of cargo for checks.
pub(crate) fn cargo(line: &str) -> Command {
    linted(command(&format!("cargo {line}")))
}

/// Has the compiler that a command calls be clippy's, which builds what it has looked at: lints and tests share one
/// compilation, and whatever is not of this workspace is compiled as always.
pub(crate) fn linted(mut command: Command) -> Command {
    let sysroot = output("rustc --print sysroot").unwrap_or_default();
    command.env("RUSTC_WORKSPACE_WRAPPER", format!("{}/bin/clippy-driver", sysroot.trim()));
    // As `cargo clippy -- -D warnings` hands it on.
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that ran.
    pub(crate) passed: usize,
    /// Those that are marked to be left out.
    pub(crate) ignored: usize,
}

impl Counts {
    /// Adds up the closing lines of the test binaries that have printed this.
    pub(crate) fn of(printed: &str) -> Self {
        let number_before = |line: &str, word: &str| {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let results = printed.lines().filter(|line| line.starts_with("test result: ok."));
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
    use super::Counts;

    #[test]
    fn closing_lines_are_added_up() {
        let printed = "test a ... ok\n\
            test result: ok. 114 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 2.52s\n\
            test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.00s\n";
        assert_eq!(Counts::of(printed), Counts { passed: 115, ignored: 3 });
    }
}
