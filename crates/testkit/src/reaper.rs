//! What a test has started ends with it, however the test ends.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// A shell beside the test process. It is told of every process group and folder, and when its standard input ends,
/// because the test process is gone, it kills the groups and removes the folders that are left. A program that starts
/// others, as a browser's driver does, has them in its group.
#[derive(Debug)]
pub struct Reaper(Mutex<Option<ChildStdin>>);

const SCRIPT: &str = r#"
declare -A left
while read -r sign kind what; do
    if [ "$sign" = + ]; then left["$kind $what"]=1; else unset "left[$kind $what]"; fi
done
for one in "${!left[@]}"; do [ "${one%% *}" = group ] && kill -KILL -- "-${one#* }"; done
for one in "${!left[@]}"; do [ "${one%% *}" = folder ] && rm -rf -- "${one#* }"; done"#;

static REAPER: LazyLock<Reaper> = LazyLock::new(|| {
    let shell = Command::new("bash")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What kills the test's group must not kill who tidies up after it.
        .process_group(0)
        .spawn();
    // Without bash a test that is killed leaves its processes; nothing else changes.
    Reaper(Mutex::new(shell.ok().and_then(|mut shell| shell.stdin.take())))
});

impl Reaper {
    /// Has this process and its whole group killed if the test process ends before [`Self::kill`]. It must lead a group,
    /// by `process_group(0)`.
    pub fn watch(leader: u32) {
        REAPER.say(&format!("+ group {leader}"));
    }

    /// Kills the group of a process that is watched. The process itself is still to be waited for.
    pub fn kill(leader: u32) {
        let mut kill = Command::new("kill");
        // Gone already is what is wanted.
        drop(kill.args(["-KILL", "--", &format!("-{leader}")]).stderr(Stdio::null()).status());
        // The number may soon be another's.
        REAPER.say(&format!("- group {leader}"));
    }

    /// Has this folder removed when the test process ends.
    pub fn watch_folder(folder: &Path) {
        REAPER.say(&format!("+ folder {}", folder.display()));
    }

    fn say(&self, line: &str) {
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = input.as_mut() {
            // A shell that is gone can be told nothing.
            drop(writeln!(input, "{line}"));
        }
    }
}
