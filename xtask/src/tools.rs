//! Installs what is missing: by version into the user's cache folder, so that a second clone is quick, or by apt.

use std::{ffi::OsString, fs, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::{
    root,
    run::{check, command, is_there, output, say, step},
};

/// 0.22 needs a newer Rust than this workspace's.
const TRUNK: &str = "0.21.14";
/// Debian's binaryen is too old for what today's compiler writes; this one is a Node program and needs only Node.
const BINARYEN: &str = "132.0.0";
/// Trunk's own minifier does not understand the JavaScript that wasm-bindgen writes.
const ESBUILD: &str = "0.28.2";
/// The npm packages that the README's Node clients use, and their tests.
const NODE_CLIENTS: [&str; 2] = ["ws@8.23.0", "eventsource@4.1.1"];
/// Asks an API what its description says.
const SCHEMATHESIS: &str = "4.32.5";
const CARGO_FUZZ: &str = "0.13.1";
const CARGO_DENY: &str = "0.20.2";
/// The rules that pages are audited by.
const AXE: &str = "4.14.1";

/// What the app is built with. The `PATH` to build it with.
pub(crate) fn for_app() -> anyhow::Result<OsString> {
    wasm_target()?;
    let bindgen = locked_version("wasm-bindgen")?;
    let mut folders = vec![
        cargo_tool("trunk", TRUNK, "--locked", "5 to 9 minutes")?,
        // Must equal the crate's version. `--locked` would ask for a version of a dependency that was withdrawn.
        cargo_tool("wasm-bindgen-cli", &bindgen, "", "2 to 3 minutes")?,
        npm_tool("binaryen", BINARYEN)?,
        npm_tool("esbuild", ESBUILD)?,
    ];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(folders).context("PATH can't be put together")
}

/// What tests run in and ask: a browser, the kernel's counters of a socket, reverse proxies, what the docs say to type.
pub(crate) fn for_tests() -> anyhow::Result<()> {
    apt(&[
        ("chromium", "chromium"),
        ("chromedriver", "chromium-driver"),
        ("ss", "iproute2"),
        ("nginx", "nginx-light"),
        ("caddy", "caddy"),
        ("haproxy", "haproxy"),
        ("curl", "curl"),
    ])
}

/// The `PATH` to fuzz with.
pub(crate) fn for_fuzzing() -> anyhow::Result<OsString> {
    apt(&[("g++", "g++")])?;
    with_path(cargo_tool("cargo-fuzz", CARGO_FUZZ, "--locked", "1 minute")?)
}

/// The `PATH` to audit with.
pub(crate) fn for_audit() -> anyhow::Result<OsString> {
    with_path(cargo_tool("cargo-deny", CARGO_DENY, "--locked", "4 to 6 minutes")?)
}

fn with_path(first: PathBuf) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([first].into_iter().chain(std::env::split_paths(&path)))
        .context("PATH can't be put together")
}

/// The peers that a delivery's cost is compared with.
pub(crate) fn for_cost() -> anyhow::Result<()> {
    apt(&[("nginx", "nginx-light"), ("taskset", "util-linux")])?;
    if !PathBuf::from("/usr/lib/nginx/modules/ngx_nchan_module.so").exists() {
        apt_install(&["libnginx-mod-nchan"])?;
    }
    Ok(())
}

/// The folder of `node_modules` with the README's Node clients.
pub(crate) fn node_clients() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join("node-clients").join(NODE_CLIENTS.join("+").replace('@', "-"));
    if !folder.join("node_modules/ws").exists() || !folder.join("node_modules/eventsource").exists() {
        npm_install(&folder, &NODE_CLIENTS)?;
    }
    Ok(folder.join("node_modules"))
}

/// The program that asks an API what its description says; in a place of its own for its packages.
pub(crate) fn schemathesis() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("schemathesis-{SCHEMATHESIS}"));
    let program = folder.join("bin/schemathesis");
    if !program.is_file() {
        apt(&[("python3", "python3")])?;
        step(&format!("Installing schemathesis {SCHEMATHESIS} (once)"));
        let place = |ask: &str| command(&format!("python3 -m venv {ask}"));
        if check(place("--clear").arg(&folder)).is_err() {
            // Debian's Python comes without.
            apt_install(&["python3-venv"])?;
            check(place("--clear").arg(&folder))?;
        }
        let pip = folder.join("bin/pip");
        check(
            std::process::Command::new(pip)
                .args(["install", "--quiet"])
                .arg(format!("schemathesis=={SCHEMATHESIS}")),
        )?;
    }
    Ok(program)
}

/// The script that audits a page.
pub(crate) fn axe() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("axe-core-{AXE}"));
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        npm_install(&folder, &[&format!("axe-core@{AXE}")])?;
    }
    Ok(script)
}

fn wasm_target() -> anyhow::Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let is_installed = output("rustup target list --installed").is_some_and(|list| list.contains(TARGET));
    if is_installed {
        return Ok(());
    }
    step("Adding the WebAssembly target to the Rust toolchain");
    check(&mut command(&format!("rustup target add {TARGET}")))
}

/// The folder of the tool's program.
fn cargo_tool(name: &str, version: &str, flags: &str, takes: &str) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("{name}-{version}"));
    let program = if name == "wasm-bindgen-cli" { "wasm-bindgen" } else { name };
    if !folder.join("bin").join(program).is_file() {
        step(&format!("Installing {name} {version} (once; about {takes})"));
        let mut install = command(&format!("cargo install {name} --version {version} {flags} --root"));
        // Not into this workspace's target, which a `cargo clean` would take with it while it is built.
        check(install.arg(&folder).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))?;
    }
    Ok(folder.join("bin"))
}

fn npm_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(format!("{name}-{version}"));
    let programs = folder.join("node_modules/.bin");
    if !programs.is_dir() {
        npm_install(&folder, &[&format!("{name}@{version}")])?;
    }
    Ok(programs)
}

fn npm_install(folder: &PathBuf, packages: &[&str]) -> anyhow::Result<()> {
    apt(&[("node", "nodejs"), ("npm", "npm")])?;
    step(&format!("Installing {} (once)", packages.join(", ")));
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let mut install = command("npm install --no-audit --no-fund --loglevel=error --prefix");
    check(install.arg(folder).args(packages))
}

/// Installs the packages of the programs that are missing.
fn apt(wanted: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { apt_install(&missing) }
}

fn apt_install(packages: &[&str]) -> anyhow::Result<()> {
    step(&format!("Installing {} by apt (once)", packages.join(", ")));
    if !is_there("apt-get") {
        bail!("there is no apt-get here; install {} by hand and run this again", packages.join(", "));
    }
    let is_root = output("id -u").is_some_and(|id| id.trim() == "0");
    let prefix = if is_root { "" } else { "sudo " };
    check(&mut command(&format!("{prefix}apt-get update -qq")))?;
    let mut install = command(&format!("{prefix}apt-get install -y -qq --no-install-recommends"));
    check(install.args(packages).env("DEBIAN_FRONTEND", "noninteractive"))?;
    say("installed");
    Ok(())
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    base.or_else(home)
        .map(|base| base.join("fourways/tools"))
        .context("neither XDG_CACHE_HOME nor HOME is set")
}

/// The version of a crate in `Cargo.lock`.
fn locked_version(name: &str) -> anyhow::Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock can't be read")?;
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version
        .map(|version| version.trim_matches('"').to_owned())
        .with_context(|| format!("{name} is not in Cargo.lock"))
}
