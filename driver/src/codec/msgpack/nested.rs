//! The elements of an array or a map, and the content of an enum's variant.
//!
//! Invariant: a size hint is at most the number of bytes left. A visitor that leaves elements
//! unread is an error, as with `serde_json`: an array of three is not a tuple of two.

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, Visitor};

use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::key::{Key, key_text};
use crate::codec::msgpack::reader::Reader;

/// The elements left in an array or a map.
pub(super) struct Elements<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
    pub(super) left: u32,
}

impl Elements<'_, '_> {
    /// Returns an error if elements are left.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.left {
            0 => Ok(()),
            left => Err(de::Error::custom(format_args!("{left} more elements than expected"))),
        }
    }

    fn hint(&self) -> Option<usize> {
        usize::try_from(self.left).ok().map(|left| left.min(self.reader.input.remaining()))
    }

    /// Counts one element. Returns false if none is left.
    fn begin(&mut self) -> bool {
        let any = self.left > 0;
        self.left -= u32::from(any);
        any
    }
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.begin() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::MapAccess<'de> for &mut Elements<'_, 'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.begin() {
            return Ok(None);
        }
        let key = key_text(self.reader.input.token()?)?;
        seed.deserialize(Key(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// A map of one entry: the name of an enum's variant and its content.
pub(super) struct Variant<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = key_text(self.reader.input.token()?)?;
        Ok((seed.deserialize(Key(name))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self.reader)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader.deserialize_any(visitor)
    }
}
