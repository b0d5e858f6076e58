//! `openapi.json` agrees with the server in every route, every method and every refusal.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::server::Server;

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

fn document() -> Value {
    serde_json::from_str(include_str!("../../../openapi.json")).unwrap()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// Returns the routes that the sources name, with `/v1` before those of its scope.
fn routes() -> BTreeSet<String> {
    let named = |source: &str, scope: &str| -> Vec<String> {
        let paths = source.split("only(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        paths.map(|path| format!("{scope}{path}")).collect()
    };
    let source = include_str!("../../../src/routes.rs");
    let (_, routes) = source.split_once("let api = web::scope(\"/v1\")").unwrap();
    let (inside, outside) = routes.split_once("app.service(api)").unwrap();
    let session = include_str!("../../../src/access/session.rs");
    // A route that is made in another way, or elsewhere, would be missed here, so there must be none.
    for path in rust_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text = std::fs::read_to_string(&path).unwrap();
        let own = ["routes.rs", "access/session.rs", "problem.rs"].iter().any(|own| path.ends_with(own));
        let ways = ["web::resource(", "web::scope(", ".route(", "#[get(", "#[post(", "#[put(", "#[delete("];
        let way = ways.iter().find(|way| text.contains(**way));
        assert!(own || way.is_none(), "{}: {way:?}", path.display());
    }
    assert_eq!(include_str!("../../../src/problem.rs").matches("web::resource(").count(), 1, "only `only`");
    assert_eq!([source, session].map(|text| text.matches("web::resource(").count()), [0, 0]);
    [named(inside, "/v1"), named(session, "/v1"), named(outside, "")].concat().into_iter().collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, routes());
    let served: Value = Server::start().get("/openapi.json").json();
    assert_eq!(served, document);
}

#[test]
fn a_method_is_there_if_it_is_described() {
    let server = Server::start();
    for (path, item) in document()["paths"].as_object().unwrap() {
        let address = path
            .replace("{topic}", "lab.a")
            .replace("{id}", "7")
            .replace("{use_case}", "chat")
            .replace("{node}", "7");
        for method in METHODS {
            let answer = server.request(&format!("{} {address} HTTP/1.1", method.to_uppercase()), b"");
            let is_described = item.get(method).is_some();
            // A 404 for an `{id}` means that there is no such connection, not that there is no such route.
            let is_named = path.ends_with("{id}") || path.ends_with("{node}");
            let is_there = answer.status != 405 && (answer.status != 404 || is_named);
            assert_eq!(is_there, is_described, "{method} {path}: {answer:?}");
            if answer.status == 405 {
                let allowed = answer.header("allow").unwrap();
                // HEAD is allowed wherever GET is (RFC 9110 9.1), and described with it.
                // OpenAPI 3.1 can't describe QUERY, which is allowed wherever a query is POSTed.
                let allowed_here = allowed.split(", ").filter(|one| *one != "QUERY");
                let (heads, all): (Vec<&str>, Vec<&str>) = allowed_here.partition(|one| *one == "HEAD");
                assert_eq!(heads.len(), all.iter().filter(|one| **one == "GET").count(), "{path}: {allowed}");
                assert!(all.iter().all(|one| item.get(one.to_lowercase()).is_some()), "{path}: {allowed}");
                assert_eq!(
                    all.len(),
                    METHODS.iter().filter(|one| item.get(**one).is_some()).count(),
                    "{path}"
                );
            }
            if is_described {
                let responses = item[method]["responses"].as_object().unwrap();
                let status = answer.status.to_string();
                assert!(responses.contains_key(&status), "{method} {path}: {status} is not described");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_code_is_told() {
    fn walk<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in METHODS.iter().filter_map(|method| item.get(*method)) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_refusal = status.parse::<u16>().unwrap() >= 400 && path != "/readyz";
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(is_refusal, *problem == "#/components/schemas/Problem", "{path} {status}");
            }
        }
    }
}
