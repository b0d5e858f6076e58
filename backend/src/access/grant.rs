//! What the holder of a token may do, and for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fourways_shared::{Code, Filter, Problem, Topic};
use serde::{Deserialize, Serialize};

/// What somebody may do. The rule of every door: what is not granted is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it is, by the token's `sub`; `None` where the server asks nobody.
    pub subject: Option<Box<str>>,
    subscribe: Vec<Filter>,
    publish: Vec<Filter>,
    /// May see and end other people's connections.
    pub operates: bool,
    /// When it ends, in seconds since the Unix epoch (RFC 7519 4.1.4).
    expires_at: Option<u64>,
}

/// The claims of a token (RFC 7519 4) that this server reads. Dates are checked where the signature is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Until when, in seconds since the Unix epoch.
    pub exp: u64,
    /// Not before, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// What for.
    #[serde(default)]
    pub fourways: Rights,
}

/// The claim `fourways`: which topics, by [`Filter`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// May be read.
    #[serde(default)]
    pub subscribe: Vec<Filter>,
    /// May be published to.
    #[serde(default)]
    pub publish: Vec<Filter>,
    /// May see and end connections.
    #[serde(default)]
    pub operate: bool,
}

impl Grant {
    /// Everything, for ever: what a server without keys grants to who is on its machine.
    pub fn everything() -> Self {
        let all = || vec![Filter::all()];
        Self { subject: None, subscribe: all(), publish: all(), operates: true, expires_at: None }
    }

    /// What a server without keys grants to who is not on its machine: to read and publish everything.
    pub fn stranger() -> Self {
        Self { operates: false, ..Self::everything() }
    }

    /// What a verified token says.
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

    /// What it grants.
    pub fn rights(&self) -> Rights {
        Rights { subscribe: self.subscribe.clone(), publish: self.publish.clone(), operate: self.operates }
    }

    /// # Errors
    /// 403 unless all of the topics may be read.
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

    /// # Errors
    /// 403 unless the topic may be published to.
    pub fn may_publish(&self, topic: &Topic) -> Result<(), Problem> {
        if self.publish.iter().any(|granted| granted.takes(topic.as_str())) {
            return Ok(());
        }
        let detail = format!("this token does not let its holder publish to {topic}");
        Err(Problem::new(Code::Forbidden, detail).field("topic"))
    }

    /// # Errors
    /// 403 unless it may see and end connections.
    pub fn may_operate(&self) -> Result<(), Problem> {
        if self.operates {
            return Ok(());
        }
        let detail = if self.subject.is_none() && self.expires_at.is_none() {
            "without a token only who is on the server's machine operates it, or with --open-operator everybody"
        } else {
            "this token does not let its holder operate the server"
        };
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// How long it still holds; `None`: for ever.
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
