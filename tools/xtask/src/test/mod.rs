//! `cargo xtask test`: runs every check, the cheapest first, and side by side where that saves time.

mod checks;

use std::ffi::OsString;

use anyhow::{Context as _, ensure};

use self::checks::{Counts, Tests, cargo, failed, linted};
use crate::{
    app, root,
    run::{command, print, say},
    steps::{Step, Steps, side_by_side, spoken},
    tidy, tools,
};

/// Number of native tests that run at once; more than cores, because most tests wait for a socket most of the time.
const NATIVE_THREADS: usize = 8;
/// Number of browser tests that run at once.
const BROWSER_THREADS: usize = 4;

/// A part of the checks that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Format,
    Walls,
    Lints,
    Native,
    Wasm,
    Browser,
    Api,
}

impl Section {
    const ALL: [Self; 7] =
        [Self::Format, Self::Walls, Self::Lints, Self::Native, Self::Wasm, Self::Browser, Self::Api];

    const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Walls => "walls",
            Self::Lints => "lints",
            Self::Native => "native",
            Self::Wasm => "wasm",
            Self::Browser => "browser",
            Self::Api => "api",
        }
    }
}

/// Maximum number of failed browser tests that are retried; more failures than this are no accident.
const MAX_AGAIN: usize = 3;

/// The checks that the command line asks for.
struct Wanted {
    sections: Vec<Section>,
    is_quick: bool,
}

impl Wanted {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut wanted = Self { sections: Vec::new(), is_quick: false };
        for argument in arguments {
            if argument == "--quick" {
                wanted.is_quick = true;
                continue;
            }
            let section = Section::ALL.into_iter().find(|section| section.name() == argument);
            let names = Section::ALL.map(Section::name).join(", ");
            wanted
                .sections
                .push(section.with_context(|| format!("unknown section {argument:?}; known: {names}"))?);
        }
        if wanted.sections.is_empty() {
            wanted.sections = Section::ALL.into();
        }
        Ok(wanted)
    }

    fn has(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }
}

/// Runs all sections, or those that are named. `--quick` instead checks format and walls, lints and builds everything
/// that has changed, and runs only the unit tests.
///
/// # Errors
/// If a check fails, or a test is marked `#[ignore]` in CI.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let wanted = Wanted::parse(arguments)?;
    let counts = if wanted.is_quick { quick()? } else { whole(&wanted)? };
    if counts.passed > 0 {
        print(&format!("{} passed, 0 failed", counts.passed));
    }
    ensure!(
        counts.ignored == 0 || std::env::var_os("CI").is_none(),
        "{} tests are marked #[ignore], but in CI every test must run",
        counts.ignored
    );
    Ok(())
}

fn quick() -> anyhow::Result<Counts> {
    let steps = Steps::of(5);
    format(&steps)?;
    walls(&steps)?;
    native_build(&steps)?;
    steps.step("lints, WebAssembly", "2 min the first time", |step| {
        tools::wasm_target(step)?;
        step.run(&mut cargo(&format!("build {}", app::CARGO)))
    })?;
    let counts = steps.step("running the unit tests", "10 s", |step| {
        for tests in Tests::all()?.into_iter().filter(|tests| tests.is_unit) {
            step.run(&mut tests.command())?;
        }
        Ok(Counts::of(&step.printed()))
    })?;
    say(&format!("\nall quick checks passed in {}", spoken(steps.elapsed())));
    Ok(counts)
}

fn whole(wanted: &Wanted) -> anyhow::Result<Counts> {
    let (has_native, has_wasm) = (wanted.has(Section::Native), wanted.has(Section::Wasm));
    let has_browser = wanted.has(Section::Browser) || wanted.has(Section::Api);
    let builds_native = wanted.has(Section::Lints) || has_native || has_browser;
    let builds_wasm = wanted.has(Section::Lints) || has_wasm || has_browser;
    let count =
        |parts: &[(bool, usize)]| parts.iter().map(|(is_on, steps)| if *is_on { *steps } else { 0 }).sum();
    let steps = Steps::of(count(&[
        (wanted.has(Section::Format), 1),
        (wanted.has(Section::Walls), 1),
        (builds_native, 1),
        (builds_wasm, 3),
        (has_native, 1),
        (has_wasm, 1),
        (has_browser, 1),
    ]));
    if wanted.has(Section::Format) {
        format(&steps)?;
    }
    if wanted.has(Section::Walls) {
        walls(&steps)?;
    }
    let installed = builds_wasm.then(|| steps.step("installing tools", "1 s; 5 min once", Installed::all));
    let installed = installed.transpose()?;
    let ((), ()) = side_by_side(
        || if builds_native { native_build(&steps) } else { Ok(()) },
        || installed.as_ref().map_or(Ok(()), |installed| wasm_build(&steps, installed)),
    )?;
    let (native, others) = side_by_side(
        || if has_native { native_tests(&steps) } else { Ok(Counts::default()) },
        || {
            let mut counts = Counts::default();
            if let Some(installed) = &installed {
                if has_wasm {
                    counts = counts + wasm_tests(&steps, installed)?;
                }
                if has_browser {
                    let only = (!wanted.has(Section::Browser)).then_some("api::");
                    counts = counts + browser_tests(&steps, installed, only)?;
                }
            }
            Ok(counts)
        },
    )?;
    let counts = native + others;
    say(&format!("\nall checks passed in {}: {} tests", spoken(steps.elapsed()), counts.passed));
    Ok(counts)
}

fn format(steps: &Steps) -> anyhow::Result<()> {
    steps.step("format", "2 s", |step| step.run(&mut command("cargo fmt --all --check")))
}

fn walls(steps: &Steps) -> anyhow::Result<()> {
    steps.step("walls between modules", "1 s", |_| tidy::check())
}

/// Paths of everything that the tests need and cargo does not build.
struct Installed {
    path: OsString,
    axe: OsString,
    node_path: OsString,
    schemathesis: OsString,
}

impl Installed {
    fn all(step: &Step<'_>) -> anyhow::Result<Self> {
        tools::wasm_target(step)?;
        tools::for_tests(step)?;
        Ok(Self {
            path: tools::for_release(step)?.path()?,
            axe: tools::axe(step)?.into(),
            node_path: tools::node_clients(step)?.into(),
            schemathesis: tools::schemathesis(step)?.into(),
        })
    }
}

/// Lints the workspace and builds its test binaries, in one compilation: clippy's compiler does both.
fn native_build(steps: &Steps) -> anyhow::Result<()> {
    steps.step("lints and test binaries, native", "6 min the first time", |step| {
        step.run(&mut cargo("test --locked --workspace --no-run"))
    })
}

/// Builds the app with plain `trunk build`, as its users do, but with clippy's compiler, which also lints the app. Then
/// builds the test binary of the app.
fn wasm_build(steps: &Steps, installed: &Installed) -> anyhow::Result<()> {
    steps.step("lints and app, with plain `trunk build`", "4 min the first time", |step| {
        app::build(step, linted(app::trunk()).env("PATH", &installed.path))?;
        app::minify_client(step, &installed.path)
    })?;
    steps.step("test binary, WebAssembly", "1 min the first time", |step| {
        step.run(&mut cargo(&format!("test --no-run --lib {}", app::CARGO)))
    })
}

fn native_tests(steps: &Steps) -> anyhow::Result<Counts> {
    steps.step("unit, integration, race and property tests", "1 min", |step| {
        let (h2spec, nats) = (tools::h2spec(step)?, tools::nats(step)?);
        let mut outcome = Ok(());
        for tests in Tests::all()? {
            // The browser tests have a step of their own.
            if tests.is_of_browser() {
                continue;
            }
            let mut command = tests.command();
            command.arg(format!("--test-threads={NATIVE_THREADS}")).env("FOURWAYS_NATS", &nats);
            if let Some(h2spec) = &h2spec {
                command.env("FOURWAYS_H2SPEC", h2spec);
            }
            // Run every test binary, even after one has failed.
            outcome = outcome.and(step.run(&mut command));
        }
        outcome?;
        Ok(Counts::of(&step.printed()))
    })
}

fn wasm_tests(steps: &Steps, installed: &Installed) -> anyhow::Result<Counts> {
    steps.step("browser bindings, in Chromium", "10 s", |step| {
        let mut tests = cargo(&format!("test --lib {}", app::CARGO));
        tests
            .env("PATH", &installed.path)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
            .env("CHROMEDRIVER", "/usr/bin/chromedriver");
        step.run(&mut tests)?;
        Ok(Counts::of(&step.printed()))
    })
}

/// Runs the tests that need a browser. A few failed tests are retried once, one at a time, and reported as flaky if
/// they pass then: on a busy machine, a browser that runs beside three others is sometimes too slow.
fn browser_tests(steps: &Steps, installed: &Installed, only: Option<&str>) -> anyhow::Result<Counts> {
    steps.step("the lab and its clients, in Chromium and Node", "5 min", |step| {
        let built = Tests::all()?.into_iter().find(Tests::is_of_browser).context("no browser tests")?;
        let nats = tools::nats(step)?;
        let tests = |threads: usize| -> anyhow::Result<_> {
            let mut tests = built.command();
            tests
                .arg(format!("--test-threads={threads}"))
                .env("PATH", tools::with_engines()?)
                .env("FOURWAYS_BINARY", root().join("target/debug/fourways"))
                .env("FOURWAYS_APP", app::folder())
                .env("FOURWAYS_NATS", &nats)
                .env("FOURWAYS_AXE", &installed.axe)
                .env("FOURWAYS_SCHEMATHESIS", &installed.schemathesis)
                .env("NODE_PATH", &installed.node_path);
            Ok(tests)
        };
        if let Err(error) = step.run(tests(BROWSER_THREADS)?.args(only)) {
            let printed = step.printed();
            let again = failed(&printed);
            if again.is_empty() || again.len() > MAX_AGAIN {
                return Err(error);
            }
            say(&format!("\nfailed, and retried one by one: {}\n{}", again.join(", "), step.failure()));
            step.run(tests(1)?.arg("--exact").args(&again))?;
            say(&format!("\nFLAKY: failed at first, passed when retried: {}", again.join(", ")));
        }
        Ok(Counts::of(&step.printed()))
    })
}
