//! HTTP/2 as judged by h2spec, an outside tool with a case for each rule of RFC 9113 and RFC 7541.

use std::process::Command;

use fourways_testkit::skipped;

use super::tls::Secure;

/// Paths that h2spec requests. The answers end: h2spec waits for the end, so no event stream is among them.
const ADDRESSES: [&str; 5] = ["/healthz", "/v1/events?topic=a", "/v1/topics", "/nothing", "/openapi.json"];
/// Number of tries of a case; it fails only if every try fails. The offending frame of a case can reach the server
/// before or after the server's answer to the request. Both orders are lawful, but h2spec knows only one.
const TRIES: usize = 8;

#[test]
fn every_rule_is_kept_on_every_address() {
    let Some(program) = std::env::var_os("FOURWAYS_H2SPEC") else {
        return skipped("FOURWAYS_H2SPEC is not set: `cargo xtask test` builds h2spec where there is Go");
    };
    let secure = Secure::with(&[]);
    let port = secure.server.address.port().to_string();
    for address in ADDRESSES {
        let judged = |cases: &[String]| {
            let mut h2spec = Command::new(&program);
            h2spec.args(cases).args(["-t", "-k", "--strict", "-h", "127.0.0.1", "-p", &port, "-P", address]);
            let output = h2spec.output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        let (mut is_kept, mut told) = judged(&[]);
        assert!(told.contains("146 tests, "), "{told}");
        for _ in 0..TRIES {
            if is_kept {
                break;
            }
            (is_kept, told) = judged(&failed(&told));
        }
        assert!(is_kept, "{address}:\n{told}");
    }
}

/// Returns the sections of the failed cases, in the form in which h2spec accepts them: the standard's name and the
/// number of its section.
fn failed(told: &str) -> Vec<String> {
    let failures = told.split("Failures:").nth(1).unwrap_or(told);
    let (mut standard, mut section, mut failed) = ("http2", String::new(), Vec::new());
    for line in failures.lines().map(str::trim) {
        let number = line.split(". ").next().unwrap_or_default();
        if let Some(heading) = ["Generic", "Hypertext", "HPACK"].iter().find(|name| line.starts_with(**name))
        {
            standard = match *heading {
                "Generic" => "generic",
                "HPACK" => "hpack",
                _ => "http2",
            };
        } else if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
            number.clone_into(&mut section);
        } else if line.starts_with('×') {
            failed.push(format!("{standard}/{section}"));
        }
    }
    failed.dedup();
    failed
}
