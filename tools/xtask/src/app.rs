//! Builds the app with trunk: either quickly, for use on this machine (the quick build), or for a release, small and
//! compressed.

use std::{
    collections::hash_map::DefaultHasher,
    ffi::OsStr,
    fs,
    hash::Hasher as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    root,
    run::{command, say},
    steps::Step,
};

/// Files and folders that the app is built from, relative to the workspace.
const SOURCES: [&str; 10] = [
    "frontend",
    "crates/model",
    "client-js",
    "shared",
    "index.html",
    "Trunk.toml",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "rust-toolchain.toml",
];

/// Limit for the WebAssembly and JavaScript of a release together, gzipped, in bytes.
const MAX_GZIPPED: u64 = 830 * 1000;
/// The same limit for the quick build, which is not optimised for size.
const MAX_LOOKING_GZIPPED: u64 = 2_000 * 1000;
/// Limit for `client.js`, the client for other people's pages, minified and gzipped, in bytes.
const MAX_CLIENT: u64 = 5120;

/// Cargo's flags for the quick build. Trunk passes the same ones, so the app's code is compiled only once.
pub(crate) const CARGO: &str =
    "--locked --package fourways-app --target wasm32-unknown-unknown --profile start";

/// Returns the folder of the quick build.
pub(crate) fn folder() -> PathBuf {
    root().join("target/app")
}

/// Returns the folder of a release's app, which the server embeds.
fn dist() -> PathBuf {
    root().join("dist")
}

/// True if the quick build was made from the current sources.
///
/// # Errors
/// If a source can't be read.
pub(crate) fn is_fresh() -> anyhow::Result<bool> {
    Ok(is_made_from(&folder(), &fingerprint()?))
}

/// Returns the `trunk` command that makes the quick build in [`folder`].
pub(crate) fn trunk() -> Command {
    let mut trunk = command("trunk build --dist");
    trunk.arg(folder());
    trunk
}

/// Makes the quick build by running `trunk`, the command from [`trunk`], and checks its size limit.
///
/// # Errors
/// If the build fails, or the app is larger than its limit.
pub(crate) fn build(step: &Step<'_>, trunk: &mut Command) -> anyhow::Result<()> {
    let (folder, sources) = (folder(), fingerprint()?);
    step.run(trunk)?;
    add_client(&folder)?;
    let mut total = 0;
    for file in files(&folder)?.iter().filter(|file| is_code(file)) {
        total += gzip(&fs::read(file)?, flate2::Compression::best())?.len() as u64;
    }
    say(&format!(
        "   app: {total} bytes of WebAssembly and JavaScript, gzipped (limit {MAX_LOOKING_GZIPPED})"
    ));
    anyhow::ensure!(total <= MAX_LOOKING_GZIPPED, "the app is larger than its limit");
    fs::write(folder.join(STAMP), sources).context("the app's folder can't be written")
}

/// Writes `client.js` into [`folder`] minified, as a release has it, and checks its size limit.
///
/// # Errors
/// If `client.js` can't be minified or is larger than its limit.
pub(crate) fn minify_client(step: &Step<'_>, path: &OsStr) -> anyhow::Result<()> {
    let file = folder().join("client.js");
    step.run(
        command(&format!("{ESBUILD_CLIENT} client-js/fourways.js")).arg(outfile(&file)).env("PATH", path),
    )?;
    check_client(gzip(&fs::read(&file)?, flate2::Compression::best())?.len() as u64)
}

fn outfile(file: &Path) -> String {
    format!("--outfile={}", file.display())
}

fn check_client(gzipped: u64) -> anyhow::Result<()> {
    say(&format!("   client.js: {gzipped} bytes, gzipped (limit {MAX_CLIENT})"));
    anyhow::ensure!(gzipped <= MAX_CLIENT, "client.js is larger than its limit");
    Ok(())
}

/// Builds the app of a release into `dist`, unless `dist` was made from the same sources.
///
/// # Errors
/// If the build fails, or the app or `client.js` is larger than its limit.
pub(crate) fn release(step: &Step<'_>, path: &OsStr) -> anyhow::Result<()> {
    let (dist, sources) = (dist(), fingerprint()?);
    if is_made_from(&dist, &sources) {
        say("   the app is up to date");
        return Ok(());
    }
    step.run(command("trunk build --release").env("PATH", path))?;
    add_client(&dist)?;
    squeeze(step, &dist, path)?;
    let gzipped = pack(&dist)?;
    check_client(fs::metadata(dist.join("client.js.gz")).context("client.js was not compressed")?.len())?;
    say(&format!("   app: {gzipped} bytes of WebAssembly and JavaScript, gzipped (limit {MAX_GZIPPED})"));
    anyhow::ensure!(gzipped <= MAX_GZIPPED, "the app is larger than its limit");
    fs::write(dist.join(STAMP), sources).context("dist can't be written")
}

/// Name of the file that holds the fingerprint of the sources from which a folder was made.
const STAMP: &str = ".sources";

fn is_made_from(folder: &Path, sources: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|made_from| made_from == sources)
}

/// Copies `client.js` and its type declarations into a folder, because the server serves them beside the app.
fn add_client(folder: &Path) -> anyhow::Result<()> {
    for (from, to) in [("fourways.js", "client.js"), ("fourways.d.ts", "client.d.ts")] {
        let from = root().join("client-js").join(from);
        fs::copy(&from, folder.join(to)).with_context(|| format!("{} can't be copied", from.display()))?;
    }
    Ok(())
}

/// Command of a second optimisation after trunk's, which first restructures the loops; trunk can't be told to do that.
const WASM_OPT: &str = "wasm-opt --flatten --rereloop -Oz -Oz --enable-bulk-memory --enable-nontrapping-float-to-int \
                        --enable-sign-ext --enable-mutable-globals --enable-reference-types --enable-multivalue";
const ESBUILD: &str = "esbuild --log-level=warning --minify --format=esm --allow-overwrite";
/// The command for `client.js`, which also shortens names with a leading underscore, because they are private.
const ESBUILD_CLIENT: &str = "esbuild --log-level=warning --minify --format=esm --allow-overwrite --tree-shaking=true --mangle-props=^_";

/// Shrinks trunk's output further, in place.
fn squeeze(step: &Step<'_>, dist: &Path, path: &OsStr) -> anyhow::Result<()> {
    for file in files(dist)? {
        // Relative to the workspace, so that a space in the path above it can't split the command.
        let name = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().into_owned();
        let mut tool = match file.extension().and_then(OsStr::to_str) {
            Some("wasm") => command(&format!("{WASM_OPT} {name} -o {name}")),
            Some("js") => {
                let esbuild = if name.ends_with("/client.js") { ESBUILD_CLIENT } else { ESBUILD };
                let mut tool = command(&format!("{esbuild} {name}"));
                tool.arg(outfile(&file));
                tool
            }
            _ => continue,
        };
        step.run(tool.env("PATH", path))?;
    }
    Ok(())
}

/// Writes a `.br` and a `.gz` beside every file that compresses well, and returns the gzipped size of WebAssembly and
/// JavaScript together, in bytes.
fn pack(dist: &Path) -> anyhow::Result<u64> {
    let mut gzipped = 0;
    for path in files(dist)? {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
        if !matches!(extension.as_str(), "html" | "css" | "js" | "wasm" | "svg") {
            continue;
        }
        let plain = fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        let gzip = gzip(&plain, flate2::Compression::best())?;
        if is_code(&path) {
            gzipped += gzip.len() as u64;
        }
        let mut brotli = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
        brotli::BrotliCompress(&mut plain.as_slice(), &mut brotli, &parameters)?;
        for (suffix, bytes) in [("gz", gzip), ("br", brotli)] {
            fs::write(path.with_extension(format!("{extension}.{suffix}")), bytes)?;
        }
    }
    Ok(gzipped)
}

fn is_code(file: &Path) -> bool {
    matches!(file.extension().and_then(OsStr::to_str), Some("js" | "wasm"))
}

fn gzip(plain: &[u8], level: flate2::Compression) -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain)?;
    Ok(encoder.finish()?)
}

fn fingerprint() -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        let path = root().join(source);
        let mut files = if path.is_dir() { files(&path)? } else { vec![path] };
        files.sort();
        for file in files {
            hasher.write(file.to_string_lossy().as_bytes());
            hasher.write(&fs::read(&file).with_context(|| format!("{} can't be read", file.display()))?);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Returns every file in a folder and its subfolders.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
