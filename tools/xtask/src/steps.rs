//! The steps of a task, as the person who waits sees them: the number of each step, the time that the step usually
//! takes, and the time that it took. Steps may run side by side, so the output of their programs is captured, and shown
//! only if a step fails.

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

/// Interval at which a running step reports that it still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);
/// Number of lines of output that are shown when a step fails.
const SHOWN_LINES: usize = 80;

/// The steps of one task, numbered in the order in which they begin.
///
/// The task owns the value until it ends. The threads that run its steps side by side borrow it, hence the atomics, and
/// a mutex that is held only to add an entry.
#[derive(Debug)]
pub(crate) struct Steps {
    total: usize,
    begun: AtomicUsize,
    began: Instant,
    took: Mutex<Vec<(String, Duration)>>,
    has_failed: AtomicBool,
}

/// A running step, which captures the output of its programs.
#[derive(Debug)]
pub(crate) struct Step<'s> {
    printed: &'s Printed,
}

impl Step<'_> {
    /// Runs a command to its end, and captures its output.
    ///
    /// # Errors
    /// If the command can't be started or fails.
    pub(crate) fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        quietly(command, self.printed)
    }

    /// Returns the output of the step's programs so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.text()
    }

    /// Returns the part of the output that is shown when a step fails: the listed failures and the last lines.
    pub(crate) fn failure(&self) -> String {
        self.printed.failure(SHOWN_LINES)
    }
}

impl Steps {
    /// Begins a task of this many steps.
    pub(crate) fn of(total: usize) -> Self {
        Self {
            total,
            begun: AtomicUsize::new(0),
            began: Instant::now(),
            took: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Runs one step, and reports its beginning and its end. `usually` is the time that the step takes on two cores, as
    /// in `2 min`.
    ///
    /// # Errors
    /// The error of `work`, after the end of the captured output has been shown. Once a step has failed, no other step
    /// begins.
    pub(crate) fn step<T>(
        &self,
        what: &str,
        usually: &str,
        work: impl FnOnce(&Step<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        anyhow::ensure!(!self.has_failed.load(Ordering::SeqCst), "{what}: not begun after another failure");
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

    /// Returns the time since the task began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Runs two sequences of steps side by side, and waits for both to end.
///
/// # Errors
/// The error of the first sequence, or else that of the second.
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

/// Runs work outside the numbered steps, and reports nothing unless the work fails: for tools that are usually
/// installed already.
///
/// # Errors
/// The error of `work`, with the end of the captured output.
pub(crate) fn unnumbered<T>(work: impl FnOnce(&Step<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let printed = Printed::default();
    work(&Step { printed: &printed }).with_context(|| printed.failure(SHOWN_LINES))
}

/// Formats a time for people: `42 s`, `2 min 5 s`.
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
