//! `cargo xtask timing`: measures how long `start` and `test` take in clones of the last commit, which share nothing
//! with this checkout or the user's cache. The whole table takes about an hour.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{
    root,
    run::{command, output, print, say},
    steps::spoken,
};

/// The rows of the table: name, description and goal. They are measured in this order, because each row uses the files
/// that the rows before it have left.
const ROWS: [(&str, &str, Duration); 9] = [
    ("start-cold", "`start`, nothing installed but rustup and apt", Duration::from_mins(9)),
    ("start-second", "`start` in a second clone on the same machine", Duration::from_mins(5)),
    ("start-again", "`start` with nothing changed", Duration::from_secs(3)),
    ("start-backend", "`start` after one changed line in the backend", Duration::from_secs(40)),
    ("start-frontend", "`start` after one changed line in the frontend", Duration::from_mins(1)),
    ("test-cold", "`test`, tools there, cold `target`", Duration::from_mins(18)),
    ("test-warm", "`test`, everything built already", Duration::from_mins(7)),
    ("test-backend", "`test` after one changed line in the backend", Duration::from_mins(9)),
    ("test-quick", "`test --quick` after one changed line in the backend", Duration::from_secs(90)),
];

/// Prints the table of `docs/figures.md`, with all rows or only those that are named. `--busy N` instead runs the whole
/// suite N times while another process keeps each core busy.
///
/// # Errors
/// If a command fails. A row that takes longer than its goal is no error.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if let [flag, times] = arguments
        && flag == "--busy"
    {
        return busy(times.parse().context("--busy needs a number")?);
    }
    let known = ROWS.map(|(name, ..)| name).join(", ");
    for argument in arguments {
        ensure!(ROWS.iter().any(|(name, ..)| name == argument), "unknown row {argument:?}; known: {known}");
    }
    let place = Place::new()?;
    let mut table = vec!["| | took | goal |".to_owned(), "| --- | ---: | ---: |".to_owned()];
    for (name, what, goal) in ROWS {
        if !arguments.is_empty() && !arguments.iter().any(|argument| argument == name) {
            continue;
        }
        say(&format!("\n━━ {what}"));
        let took = place.measure(name)?;
        table.push(format!("| {what} | {} | ≤ {} |", spoken(took), spoken(goal)));
        say(&format!("━━ {}", spoken(took)));
    }
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = output("nproc").unwrap_or_default();
    print(&format!(
        "{} cores, {}:\n\n{}",
        cores.trim(),
        model.trim_matches([' ', '\t', ':']),
        table.join("\n")
    ));
    Ok(())
}

/// The folder of everything that the measurement uses: clones, cargo's home, the cache. It stays until the next run, so
/// that a single row can be measured again.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let folder = root().join("target/timing");
        fs::create_dir_all(&folder).context("target/timing can't be created")?;
        Ok(Self { folder })
    }

    fn measure(&self, row: &str) -> anyhow::Result<Duration> {
        match row {
            "start-cold" => {
                // Remove the files of an earlier run; an error means that there are none.
                drop(fs::remove_dir_all(self.folder.join("cache")));
                drop(fs::remove_dir_all(self.folder.join("cargo")));
                self.start(&self.clone_anew("first")?)
            }
            "start-second" => self.start(&self.clone_anew("second")?),
            "start-again" => self.start(&self.clone("second")?),
            "start-backend" => {
                let clone = self.clone("second")?;
                change(&clone, BACKEND)?;
                self.start(&clone)
            }
            "start-frontend" => {
                let clone = self.clone("second")?;
                change(&clone, FRONTEND)?;
                self.start(&clone)
            }
            "test-cold" => {
                // Install the tools that only tests need, because this row must not include them.
                let clone = self.clone_anew("tested")?;
                self.test(&clone, &["walls"])?;
                self.test(&self.clone_anew("tested")?, &[])
            }
            "test-warm" => self.test(&self.clone("tested")?, &[]),
            "test-backend" => {
                let clone = self.clone("tested")?;
                change(&clone, BACKEND)?;
                self.test(&clone, &[])
            }
            _ => {
                let clone = self.clone("tested")?;
                self.test(&clone, &["--quick"])?;
                change(&clone, BACKEND)?;
                self.test(&clone, &["--quick"])
            }
        }
    }

    fn clone_anew(&self, name: &str) -> anyhow::Result<PathBuf> {
        // An error means that there is no such folder.
        drop(fs::remove_dir_all(self.folder.join(name)));
        self.clone(name)
    }

    fn clone(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        if !folder.exists() {
            let mut clone = command("git clone --quiet .");
            ensure!(clone.arg(&folder).status()?.success(), "git clone failed");
        }
        Ok(folder)
    }

    /// Returns a `cargo xtask` command in a clone, with a cargo home and a cache apart from the user's.
    fn xtask(&self, clone: &Path, arguments: &[&str]) -> Command {
        let mut xtask = command("cargo xtask");
        xtask
            .args(arguments)
            .current_dir(clone)
            .env("CARGO_HOME", self.folder.join("cargo"))
            .env("XDG_CACHE_HOME", self.folder.join("cache"))
            .process_group(0);
        xtask
    }

    /// Runs `cargo xtask start` in a clone, and returns the time until the server listens.
    fn start(&self, clone: &Path) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut start = self.xtask(clone, &["start", "--memory", "--listen", "127.0.0.1:0"]);
        let mut started = Group(start.stderr(Stdio::piped()).spawn().context("cargo can't be started")?);
        let lines = BufReader::new(started.0.stderr.take().context("no standard error")?).lines();
        for line in lines.map_while(Result::ok) {
            say(&line);
            if line.contains("listening on ") {
                return Ok(began.elapsed());
            }
        }
        anyhow::bail!("`cargo xtask start` ended with {}", started.0.wait()?)
    }

    fn test(&self, clone: &Path, arguments: &[&str]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let arguments: Vec<&str> = ["test"].iter().chain(arguments).copied().collect();
        let mut tested = Group(self.xtask(clone, &arguments).spawn().context("cargo can't be started")?);
        let status = tested.0.wait()?;
        ensure!(status.success(), "the checks failed: {status}");
        Ok(began.elapsed())
    }
}

/// A process and everything that it has started. Dropping the handle kills them all.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // An error means that the processes have ended already.
        drop(command(&format!("kill -KILL -- -{}", self.0.id())).stderr(Stdio::null()).status());
        drop(self.0.wait());
    }
}

/// A change to a source: the file, the head of a function in it that every visitor calls, and the macro that the
/// inserted line calls.
type Change = (&'static str, &'static str, &'static str);

const BACKEND: Change =
    ("backend/src/routes.rs", "async fn ready(worker: Data<Worker>) -> HttpResponse {", "tracing::debug!");
const FRONTEND: Change = ("frontend/src/app.rs", "pub fn App() -> impl IntoView {", "leptos::logging::log!");

/// Inserts a call of the macro at the top of the function, with a text that is new each time.
fn change(clone: &Path, (file, head, say): Change) -> anyhow::Result<()> {
    let file = clone.join(file);
    let old = fs::read_to_string(&file)?;
    ensure!(old.contains(head), "{} has no {head:?}", file.display());
    let number = old.lines().count();
    fs::write(&file, old.replacen(head, &format!("{head}\n    {say}(\"line {number}\");"), 1))?;
    Ok(())
}

/// Runs the whole suite of the last commit `times` times, in a clone, while a busy loop runs on each core.
fn busy(times: usize) -> anyhow::Result<()> {
    let place = Place::new()?;
    let clone = place.clone("tested")?;
    for git in ["git reset --quiet --hard", "git pull --quiet"] {
        ensure!(command(git).current_dir(&clone).status()?.success(), "{git} failed");
    }
    let cores: usize = output("nproc").and_then(|cores| cores.trim().parse().ok()).unwrap_or(2);
    let spin = || command("sh -c").arg("while :; do :; done").process_group(0).spawn().map(Group);
    let _loops: Vec<Group> = (0..cores).map(|_| spin()).collect::<Result<_, _>>().context("no `sh`")?;
    let (mut green, mut longest) = (0, Duration::ZERO);
    for time in 1..=times {
        say(&format!("\n━━ run {time} of {times}, beside {cores} busy loops"));
        let began = Instant::now();
        // The suite has printed the failures itself.
        green += usize::from(place.test(&clone, &[]).is_ok());
        longest = longest.max(began.elapsed());
        say(&format!("━━ {green} of {time} green, the longest took {}", spoken(longest)));
    }
    print(&format!(
        "{green} of {times} runs were green beside {cores} busy loops; the longest took {}",
        spoken(longest)
    ));
    ensure!(green == times, "not every run was green");
    Ok(())
}
