//! Builds the app with trunk and packs it for the server to embed.

use std::{
    collections::hash_map::DefaultHasher,
    ffi::OsStr,
    fs,
    hash::Hasher as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    root,
    run::{check, command, say, step},
    tools,
};

/// What the app is made of.
const SOURCES: [&str; 9] = [
    "frontend",
    "client-js",
    "shared",
    "index.html",
    "Trunk.toml",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "rust-toolchain.toml",
];

/// The limit for wasm and JavaScript together, gzipped.
const MAX_GZIPPED: u64 = 760 * 1000;

/// The limit for the client of other people's pages, gzipped.
const MAX_CLIENT: u64 = 4096;

/// Builds into `dist`, unless what is there was made from the same sources.
///
/// # Errors
/// If a tool can't be installed, the build fails, or the app has grown over its limit.
pub(crate) fn build() -> anyhow::Result<()> {
    let dist = root().join("dist");
    let stamp = dist.join(".sources");
    let sources = fingerprint()?;
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == sources) {
        say("the app is up to date");
        return Ok(());
    }
    let path = tools::for_app()?;
    step("Building the app (the first time about 3 minutes)");
    // Trunk hands `--offline` on to cargo, so what it needs is fetched first.
    check(&mut command("cargo fetch --locked"))?;
    check(command("trunk build --release --offline").env("PATH", &path))?;
    for (from, to) in [("fourways.js", "client.js"), ("fourways.d.ts", "client.d.ts")] {
        let from = root().join("client-js").join(from);
        fs::copy(&from, dist.join(to)).with_context(|| format!("{} can't be copied", from.display()))?;
    }
    squeeze(&dist, &path)?;
    let gzipped = pack(&dist)?;
    let client = fs::metadata(dist.join("client.js.gz")).context("the client was not packed")?.len();
    say(&format!("client.js is {client} bytes, gzipped (limit {MAX_CLIENT})"));
    anyhow::ensure!(client <= MAX_CLIENT, "the client is larger than its limit");
    say(&format!("the app is {gzipped} bytes of wasm and JavaScript, gzipped (limit {MAX_GZIPPED})"));
    anyhow::ensure!(gzipped <= MAX_GZIPPED, "the app is larger than its limit");
    fs::write(stamp, sources).context("dist can't be written")
}

/// Once more, with loops untangled first, which trunk's own call can't ask for.
const WASM_OPT: &str = "wasm-opt --flatten --rereloop -Oz -Oz --enable-bulk-memory --enable-nontrapping-float-to-int \
                        --enable-sign-ext --enable-mutable-globals --enable-reference-types --enable-multivalue";
const ESBUILD: &str = "esbuild --log-level=warning --minify --format=esm --allow-overwrite";

/// Makes what trunk left smaller, in place.
fn squeeze(dist: &Path, path: &OsStr) -> anyhow::Result<()> {
    step("Squeezing the app");
    for file in files(dist)? {
        // Relative to the workspace, so that a space in the path above it can't split the command.
        let name = file.strip_prefix(root()).unwrap_or(&file).to_string_lossy().into_owned();
        let mut tool = match file.extension().and_then(OsStr::to_str) {
            Some("wasm") => command(&format!("{WASM_OPT} {name} -o {name}")),
            Some("js") => command(&format!("{ESBUILD} {name} --outfile={name}")),
            _ => continue,
        };
        check(tool.env("PATH", path))?;
    }
    Ok(())
}

/// Writes a `.br` and a `.gz` beside every file, and returns what wasm and JavaScript come to.
fn pack(dist: &Path) -> anyhow::Result<u64> {
    step("Packing the app");
    let mut gzipped = 0;
    for path in files(dist)? {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
        if !matches!(extension.as_str(), "html" | "css" | "js" | "wasm" | "svg") {
            continue;
        }
        let plain = fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&plain)?;
        let gzip = gzip.finish()?;
        if matches!(extension.as_str(), "js" | "wasm") {
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

/// Every file under a folder.
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
