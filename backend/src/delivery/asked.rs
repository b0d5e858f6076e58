//! The parameters of a read, from the URL's query and from the body, since no URL can hold a long list of topics.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header, web};
use fourways_shared::Code;
use serde_json::{Map, Value};

use crate::{
    net::body,
    problem::{Failure, has_body},
    worker::Worker,
};

/// Returns the parameters of a read as one query string: those of the URL, then those of the body. A body is a form, or
/// a JSON object whose members are `topics` and the other parameters.
///
/// # Errors
/// 415 if the body is neither a form nor JSON, 400 if it can't be read as one, and the errors of [`body::whole`].
pub(crate) async fn asked<'r>(
    request: &'r HttpRequest,
    payload: web::Payload,
    worker: &Worker,
) -> Result<Cow<'r, str>, Failure> {
    let query = request.query_string();
    if !has_body(request.method()) {
        return Ok(Cow::Borrowed(query));
    }
    let bad = |detail: String| Failure::new(Code::BadBody, detail).field("body");
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json";
    if !is_json && kind != "application/x-www-form-urlencoded" {
        let detail = format!(
            "Content-Type {kind:?} is not supported; allowed are application/json, application/x-www-form-urlencoded"
        );
        return Err(Failure::new(Code::UnsupportedMediaType, detail).field("Content-Type"));
    }
    let body = body::whole(payload, request, worker).await?;
    let form = if is_json {
        let members = serde_json::from_slice(&body)
            .map_err(|error| bad(format!("the body is not a JSON object: {error}")))?;
        form_of(&members).map_err(bad)?
    } else {
        std::str::from_utf8(&body).map_err(|error| bad(format!("the body is not UTF-8: {error}")))?.to_owned()
    };
    Ok(Cow::Owned(if query.is_empty() { form } else { format!("{query}&{form}") }))
}

/// Returns the members of a JSON object as a form.
fn form_of(members: &Map<String, Value>) -> Result<String, String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        match value {
            Value::Array(topics) if name == "topics" => {
                for topic in topics {
                    let topic =
                        topic.as_str().ok_or_else(|| format!("topics has {topic}, which is not a string"))?;
                    form.append_pair("topic", topic);
                }
            }
            Value::String(text) if name != "topics" => drop(form.append_pair(name, text)),
            Value::Number(number) if name != "topics" => drop(form.append_pair(name, &number.to_string())),
            Value::Null => {}
            _ => {
                return Err(format!(
                    "{name} can't be {value}; topics is an array of strings, all else a string or a number"
                ));
            }
        }
    }
    Ok(form.finish())
}

/// Returns the form of a JSON body; `None` if the body has none.
#[cfg(fuzzing)]
pub(crate) fn form(body: &[u8]) -> Option<String> {
    form_of(&serde_json::from_slice(body).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_what_an_address_would() {
        let form = |json: &str| form_of(&serde_json::from_str(json).unwrap());
        let said =
            r#"{"topics":["a","b.>"],"after":"x-1","limit":7,"policy":"latest","wait":0.5,"until":null}"#;
        // The order of the members is up to the JSON parser.
        let said = form(said).unwrap();
        let mut pairs: Vec<&str> = said.split('&').collect();
        pairs.sort_unstable();
        assert_eq!(pairs, ["after=x-1", "limit=7", "policy=latest", "topic=a", "topic=b.%3E", "wait=0.5"]);
        for wrong in [
            r#"{"topics":[1]}"#,
            r#"{"topics":0}"#,
            r#"{"topics":"a"}"#,
            r#"{"after":{"x":1}}"#,
            r#"{"after":["x"]}"#,
        ] {
            assert!(form(wrong).is_err(), "{wrong}");
        }
    }
}
