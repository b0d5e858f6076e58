//! The rights that a token grants, and for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fourways_shared::{Code, Filter, Problem, Topic};
use serde::{Deserialize, Serialize};

/// The rights of one request, stream or socket, from its token or by default. Each holds its own copy until it ends.
/// What is not granted is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Subject of the token (its `sub`); `None` if the token has none, or if the server has no keys.
    pub subject: Option<Box<str>>,
    subscribe: Vec<Filter>,
    publish: Vec<Filter>,
    /// True if the holder may operate the server: list and close connections, read the metrics, rehearse.
    pub operates: bool,
    /// End of the token, in seconds since the Unix epoch (RFC 7519 4.1.4); `None` without a token.
    expires_at: Option<u64>,
}

/// The claims of a token (RFC 7519 4) that this server reads. [`super::keys::Keys::verify`] checks the dates together
/// with the signature.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Subject of the token (RFC 7519 4.1.2): the client that its requests are counted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Time at which the token expires, in seconds since the Unix epoch.
    pub exp: u64,
    /// Time before which the token is not valid, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Rights of the holder; none by default.
    #[serde(default)]
    pub fourways: Rights,
}

/// The claim `fourways`: the rights of a token's holder. A member of another name makes the token invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Topics and patterns that the holder may read.
    #[serde(default)]
    pub subscribe: Vec<Filter>,
    /// Topics and patterns that the holder may publish to.
    #[serde(default)]
    pub publish: Vec<Filter>,
    /// True if the holder may operate the server.
    #[serde(default)]
    pub operate: bool,
}

impl Grant {
    /// Returns every right, without end: the grant of a server without keys to requests from its own machine.
    pub fn everything() -> Self {
        let all = || vec![Filter::all()];
        Self { subject: None, subscribe: all(), publish: all(), operates: true, expires_at: None }
    }

    /// Returns the right to read and publish everything, without end: the grant of a server without keys to requests
    /// from other machines.
    pub fn stranger() -> Self {
        Self { operates: false, ..Self::everything() }
    }

    /// Returns the rights of a token whose claims have been verified.
    pub fn of(claims: Claims) -> Self {
        let Rights { subscribe, publish, operate } = claims.fourways;
        Self {
            subject: claims.sub.map(Into::into),
            subscribe,
            publish,
            operates: operate,
            expires_at: Some(claims.exp),
        }
    }

    /// Returns the rights as a token's claim has them.
    pub fn rights(&self) -> Rights {
        Rights { subscribe: self.subscribe.clone(), publish: self.publish.clone(), operate: self.operates }
    }

    /// Checks that the holder may read all of these topics.
    ///
    /// # Errors
    /// 403 with the first topic that is not granted.
    pub fn may_subscribe(&self, topics: &[Filter]) -> Result<(), Problem> {
        let is_granted = |topic: &&Filter| self.subscribe.iter().any(|granted| granted.covers(topic));
        match topics.iter().find(|topic| !is_granted(topic)) {
            None => Ok(()),
            Some(topic) => {
                let detail = format!("this token does not let its holder subscribe to {topic}");
                Err(Problem::new(Code::Forbidden, detail).field("topic"))
            }
        }
    }

    /// Checks that the holder may publish to this topic.
    ///
    /// # Errors
    /// 403 if the topic is not granted.
    pub fn may_publish(&self, topic: &Topic) -> Result<(), Problem> {
        if self.publish.iter().any(|granted| granted.matches(topic.as_str())) {
            return Ok(());
        }
        let detail = format!("this token does not let its holder publish to {topic}");
        Err(Problem::new(Code::Forbidden, detail).field("topic"))
    }

    /// Checks that the holder may operate the server.
    ///
    /// # Errors
    /// 403 if the right is not granted.
    pub fn may_operate(&self) -> Result<(), Problem> {
        if self.operates {
            return Ok(());
        }
        let detail = if self.subject.is_none() && self.expires_at.is_none() {
            "without a token, only requests from the server's own machine may operate it, or all with --open-operator"
        } else {
            "this token does not let its holder operate the server"
        };
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// Returns how long the grant is still valid; `None` if it has no end.
    pub fn lasts(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.expires_at.map(|at| Duration::from_secs(at).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(subscribe: &[&str], publish: &[&str]) -> Grant {
        let filters = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let rights = Rights { subscribe: filters(subscribe), publish: filters(publish), operate: false };
        Grant::of(Claims { sub: Some("ada".to_owned()), exp: u64::MAX, nbf: None, fourways: rights })
    }

    #[test]
    fn what_is_not_granted_is_refused() {
        let ada = grant(&["orders.*", "chat.>"], &["chat.1"]);
        let may = |topics: &[&str]| {
            let topics: Vec<Filter> = topics.iter().map(|topic| topic.parse().unwrap()).collect();
            ada.may_subscribe(&topics).is_ok()
        };
        assert!(may(&["orders.1", "chat.1.typing", "chat.*", "orders.*"]));
        for refused in [&["orders.1", "x"][..], &["orders.>"], &[">"], &["orders"], &["*.1"]] {
            assert!(!may(refused), "{refused:?}");
        }
        assert!(ada.may_publish(&"chat.1".parse().unwrap()).is_ok());
        assert_eq!(ada.may_publish(&"chat.2".parse().unwrap()).unwrap_err().status, 403);
        assert!(ada.may_operate().is_err() && Grant::everything().may_operate().is_ok());
        assert!(grant(&[], &[]).may_subscribe(&["a".parse().unwrap()]).is_err());
    }

    #[test]
    fn claims_of_the_wrong_kind_are_refused() {
        for wrong in [
            r#"{"exp":1,"fourways":{"subscribe":["a..b"]}}"#,
            r#"{"exp":1,"fourways":{"subscribe":"a"}}"#,
            r#"{"exp":1,"fourways":{"suscribe":["a"]}}"#,
            r#"{"fourways":{}}"#,
            r#"{"exp":-1}"#,
        ] {
            assert!(serde_json::from_str::<Claims>(wrong).is_err(), "{wrong}");
        }
        let none: Claims = serde_json::from_str(r#"{"exp":1,"aud":"x"}"#).unwrap();
        assert_eq!(none.fourways, Rights::default(), "a token that grants nothing grants nothing");
    }
}
