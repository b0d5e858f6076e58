//! The members that a command may have, read by the same code from every encoding, before they are checked.
//!
//! Members and values that no command can use are skipped, so that a message takes no more memory than it has bytes.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Number of topics and patterns in one command at most. A server may allow more on one connection, by several
/// commands.
pub const MAX_TOPICS: usize = 1024;

/// The members of a command, unchecked. `D` is the type that the encoding reads `data` as.
pub(crate) struct Members<D> {
    pub(super) kind: Option<Member>,
    pub(super) topics: Option<Member>,
    pub(super) topic: Option<Member>,
    pub(super) after: Option<Member>,
    pub(super) last: Option<Member>,
    pub(super) policy: Option<Member>,
    pub(super) token: Option<Member>,
    pub(super) name: Option<Member>,
    pub(super) id: Option<Member>,
    pub(super) reference: Option<Member>,
    /// The data of a publish; `"data":null` is the value null, and an absent member is `None`.
    pub(crate) data: Option<D>,
}

/// The value of a member; a value that no command can use is [`Self::Other`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Null,
    Text(Box<str>),
    Number(u64),
    List(List),
    Other,
}

/// A list, as far as it can be a list of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum List {
    Texts(Vec<Box<str>>),
    /// An item is not a string.
    Mixed,
    /// The list has more than [`MAX_TOPICS`] items.
    TooLong,
}

impl<D> Default for Members<D> {
    fn default() -> Self {
        Self {
            kind: None,
            topics: None,
            topic: None,
            after: None,
            last: None,
            policy: None,
            token: None,
            name: None,
            id: None,
            reference: None,
            data: None,
        }
    }
}

impl<'de, D: Deserialize<'de>> Deserialize<'de> for Members<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        struct Map<D>(PhantomData<D>);
        impl<'de, D: Deserialize<'de>> Visitor<'de> for Map<D> {
            type Value = Members<D>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(key) = map.next_key::<Member>()? {
                    let Member::Text(key) = key else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let slot = match &*key {
                        "type" => &mut members.kind,
                        "topics" => &mut members.topics,
                        "topic" => &mut members.topic,
                        "after" => &mut members.after,
                        "last" => &mut members.last,
                        "policy" => &mut members.policy,
                        "token" => &mut members.token,
                        "name" => &mut members.name,
                        "id" => &mut members.id,
                        "ref" => &mut members.reference,
                        "data" => {
                            if members.data.replace(map.next_value()?).is_some() {
                                return Err(A::Error::duplicate_field("data"));
                            }
                            continue;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    if slot.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom(format_args!("{key} is given twice")));
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any::<true>)
    }
}

/// An item of a list. A list inside it can't be a list of topics, so it is skipped.
struct Item(Member);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any::<false>).map(Self)
    }
}

/// Reads any value; keeps a list's strings only if `KEEPS_LISTS`, and otherwise skips the list.
struct Any<const KEEPS_LISTS: bool>;

impl<'de, const KEEPS_LISTS: bool> Visitor<'de> for Any<KEEPS_LISTS> {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Text(text.into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Member, E> {
        Ok(Member::Text(text.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Member, E> {
        Ok(Member::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Member, E> {
        Ok(u64::try_from(number).map_or(Member::Other, Member::Number))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
        if !KEEPS_LISTS {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Member::Other);
        }
        let mut texts = Vec::new();
        let mut other = None;
        while other.is_none()
            && let Some(Item(item)) = items.next_element()?
        {
            match item {
                _ if texts.len() == MAX_TOPICS => other = Some(List::TooLong),
                Member::Text(text) => texts.push(text),
                _ => other = Some(List::Mixed),
            }
        }
        // The rest of the message is read nevertheless: it may contain the `ref` that the answer must echo.
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::List(other.unwrap_or(List::Texts(texts))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}
