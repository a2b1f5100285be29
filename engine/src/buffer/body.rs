//! The body of a delivery: small bodies are copied once into dense memory, large ones are slices of
//! the receive blocks they arrived in.
//!
//! Invariant: the pieces are in order of arrival and their lengths add up to `len`.

use std::borrow::Cow;

use bytes::{Buf as _, Bytes};

use crate::buffer::slice::Slice;

/// The body of a delivery or of a returned publication.
///
/// A large body keeps receive blocks of its connection in use until it is dropped. A consumer that
/// keeps one for long should copy it (`to_vec`).
#[derive(Clone, Debug, Default)]
pub struct Body(Pieces);

#[derive(Clone, Debug, Default)]
enum Pieces {
    #[default]
    Empty,
    /// Bytes from `start` on; what is before belongs to the owner of the body.
    Small {
        bytes: Bytes,
        start: u32,
    },
    One(Slice),
    Many(Vec<Slice>),
}

impl Body {
    pub(crate) fn small(bytes: Bytes) -> Self {
        Self::behind(bytes, 0)
    }

    /// A small body that lies in `bytes` from `start` on, behind something else: both have one
    /// reference count.
    pub(crate) fn behind(bytes: Bytes, start: usize) -> Self {
        // Both are parts of frames, whose sizes have 32 bits.
        Self(Pieces::Small { bytes, start: start as u32 })
    }

    /// What is before a small body in its memory.
    pub(crate) fn before(&self) -> Option<&[u8]> {
        match &self.0 {
            Pieces::Small { bytes, start } if *start > 0 => Some(&bytes[..*start as usize]),
            _ => None,
        }
    }

    /// Appends the next piece.
    pub(crate) fn push(&mut self, piece: Slice) {
        self.0 = match std::mem::take(&mut self.0) {
            Pieces::Empty => Pieces::One(piece),
            Pieces::One(first) => Pieces::Many(vec![first, piece]),
            Pieces::Many(mut pieces) => {
                pieces.push(piece);
                Pieces::Many(pieces)
            }
            Pieces::Small { .. } => unreachable!("small bodies arrive whole"),
        };
    }

    /// Appends the next piece, which lies in no receive block.
    pub(crate) fn push_copy(&mut self, piece: Vec<u8>) {
        self.push(Slice::from(piece));
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Pieces::Empty => 0,
            Pieces::Small { bytes, start } => bytes.len() - *start as usize,
            Pieces::One(slice) => slice.len(),
            Pieces::Many(slices) => slices.iter().map(|slice| slice.len()).sum(),
        }
    }

    /// Returns true for a body of no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the pieces in order, without copying.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (one, many): (Option<&[u8]>, &[Slice]) = match &self.0 {
            Pieces::Empty => (None, &[]),
            Pieces::Small { bytes, start } => (Some(&bytes[*start as usize..]), &[]),
            Pieces::One(slice) => (Some(slice), &[]),
            Pieces::Many(slices) => (None, slices),
        };
        one.into_iter().chain(many.iter().map(AsRef::as_ref))
    }

    /// Returns the whole body as one slice: borrowed if it is one piece, otherwise joined (one
    /// copy).
    #[must_use]
    pub fn contiguous(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            Pieces::Empty => Cow::Borrowed(&[]),
            Pieces::Small { bytes, start } => Cow::Borrowed(&bytes[*start as usize..]),
            Pieces::One(slice) => Cow::Borrowed(slice),
            Pieces::Many(slices) => Cow::Owned(concat(slices)),
        }
    }

    /// Copies the body, so that it keeps no receive block in use.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.contiguous().into_owned()
    }

    /// Copies pieces that lie in receive blocks into memory of their own.
    pub(crate) fn detach(&mut self) {
        if let Pieces::One(_) | Pieces::Many(_) = &self.0 {
            *self = Self::small(self.to_vec().into());
        }
    }

    /// Converts the body into [`Bytes`]: without a copy if it is one piece, otherwise joined.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Pieces::Empty => Bytes::new(),
            Pieces::Small { mut bytes, start } => {
                bytes.advance(start as usize);
                bytes
            }
            Pieces::One(slice) => slice.into_bytes(),
            Pieces::Many(slices) => concat(&slices).into(),
        }
    }
}

/// Joins slices into one vector.
fn concat(slices: &[Slice]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(slices.iter().map(|piece| piece.len()).sum());
    for piece in slices {
        joined.extend_from_slice(piece);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::super::BufferPool;
    use super::*;

    #[test]
    fn pieces_join_in_order() {
        let mut pool = BufferPool::new(4, 2);
        let block = pool.share(vec![1, 2, 3, 4]);
        let mut body = Body::default();
        assert!(body.is_empty());
        body.push(block.slice(0, 2));
        assert_eq!(body.contiguous(), &[1, 2][..]);
        body.push(block.slice(2, 2));
        body.push(block.slice(0, 1));
        assert_eq!(body.len(), 5);
        assert_eq!(body.to_vec(), [1, 2, 3, 4, 1]);
        assert_eq!(&body.into_bytes()[..], &[1, 2, 3, 4, 1]);
    }

    #[test]
    fn a_detached_body_keeps_no_block() {
        let mut pool = BufferPool::new(4, 1);
        let block = pool.take(false).unwrap();
        let block = pool.share(block);
        let mut body = Body::default();
        body.detach();
        assert!(body.is_empty());
        body.push(block.slice(0, 2));
        body.push(block.slice(1, 3));
        pool.put_back(block);
        assert!(pool.take(false).is_none());
        body.detach();
        assert!(pool.take(false).is_some());
        assert_eq!((body.len(), body.pieces().count()), (5, 1));
    }

    #[test]
    fn a_small_body_lies_behind_its_head() {
        let mut body = Body::behind(Bytes::from_static(b"headbody"), 4);
        assert_eq!((body.before(), body.len()), (Some(&b"head"[..]), 4));
        body.detach();
        assert_eq!((body.to_vec(), body.pieces().count()), (b"body".to_vec(), 1));
        assert_eq!(body.into_bytes(), &b"body"[..]);
        assert_eq!(Body::small(Bytes::from_static(b"body")).before(), None);
    }

    #[test]
    fn one_piece_is_not_copied() {
        let mut pool = BufferPool::new(4, 2);
        let block = pool.share(vec![1, 2, 3, 4]);
        let mut body = Body::default();
        body.push(block.slice(1, 3));
        let address = block[1..].as_ptr();
        assert_eq!(body.into_bytes().as_ptr(), address);
    }
}
