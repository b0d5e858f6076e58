//! The `data` of a publish in CBOR: a byte string is kept as bytes, and any other value as the equivalent JSON.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::Data;

/// The `data` of a publish, checked as [`Data::from_client_json`] does.
pub(crate) struct Published(pub(crate) Data);

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole)
    }
}

/// Reads the whole `data`: bytes, or a value that JSON can express.
struct Whole;

/// Appends one value to JSON text. No tree of values is built, which would take many times the message's size.
struct Text<'t>(&'t mut String);

macro_rules! visit_values {
    ($($visit:ident: $value:ty),*) => {$(
        fn $visit<E: Error>(self, value: $value) -> Result<Self::Value, E> {
            self.write(|out| out.push_str(&value.to_string()))
        }
    )*};
}

/// The common part of both visitors: JSON is written the same way, whatever becomes of the text.
trait Written: Sized {
    type Out;

    fn write<E: Error>(self, write: impl FnOnce(&mut String)) -> Result<Self::Out, E> {
        self.try_write(|out| {
            write(out);
            Ok(())
        })
    }

    fn try_write<E: Error>(self, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<Self::Out, E>;
}

impl Written for Text<'_> {
    type Out = ();

    fn try_write<E: Error>(self, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<(), E> {
        write(self.0)
    }
}

impl Written for Whole {
    type Out = Published;

    fn try_write<E: Error>(self, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<Published, E> {
        let mut text = String::new();
        write(&mut text)?;
        let raw = RawValue::from_string(text).map_err(E::custom)?;
        Data::from_client_json(raw).map(Published).map_err(|error| E::custom(format_args!("data: {error}")))
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! visitor {
    ($this:ty, $value:ty, $bytes:expr) => {
        impl<'de> Visitor<'de> for $this {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("data that JSON can express, or bytes alone")
            }

            visit_values!(visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_u128: u128, visit_i128: i128);

            fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
                let number = serde_json::Number::from_f64(value);
                let number = number.ok_or_else(|| E::custom("data has a number that JSON can't express"))?;
                self.write(|out| out.push_str(&number.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                let text = serde_json::to_string(value).map_err(E::custom)?;
                self.write(|out| out.push_str(&text))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                self.write(|out| out.push_str("null"))
            }

            fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
                self.visit_unit()
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                ($bytes)(bytes).ok_or_else(|| E::custom("data contains bytes, which JSON can't express"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                self.try_write(|out| {
                    out.push('[');
                    let mut is_first = true;
                    loop {
                        let end = out.len();
                        if !is_first {
                            out.push(',');
                        }
                        if items.next_element_seed(Text(out))?.is_none() {
                            out.truncate(end);
                            break;
                        }
                        is_first = false;
                    }
                    out.push(']');
                    Ok(())
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                self.try_write(|out| {
                    out.push('{');
                    let mut is_first = true;
                    while let Some(key) = map.next_key::<Key>()? {
                        if !std::mem::take(&mut is_first) {
                            out.push(',');
                        }
                        out.push_str(&key.0);
                        out.push(':');
                        map.next_value_seed(Text(out))?;
                    }
                    out.push('}');
                    Ok(())
                })
            }
        }
    };
}

visitor!(Text<'_>, (), |_: &[u8]| None);
visitor!(Whole, Published, |bytes: &[u8]| Some(Published(Data::Bytes(bytes.to_vec().into()))));

/// The key of a map entry, already written as a JSON string.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl Visitor<'_> for Texts {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string as a key, as in JSON")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Key, E> {
                serde_json::to_string(value).map(Key).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Texts)
    }
}
