//! The lab's files: embedded, so that one binary is the whole deployment, or read from a folder during development.

use std::{
    borrow::Cow,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web::{Data, block},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::{
    net::fields::{Known, accepts},
    problem::{Failure, method_not_allowed},
};

/// The files that `cargo xtask release` left in `dist`; empty in a build without the app.
#[derive(RustEmbed)]
#[folder = "../dist"]
#[allow_missing = true]
struct Embedded;

/// The source of the app's files. The server creates it; all workers share it, and it never changes.
#[derive(Clone, Debug)]
pub enum Files {
    /// The files embedded in this binary.
    BuiltIn,
    /// The files of a folder, read again for each request, so that a new build shows at once.
    Folder(Arc<Path>),
}

/// A file of the app.
struct File {
    bytes: Cow<'static, [u8]>,
    sha256: [u8; 32],
}

impl Files {
    /// Returns the files of a folder, or those of the binary if no folder is given.
    pub fn new(folder: Option<PathBuf>) -> Self {
        folder.map_or(Self::BuiltIn, |folder| Self::Folder(folder.into()))
    }

    /// Returns the first of `names` that is a file, with its index in `names`.
    async fn first(&self, names: Vec<String>) -> Option<(usize, File)> {
        match self {
            Self::BuiltIn => names.iter().enumerate().find_map(|(at, name)| {
                let file = Embedded::get(name)?;
                Some((at, File { bytes: file.data, sha256: file.metadata.sha256_hash() }))
            }),
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                // A thread pool that is shutting down reads no file.
                block(move || {
                    names.iter().enumerate().find_map(|(at, name)| Some((at, read(&folder, name)?)))
                })
                .await
                .ok()?
            }
        }
    }

    async fn get(&self, name: &str) -> Option<File> {
        Some(self.first(vec![name.to_owned()]).await?.1)
    }
}

/// Reads a file below a folder; `None` for a name that leads outside of the folder.
fn read(folder: &Path, name: &str) -> Option<File> {
    let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let bytes = if is_below { std::fs::read(folder.join(name)).ok()? } else { return None };
    Some(File { sha256: Sha256::digest(&bytes).into(), bytes: bytes.into() })
}

/// Handles requests for the app: answers with a file, or with the app's page for every path that a page may have. A
/// build without the app answers with a page that tells how to build it.
///
/// # Errors
/// 404 for a file that does not exist.
pub async fn handle(request: HttpRequest, files: Data<Files>) -> Result<HttpResponse, Failure> {
    let path = request.path().trim_start_matches('/');
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(method_not_allowed("GET, HEAD"));
    }
    // The path of a page has no dot. The path of a file has one, and a missing file must not be answered with the page.
    let name = if path.is_empty() || !path.contains('.') { INDEX } else { path };
    match serve(&request, &files, name).await {
        Some(response) => Ok(response),
        None if files.get(INDEX).await.is_none() => Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(NOT_BUILT)),
        None => crate::problem::not_found().await,
    }
}

const INDEX: &str = "index.html";

/// Answers with a file in the best encoding that the client accepts, with the hash of the encoded bytes as `ETag`.
async fn serve(request: &HttpRequest, files: &Files, name: &str) -> Option<HttpResponse> {
    let accepts = |coding: &str| accepts(request, header::ACCEPT_ENCODING, &[coding]).unwrap_or(false);
    let codings = [(Some("br"), ".br"), (Some("gzip"), ".gz"), (None, "")];
    let codings: Vec<_> = codings.into_iter().filter(|(coding, _)| coding.is_none_or(accepts)).collect();
    let names = codings.iter().map(|(_, suffix)| format!("{name}{suffix}")).collect();
    let (at, file) = files.first(names).await?;
    let coding = codings.get(at).and_then(|(coding, _)| *coding);
    let hash = u128::from_be_bytes(std::array::from_fn(|at| file.sha256[at]));
    let tag = format!("{hash:032x}");
    let is_known = Known::of(request).has(&tag);
    // Trunk puts a hash into every other name, so a file with such a name never changes.
    let is_lasting = ![INDEX, "client.js", "client.d.ts"].contains(&name);
    let caching = if is_lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CONTENT_TYPE, content_type(name)))
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::ETAG, format!("\"{tag}\"")))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if name.starts_with("client.") {
        // Pages of other origins import the module, and browsers fetch modules by the rules of CORS. The API decides
        // which requests it may make there.
        response.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    }
    if name == INDEX {
        let page = files.get(INDEX).await?;
        response
            .insert_header((header::CONTENT_SECURITY_POLICY, policy(&page.bytes)))
            .insert_header((header::X_FRAME_OPTIONS, "DENY"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
            .insert_header(("Permissions-Policy", "camera=(), microphone=(), geolocation=()"));
    }
    if let Some(coding) = coding {
        response.insert_header((header::CONTENT_ENCODING, coding));
    }
    Some(match file.bytes {
        // A 304 has no body (RFC 9110 15.4.5): the client would take bytes after its head for the next response.
        _ if is_known => response.finish(),
        Cow::Borrowed(bytes) => response.body(bytes),
        Cow::Owned(bytes) => response.body(bytes),
    })
}

/// Returns the policy of the app's page (Content Security Policy, Level 3): it may use its own files and this server,
/// and nothing else. Inline scripts are allowed by the hashes of those that were built into the page; inline styles are
/// allowed on elements, since charts and lists position their items with them.
fn policy(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let hashes = inline_scripts(&page).map(|script| BASE64_STANDARD.encode(Sha256::digest(script)));
    let hashes: String = hashes.flat_map(|hash| [" 'sha256-".to_owned(), hash, "'".to_owned()]).collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self'; style-src-attr \
         'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns the texts of the page's inline scripts.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("<script").skip(1).filter_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        let (script, _) = rest.split_once("</script>")?;
        (!tag.contains("src=") && !script.is_empty()).then_some(script)
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "ts" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

const NOT_BUILT: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Fourways: the app is not built in</title>
<style>body{font:15px/1.6 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1rem;color-scheme:light dark}
code,pre{font-family:ui-monospace,monospace}pre{padding:.75rem 1rem;border:1px solid;border-radius:6px;overflow:auto}</style>
<h1>The server runs; the app is not built in</h1>
<p>This binary was built without the lab. To build both and start them, run this in the project's folder:</p>
<pre>cargo xtask start</pre>
<p>The API works as it is: <a href="/v1/topics">/v1/topics</a> lists what there is to read, and
<code>curl -N 'http://…/v1/stream?topic=host.cpu'</code> streams it.</p></html>"#;
