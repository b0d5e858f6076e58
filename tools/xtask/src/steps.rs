//! The steps of a task, for the person who waits: which one it is of how many, how long it usually takes, how long it
//! took. Steps may run side by side, so what their programs print is kept, and shown when a step fails.

use std::{
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::run::{Printed, quietly, say};

/// How often a step that runs says so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// Lines that are shown of a step that failed.
const SHOWN_LINES: usize = 80;

/// The steps of one task, numbered as they begin. Shared by the threads that run them.
#[derive(Debug)]
pub(crate) struct Steps {
    total: usize,
    begun: AtomicUsize,
    began: Instant,
    took: Mutex<Vec<(String, Duration)>>,
    has_failed: AtomicBool,
}

/// One step that runs: what its programs print goes here.
#[derive(Debug)]
pub(crate) struct Step<'s> {
    printed: &'s Printed,
}

impl Step<'_> {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it can't be started or fails.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        quietly(command, self.printed)
    }

    /// What the step's programs have printed.
    pub(crate) fn printed(&self) -> String {
        self.printed.text()
    }

    /// What went wrong so far, as it is shown when a step fails.
    pub(crate) fn failure(&self) -> String {
        self.printed.failure(SHOWN_LINES)
    }
}

impl Steps {
    /// A task of this many steps.
    pub(crate) fn of(total: usize) -> Self {
        Self {
            total,
            begun: AtomicUsize::new(0),
            began: Instant::now(),
            took: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Runs one step. `usually` is how long it takes on two cores, as in `2 min`.
    ///
    /// # Errors
    /// What went wrong; the end of what was printed has been shown by then. A step that would begin after another has
    /// failed does not.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        usually: &str,
        work: impl FnOnce(&Step<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        anyhow::ensure!(!self.has_failed.load(Ordering::SeqCst), "{what}: not begun");
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let name = format!("step {number} of {}: {what}", self.total);
        say(&format!("── {name}, usually {usually}"));
        let (printed, began) = (Printed::default(), Instant::now());
        let (ended, is_over) = std::sync::mpsc::channel::<()>();
        let outcome = thread::scope(|scope| {
            let (name, watched) = (&name, printed.clone());
            scope.spawn(move || {
                while is_over.recv_timeout(SIGN_OF_LIFE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    let line: String = watched.last_line().chars().take(60).collect();
                    say(&format!("   {name}: {} so far; {line}", spoken(began.elapsed())));
                }
            });
            let outcome = work(&Step { printed: &printed });
            drop(ended);
            outcome
        });
        let took = began.elapsed();
        if outcome.is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
            say(&format!("{}\n   {name} failed after {}", printed.failure(SHOWN_LINES), spoken(took)));
        } else {
            say(&format!("   {name}: done in {}", spoken(took)));
            self.took.lock().unwrap_or_else(PoisonError::into_inner).push((what.to_owned(), took));
        }
        outcome
    }

    /// How long it has been since the task began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Runs two lanes of steps side by side, and waits for both.
///
/// # Errors
/// The first lane's, or else the second's.
pub(crate) fn side_by_side<A: Send, B>(
    first: impl FnOnce() -> anyhow::Result<A> + Send,
    second: impl FnOnce() -> anyhow::Result<B>,
) -> anyhow::Result<(A, B)> {
    thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a step panicked")));
        Ok((first?, second?))
    })
}

/// Does what usually runs nothing, because it is there already, without saying so.
///
/// # Errors
/// What went wrong, with the end of what was printed.
pub(crate) fn unnumbered<T>(work: impl FnOnce(&Step<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let printed = Printed::default();
    work(&Step { printed: &printed }).with_context(|| printed.failure(SHOWN_LINES))
}

/// A time as people say it: `42 s`, `2 min 5 s`.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else if seconds < 59.5 {
        format!("{seconds:.0} s")
    } else {
        let whole = time.as_secs() + u64::from(time.subsec_millis() >= 500);
        format!("{} min {} s", whole / 60, whole % 60)
    }
}
