//! A clean-up of the processes and folders that tests leave behind, however the test process ends.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// A shell beside the test process, one per process and shared by all its tests. The shell gets the name of every
/// process group and folder on its standard input. When that input ends, because the test process is gone, the shell
/// kills the groups and removes the folders that are left. A program that starts others, as a browser's driver does,
/// has them in its group.
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
        // A signal to the test's own group must not kill the shell that cleans up after it.
        .process_group(0)
        .spawn();
    // Without bash, a test that is killed leaves its processes running; nothing else changes.
    Reaper(Mutex::new(shell.ok().and_then(|mut shell| shell.stdin.take())))
});

impl Reaper {
    /// Marks a process and its whole group to be killed if the test process ends before [`Self::kill`]. The process
    /// must lead its group, by `process_group(0)`.
    pub fn watch(leader: u32) {
        REAPER.say(&format!("+ group {leader}"));
    }

    /// Kills the group of a watched process. The caller must still wait for the process itself.
    pub fn kill(leader: u32) {
        let mut kill = Command::new("kill");
        // A group that is already gone is as good.
        drop(kill.args(["-KILL", "--", &format!("-{leader}")]).stderr(Stdio::null()).status());
        // The process id may soon belong to another process.
        REAPER.say(&format!("- group {leader}"));
    }

    /// Marks a folder to be removed when the test process ends.
    pub fn watch_folder(folder: &Path) {
        REAPER.say(&format!("+ folder {}", folder.display()));
    }

    fn say(&self, line: &str) {
        let mut input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = input.as_mut() {
            // Nothing can be done if the shell is gone.
            drop(writeln!(input, "{line}"));
        }
    }
}
