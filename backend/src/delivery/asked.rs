//! What a read asks for, wherever it says so: in its address, or in a body, since no address can hold a long list of topics.

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header, web};
use fourways_shared::Code;
use serde_json::{Map, Value};

use super::Room;
use crate::{
    body,
    problem::{Failure, has_body},
};

/// The parameters as a query has them. Those of a body follow those of the address: a form as an address would have it, or a
/// JSON object with `topics` and the other parameters as its members.
///
/// # Errors
/// 400 or 415 for a body that is neither, or as for [`body::whole`].
pub(crate) async fn asked<'r>(
    request: &'r HttpRequest,
    payload: web::Payload,
    room: &Room,
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
            "Content-Type {kind:?} says no read; allowed are application/json, application/x-www-form-urlencoded"
        );
        return Err(Failure::new(Code::UnsupportedMediaType, detail).field("Content-Type"));
    }
    let body = body::whole(payload, request, room).await?;
    let form = if is_json {
        let members = serde_json::from_slice(&body)
            .map_err(|error| bad(format!("the body is no JSON object: {error}")))?;
        form_of(&members).map_err(bad)?
    } else {
        std::str::from_utf8(&body).map_err(|error| bad(format!("the body is not UTF-8: {error}")))?.to_owned()
    };
    Ok(Cow::Owned(if query.is_empty() { form } else { format!("{query}&{form}") }))
}

/// An object's members as a form.
fn form_of(members: &Map<String, Value>) -> Result<String, String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in members {
        let name = if name == "topics" { "topic" } else { name };
        match value {
            Value::Array(texts) => {
                for text in texts {
                    let text = text.as_str().ok_or_else(|| format!("{name} has {text}, which is no text"))?;
                    form.append_pair(name, text);
                }
            }
            Value::String(text) => drop(form.append_pair(name, text)),
            Value::Number(number) => drop(form.append_pair(name, &number.to_string())),
            Value::Null => {}
            Value::Bool(_) | Value::Object(_) => {
                return Err(format!("{name} is {value}, which no parameter is"));
            }
        }
    }
    Ok(form.finish())
}

/// What a body of JSON says, as a form.
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
        assert_eq!(
            form(
                r#"{"topics":["a","b.>"],"after":"x-1","limit":7,"policy":"latest","wait":0.5,"until":null}"#
            )
            .unwrap(),
            "after=x-1&limit=7&policy=latest&topic=a&topic=b.%3E&wait=0.5"
        );
        assert!(form(r#"{"topics":[1]}"#).is_err() && form(r#"{"after":{"x":1}}"#).is_err());
    }
}
