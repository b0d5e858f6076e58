//! `cargo xtask fuzz`: runs each fuzz target for a limited time, starting from its corpus, and prints how many inputs
//! were tried.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, bail};

use crate::{
    root,
    run::{check, command, say},
    steps::unnumbered,
    tools,
};

/// Default time for which each target runs, in seconds.
const SECONDS: u32 = 600;
/// Maximum length of an input, in bytes: above every limit of the parsers themselves.
const MAX_LENGTH: u32 = 4096;

/// Fuzzes the named targets, or all of them if none is named.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (mut seconds, mut wanted) = (SECONDS, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let text = arguments.next().context("--seconds needs a number")?;
            seconds = text.parse().with_context(|| format!("{text:?} is not a number of seconds"))?;
        } else {
            wanted.push(argument.clone());
        }
    }
    if wanted.is_empty() {
        wanted = targets()?;
    }
    let path = unnumbered(tools::for_fuzzing)?;
    for target in &wanted {
        say(&format!("\n── fuzzing {target} for {seconds} s"));
        say(&fuzz(target, seconds, &path)?);
    }
    Ok(())
}

/// Returns the names of all targets, sorted. Each target is a file of that name.
fn targets() -> anyhow::Result<Vec<String>> {
    let folder = root().join("tools/fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut names: Vec<String> =
        files.filter_map(|file| file.ok()?.path().file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

/// Fuzzes one target, and returns a line with the result. Inputs that reach new code are kept in the corpus, which is
/// reduced to a minimum at the end.
fn fuzz(target: &str, seconds: u32, path: &std::ffi::OsStr) -> anyhow::Result<String> {
    // The parsers have no unsafe code, so there is nothing for a sanitizer to find, and stable Rust is enough.
    let cargo = |action: &str| {
        let mut command =
            command(&format!("cargo fuzz {action} --fuzz-dir tools/fuzz --sanitizer none {target}"));
        command.env("PATH", path);
        command
    };
    check(&mut cargo("build"))?;
    let mut run = cargo("run");
    run.args(["--", &format!("-max_total_time={seconds}"), &format!("-max_len={MAX_LENGTH}")]);
    run.args(["-print_final_stats=1", "-timeout=10"]).stderr(Stdio::piped());
    let mut child = run.spawn().context("cargo fuzz could not be started")?;
    let output = child.stderr.take().context("no standard error")?;
    let mut inputs = String::new();
    let mut last = std::collections::VecDeque::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            count.trim().clone_into(&mut inputs);
        }
        if last.len() == 30 {
            last.pop_front();
        }
        last.push_back(line);
    }
    if !child.wait().context("cargo fuzz could not be waited for")?.success() {
        for line in &last {
            say(line);
        }
        bail!("{target} fails on an input, which is in tools/fuzz/artifacts/{target}");
    }
    let (corpus, kept) =
        (root().join("tools/fuzz/corpus").join(target), root().join("tools/fuzz/target/kept").join(target));
    // Remove the files of an interrupted run; an error means that there are none.
    drop(fs::remove_dir_all(&kept));
    fs::create_dir_all(&kept).with_context(|| format!("{} can't be created", kept.display()))?;
    // Keep the fewest inputs that reach every edge, no matter how often, because the corpus is committed.
    check(cargo("run").args([&kept, &corpus]).args(["--", "-set_cover_merge=1", "-use_counters=0"]))?;
    fs::remove_dir_all(&corpus)
        .and_then(|()| fs::rename(&kept, &corpus))
        .with_context(|| format!("{} can't be replaced", corpus.display()))?;
    let corpus = fs::read_dir(&corpus).map_or(0, Iterator::count);
    Ok(format!("{target}: {inputs} inputs, no failure; {corpus} kept in the corpus"))
}
