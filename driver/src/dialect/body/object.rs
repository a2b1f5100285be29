//! Writes the object of a body member by member, in each serialization.
//!
//! JSON and msgpack are written into the body directly. For a serializer of the user's own the
//! members are collected first. Invariant: on an error the output is as long as before. Not here:
//! which members a message has (`fields`).

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::{Map, Value};

use crate::codec::error::WriteError;
use crate::codec::serialization::{BodySerializer, Serialization};
use crate::codec::{json, msgpack};
use crate::dialect::body::keys::{ENTRY_COLON, ENTRY_OPEN, Key};
use crate::dialect::error::EncodeError;
use crate::message::ids::Hex32;

/// The members of a body, in their order. The first one has a key that begins an object.
pub(in crate::dialect) trait Members {
    type Error: From<WriteError>;

    /// Writes each member.
    fn write<O: ObjectWriter>(&self, object: &mut O) -> Result<(), Self::Error>;
}

/// Writes members of an object.
pub(in crate::dialect) trait ObjectWriter: Sized {
    /// Writes text.
    fn text(&mut self, key: &Key, text: &str) -> Result<(), WriteError>;

    /// Writes an id.
    fn id(&mut self, key: &Key, id: &Hex32) -> Result<(), WriteError>;

    /// Writes a value of any type.
    fn value<T: Serialize + ?Sized>(&mut self, key: &Key, value: &T) -> Result<(), WriteError>;

    /// Writes the arguments of a request: an object, or an empty one for null.
    fn arguments<A: Serialize + ?Sized>(&mut self, key: &Key, args: &A) -> Result<(), EncodeError>;

    /// Writes an entry of a context.
    fn entry(&mut self, prefix: &str, key: &str, value: &Value) -> Result<(), WriteError>;

    /// Ends the object.
    fn end(self) -> Result<(), WriteError>;
}

/// Appends an object in `serialization`. `count` returns the number of its members, which msgpack
/// writes first.
pub(in crate::dialect) fn encode<M: Members>(
    out: &mut Vec<u8>,
    serialization: &Serialization,
    count: impl FnOnce() -> usize,
    members: &M,
) -> Result<(), M::Error> {
    let start = out.len();
    let written = match serialization {
        Serialization::Json => return encode_json::<0, M>(out, members),
        Serialization::MsgPack => write(MsgPackObject::begin(out, count()), members),
        Serialization::Custom(serializer) => {
            write(CustomObject { out, members: Map::new(), serializer: &**serializer }, members)
        }
    };
    written.inspect_err(|_| out.truncate(start))
}

/// Appends an object of JSON as the content of `LEVEL` enclosing JSON strings.
pub(in crate::dialect) fn encode_json<const LEVEL: usize, M: Members>(
    out: &mut Vec<u8>,
    members: &M,
) -> Result<(), M::Error> {
    let start = out.len();
    write(JsonObject::<LEVEL> { out }, members).inspect_err(|_| out.truncate(start))
}

#[inline]
fn write<O: ObjectWriter, M: Members>(mut object: O, members: &M) -> Result<(), M::Error> {
    members.write(&mut object)?;
    Ok(object.end()?)
}

/// Writes JSON as the content of `LEVEL` enclosing JSON strings. The first key has the opening
/// brace.
struct JsonObject<'o, const LEVEL: usize> {
    out: &'o mut Vec<u8>,
}

impl<const LEVEL: usize> JsonObject<'_, LEVEL> {
    const QUOTE: &'static [u8] = json::quote::<LEVEL>();

    /// Writes a key and the quote that begins its text.
    #[inline]
    fn key_of_text(&mut self, key: &Key) {
        self.out.extend_from_slice(key.json[LEVEL].as_bytes());
    }

    /// Writes a key, without a quote for the value.
    #[inline]
    fn key(&mut self, key: &Key) {
        let text = key.json[LEVEL].as_bytes();
        self.out.extend_from_slice(&text[..text.len() - Self::QUOTE.len()]);
    }
}

impl<const LEVEL: usize> ObjectWriter for JsonObject<'_, LEVEL> {
    #[inline]
    fn text(&mut self, key: &Key, text: &str) -> Result<(), WriteError> {
        self.key_of_text(key);
        json::push_text::<LEVEL>(self.out, text);
        self.out.extend_from_slice(Self::QUOTE);
        Ok(())
    }

    #[inline]
    fn id(&mut self, key: &Key, id: &Hex32) -> Result<(), WriteError> {
        self.key_of_text(key);
        self.out.extend_from_slice(id.as_bytes());
        self.out.extend_from_slice(Self::QUOTE);
        Ok(())
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, key: &Key, value: &T) -> Result<(), WriteError> {
        self.key(key);
        json::write::<LEVEL, T>(self.out, value)
    }

    #[inline]
    fn arguments<A: Serialize + ?Sized>(&mut self, key: &Key, args: &A) -> Result<(), EncodeError> {
        self.key(key);
        write_json_arguments::<LEVEL, A>(self.out, args)
    }

    #[inline]
    fn entry(&mut self, prefix: &str, key: &str, value: &Value) -> Result<(), WriteError> {
        self.out.extend_from_slice(ENTRY_OPEN[LEVEL].as_bytes());
        self.out.extend_from_slice(prefix.as_bytes());
        json::push_text::<LEVEL>(self.out, key);
        self.out.extend_from_slice(ENTRY_COLON[LEVEL].as_bytes());
        json::write::<LEVEL, _>(self.out, value)
    }

    #[inline]
    fn end(self) -> Result<(), WriteError> {
        self.out.push(b'}');
        Ok(())
    }
}

/// Appends the arguments of a request as JSON: an object, or an empty one for null.
#[inline]
pub(in crate::dialect) fn write_json_arguments<const LEVEL: usize, A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    args: &A,
) -> Result<(), EncodeError> {
    let start = out.len();
    json::write::<LEVEL, A>(out, args)?;
    match &out[start..] {
        [b'{', ..] => Ok(()),
        b"null" => {
            out.truncate(start);
            out.extend_from_slice(b"{}");
            Ok(())
        }
        _ => Err(EncodeError::BareArguments),
    }
}

/// Writes msgpack.
struct MsgPackObject<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> MsgPackObject<'o> {
    fn begin(out: &'o mut Vec<u8>, count: usize) -> Self {
        msgpack::push_map(out, count as u32);
        Self { out }
    }

    fn string(&mut self, text: &str) -> Result<(), WriteError> {
        msgpack::push_str(self.out, text)
    }
}

impl ObjectWriter for MsgPackObject<'_> {
    fn text(&mut self, key: &Key, text: &str) -> Result<(), WriteError> {
        self.string(key.name)?;
        self.string(text)
    }

    fn id(&mut self, key: &Key, id: &Hex32) -> Result<(), WriteError> {
        self.text(key, id.as_str())
    }

    fn value<T: Serialize + ?Sized>(&mut self, key: &Key, value: &T) -> Result<(), WriteError> {
        self.string(key.name)?;
        msgpack::write(self.out, value)
    }

    fn arguments<A: Serialize + ?Sized>(&mut self, key: &Key, args: &A) -> Result<(), EncodeError> {
        self.string(key.name)?;
        let start = self.out.len();
        msgpack::write(self.out, args)?;
        match &self.out[start..] {
            written if msgpack::is_map(written) => Ok(()),
            written if written == msgpack::NIL => {
                self.out.truncate(start);
                self.out.extend_from_slice(&msgpack::EMPTY_MAP);
                Ok(())
            }
            _ => Err(EncodeError::BareArguments),
        }
    }

    fn entry(&mut self, prefix: &str, key: &str, value: &Value) -> Result<(), WriteError> {
        self.string(&[prefix, key].concat())?;
        msgpack::write(self.out, value)
    }

    fn end(self) -> Result<(), WriteError> {
        Ok(())
    }
}

/// Collects the members for a serializer of the user's own.
struct CustomObject<'o> {
    out: &'o mut Vec<u8>,
    members: Map<String, Value>,
    serializer: &'o dyn BodySerializer,
}

impl ObjectWriter for CustomObject<'_> {
    fn text(&mut self, key: &Key, text: &str) -> Result<(), WriteError> {
        self.members.insert(key.name.to_owned(), text.into());
        Ok(())
    }

    fn id(&mut self, key: &Key, id: &Hex32) -> Result<(), WriteError> {
        self.text(key, id.as_str())
    }

    fn value<T: Serialize + ?Sized>(&mut self, key: &Key, value: &T) -> Result<(), WriteError> {
        let value = serde_json::to_value(value).map_err(WriteError::custom)?;
        self.members.insert(key.name.to_owned(), value);
        Ok(())
    }

    fn arguments<A: Serialize + ?Sized>(&mut self, key: &Key, args: &A) -> Result<(), EncodeError> {
        let value = match serde_json::to_value(args).map_err(WriteError::custom)? {
            Value::Null => Value::Object(Map::new()),
            value @ Value::Object(_) => value,
            _ => return Err(EncodeError::BareArguments),
        };
        self.members.insert(key.name.to_owned(), value);
        Ok(())
    }

    fn entry(&mut self, prefix: &str, key: &str, value: &Value) -> Result<(), WriteError> {
        self.members.insert(format!("{prefix}{key}"), value.clone());
        Ok(())
    }

    fn end(self) -> Result<(), WriteError> {
        let body = self.serializer.encode(&Value::Object(self.members));
        self.out.extend_from_slice(&body.map_err(WriteError::custom)?);
        Ok(())
    }
}
