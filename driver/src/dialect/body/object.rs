//! An object written member by member, in whatever serialisation.
//!
//! JSON and msgpack go straight into the body; for a serialiser of the user's own the members are
//! gathered first. Not here: which members a message has.

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::{Map, Value};

use crate::codec::error::WriteError;
use crate::codec::json;
use crate::codec::msgpack;
use crate::codec::serialization::{BodySerializer, Serialization};
use crate::dialect::error::EncodeError;

/// An object under construction.
pub(in crate::dialect) struct Object<'o> {
    out: &'o mut Vec<u8>,
    members: Members<'o>,
}

enum Members<'o> {
    Json { is_first: bool },
    MsgPack,
    Gathered(Map<String, Value>, &'o dyn BodySerializer),
}

impl<'o> Object<'o> {
    /// An object that gets `length` members, appended to `out`.
    pub(in crate::dialect) fn begin(
        out: &'o mut Vec<u8>,
        serialization: &'o Serialization,
        length: usize,
    ) -> Self {
        let members = match serialization {
            Serialization::Json => {
                out.push(b'{');
                Members::Json { is_first: true }
            }
            Serialization::MsgPack => {
                msgpack::push_map(out, length as u32);
                Members::MsgPack
            }
            Serialization::Custom(serializer) => Members::Gathered(Map::new(), &**serializer),
        };
        Self { out, members }
    }

    /// A member that is text.
    pub(in crate::dialect) fn text(&mut self, key: &str, text: &str) -> Result<(), WriteError> {
        self.key("", key)?;
        match &mut self.members {
            Members::Json { .. } => push_quoted(self.out, &[text]),
            Members::MsgPack => {
                msgpack::push_str(self.out, text)?;
            }
            Members::Gathered(map, _) => drop(map.insert(key.to_owned(), text.into())),
        }
        Ok(())
    }

    /// A member of any type.
    pub(in crate::dialect) fn value<T: Serialize + ?Sized>(
        &mut self,
        prefix: &str,
        key: &str,
        value: &T,
    ) -> Result<(), WriteError> {
        self.key(prefix, key)?;
        match &mut self.members {
            Members::Json { .. } => json::write::<0, T>(self.out, value),
            Members::MsgPack => msgpack::write(self.out, value),
            Members::Gathered(map, _) => {
                let value = serde_json::to_value(value).map_err(WriteError::custom)?;
                map.insert(format!("{prefix}{key}"), value);
                Ok(())
            }
        }
    }

    /// The arguments of a request: an object by their names; nothing at all is the empty one.
    pub(in crate::dialect) fn arguments<A: Serialize + ?Sized>(
        &mut self,
        key: &str,
        args: &A,
    ) -> Result<(), EncodeError> {
        let start = self.out.len() + self.key_length(key);
        self.value("", key, args)?;
        let (is_object, empty): (bool, &[u8]) = match &mut self.members {
            Members::Json { .. } => match &self.out[start..] {
                [b'{', ..] => return Ok(()),
                written => (written == b"null", b"{}"),
            },
            Members::MsgPack => match &self.out[start..] {
                written if msgpack::is_map(written) => return Ok(()),
                written => (written == msgpack::NIL, &msgpack::EMPTY_MAP),
            },
            Members::Gathered(map, _) => match map.get_mut(key) {
                Some(Value::Object(_)) => return Ok(()),
                Some(nothing @ Value::Null) => {
                    *nothing = Value::Object(Map::new());
                    return Ok(());
                }
                _ => return Err(EncodeError::BareArguments),
            },
        };
        if !is_object {
            return Err(EncodeError::BareArguments);
        }
        self.out.truncate(start);
        self.out.extend_from_slice(empty);
        Ok(())
    }

    /// Nothing more follows.
    pub(in crate::dialect) fn end(self) -> Result<(), WriteError> {
        match self.members {
            Members::Json { .. } => self.out.push(b'}'),
            Members::MsgPack => {}
            Members::Gathered(map, serializer) => {
                let body = serializer.encode(&Value::Object(map)).map_err(WriteError::custom)?;
                self.out.extend_from_slice(&body);
            }
        }
        Ok(())
    }

    fn key(&mut self, prefix: &str, key: &str) -> Result<(), WriteError> {
        match &mut self.members {
            Members::Json { is_first } => {
                if !std::mem::take(is_first) {
                    self.out.extend_from_slice(b", ");
                }
                push_quoted(self.out, &[prefix, key]);
                self.out.extend_from_slice(b": ");
            }
            Members::MsgPack => match prefix {
                "" => msgpack::push_str(self.out, key)?,
                prefix => msgpack::push_str(self.out, &[prefix, key].concat())?,
            },
            Members::Gathered(..) => {}
        }
        Ok(())
    }

    /// Bytes that [`Self::key`] appends for a key of plain letters.
    fn key_length(&self, key: &str) -> usize {
        match &self.members {
            Members::Json { is_first: true } => key.len() + 4,
            Members::Json { .. } => key.len() + 6,
            Members::MsgPack => key.len() + 1,
            Members::Gathered(..) => 0,
        }
    }
}

fn push_quoted(out: &mut Vec<u8>, parts: &[&str]) {
    out.extend_from_slice(json::quote::<0>());
    parts.iter().for_each(|part| json::push_text::<0>(out, part));
    out.extend_from_slice(json::quote::<0>());
}
