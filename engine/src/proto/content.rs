//! Assembles method, header and body frames into one content.
//!
//! Small contents are copied once into dense memory that many of them share (`arena`); pieces of
//! large bodies stay slices of the blocks they arrived in. A piece much smaller than its block is
//! copied, so that a body which arrives in tiny pieces does not keep a block for each. A body above
//! the limit is read and dropped except for its end and its checksum, because one message must not
//! cost the connection. Invariant: a body never grows beyond the size its header announced, and an
//! announced size allocates nothing.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::buffer::{Block, Body};
use crate::proto::error::ProtoError;
use crate::wire::hot::{Deliver, HotMethod, Return};
use crate::wire::properties::{ContentHeader, PropertiesView};

/// Bodies up to this size are copied, larger ones sliced. A slice of a 140-byte body costs as much
/// as its copy and keeps a whole receive block in use; at 64 KiB the slice is eighty times cheaper.
const COPY_MAX: u64 = 1024;
/// A piece of a large body is copied if it is smaller than this part of its block, so an arriving
/// body keeps at most ten bytes for each of its own. The smallest frames of RabbitMQ, 8192 bytes,
/// stay slices of a block of 64 KiB.
const BLOCK_PART: usize = 10;
/// The arena grows in steps of this many bytes; a step is freed when its last content is dropped.
const ARENA_STEP: usize = 64 * 1024;

/// No broker sends a body above this: RabbitMQ accepts 512 MiB at most.
const BODY_HARD_MAX: u64 = 1 << 32;
/// Number of bytes kept from the end of a dropped body, where envelopes have their identifiers.
const TAIL_BYTES: usize = 16 << 10;

/// A content that has arrived completely.
#[derive(Debug)]
pub(super) enum Completed {
    Content(Content),
    /// Its body was above the limit and was dropped: a delivery keeps the end of its body, a return
    /// nothing.
    Oversized {
        content: Content,
        size: u64,
        body: crc32fast::Hasher,
    },
}

/// A complete content: the payloads of its method and header frames, and its body.
#[derive(Debug)]
pub(crate) struct Content {
    /// Both payloads, unless they lie before a small body.
    head: Bytes,
    method_len: usize,
    body: Body,
}

impl Content {
    fn head(&self) -> &[u8] {
        self.body.before().unwrap_or(&self.head)
    }

    /// Returns the `basic.deliver` of this content.
    pub(crate) fn deliver(&self) -> Option<Deliver<'_>> {
        match HotMethod::parse(&self.head()[..self.method_len]) {
            Ok(Some(HotMethod::Deliver(deliver))) => Some(deliver),
            _ => None,
        }
    }

    /// Returns the `basic.return` of this content.
    pub(crate) fn returned(&self) -> Option<Return<'_>> {
        match HotMethod::parse(&self.head()[..self.method_len]) {
            Ok(Some(HotMethod::Return(returned))) => Some(returned),
            _ => None,
        }
    }

    /// Returns true for a return: `basic.return` is method 50 of class 60.
    pub(crate) fn is_return(&self) -> bool {
        self.head()[..4] == [0, 60, 0, 50]
    }

    pub(crate) fn properties(&self) -> PropertiesView<'_> {
        ContentHeader::parse(&self.head()[self.method_len..])
            .expect("checked when the header arrived")
            .properties
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn detach(&mut self) {
        self.body.detach();
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }
}

/// Bytes of a body frame: `start..start + len` of a block. `left` bytes of the frame follow later.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) block: &'a Block,
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) left: usize,
}

impl Piece<'_> {
    /// Returns how much of a body is missing after this piece; `None` if its frame exceeds the
    /// body. So a frame is refused as a whole, whatever the sizes of reads.
    fn subtract_from(&self, missing: u64) -> Option<u64> {
        let len = self.len as u64;
        (len + self.left as u64 <= missing).then(|| missing - len)
    }
}

/// The content that is arriving on one channel.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    state: State,
    head: Vec<u8>,
    method_len: usize,
    header_end: usize,
    checked: CheckedHeader,
    body: Body,
    /// Copied pieces that follow those in `body`.
    copied: Vec<u8>,
    /// State of a body that is dropped.
    skipped: Skipped,
}

/// The last content header that was checked. Most messages of a channel have the same properties,
/// and comparing them costs less than parsing.
#[derive(Debug, Default)]
struct CheckedHeader(Vec<u8>);

impl CheckedHeader {
    /// Longer headers are not kept.
    const KEPT_MAX: usize = 512;
    /// Where the body size is.
    const SIZE: Range<usize> = 4..12;

    /// Returns the body size of a header, after checking it.
    fn body_size(&mut self, payload: &[u8]) -> Result<u64, ProtoError> {
        let Range { start, end } = Self::SIZE;
        // A header that was checked has a size, so one as long has it, too.
        let is_known = !self.0.is_empty()
            && payload.len() == self.0.len()
            && payload[end..] == self.0[end..]
            && payload[..start] == self.0[..start];
        match payload.get(Self::SIZE).and_then(<[u8]>::first_chunk) {
            Some(size) if is_known => Ok(u64::from_be_bytes(*size)),
            _ => self.check(payload),
        }
    }

    fn check(&mut self, payload: &[u8]) -> Result<u64, ProtoError> {
        let size = ContentHeader::parse(payload)?.body_size;
        self.0.clear();
        if payload.len() <= Self::KEPT_MAX {
            self.0.extend_from_slice(payload);
        }
        Ok(size)
    }
}

/// The part of a dropped body that is kept.
#[derive(Debug, Default)]
struct Skipped {
    size: u64,
    digest: crc32fast::Hasher,
    tail: Vec<u8>,
}

impl Skipped {
    fn push(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(TAIL_BYTES)..]);
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }
}

#[derive(Debug, Default, PartialEq)]
enum State {
    #[default]
    Idle,
    Header,
    Body {
        left: u64,
        small: bool,
    },
    Skipping {
        left: u64,
    },
}

impl Assembly {
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Returns true while part of a large body is missing: its blocks may exceed the pool's limit.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self.state, State::Body { small: false, .. })
    }

    /// A method that carries content has arrived.
    pub(super) fn begin(&mut self, method: &[u8]) {
        self.head.clear();
        self.head.extend_from_slice(method);
        self.method_len = method.len();
        self.state = State::Header;
    }

    /// The content header has arrived; a content without a body is complete.
    pub(super) fn header(
        &mut self,
        channel: u16,
        payload: &[u8],
        body_max: u64,
        arena: &mut BytesMut,
    ) -> Result<Option<Completed>, ProtoError> {
        if self.state != State::Header {
            return Err(ProtoError::Unexpected { what: "content header", channel });
        }
        let size = self.checked.body_size(payload)?;
        if size > BODY_HARD_MAX {
            return Err(ProtoError::BodyTooLarge { size, max: body_max });
        }
        self.head.extend_from_slice(payload);
        self.header_end = self.head.len();
        if size > body_max {
            self.skipped.size = size;
            self.state = State::Skipping { left: size };
            return Ok(None);
        }
        self.state = State::Body { left: size, small: size <= COPY_MAX };
        Ok((size == 0).then(|| Completed::Content(self.finish(arena))))
    }

    /// More of the body has arrived.
    pub(super) fn piece(
        &mut self,
        channel: u16,
        piece: Piece<'_>,
        arena: &mut BytesMut,
    ) -> Result<Option<Completed>, ProtoError> {
        if let State::Skipping { left } = self.state {
            return self.skip(channel, &piece, left, arena);
        }
        let State::Body { left, small } = &mut self.state else {
            return Err(ProtoError::Unexpected { what: "body frame", channel });
        };
        let rest = piece.subtract_from(*left).ok_or(ProtoError::BodyOverrun { channel })?;
        let Piece { block, start, len, .. } = piece;
        if len == 0 {
            return Ok(None);
        }
        *left = rest;
        if *small {
            self.head.extend_from_slice(&block[start..start + len]);
        } else {
            self.keep(block, start, len, rest == 0);
        }
        Ok((rest == 0).then(|| Completed::Content(self.finish(arena))))
    }

    /// Keeps a piece of a large body, as a slice or as a copy.
    fn keep(&mut self, block: &Block, start: usize, len: usize, is_last: bool) {
        let is_first = self.body.is_empty() && self.copied.is_empty();
        if len < block.len() / BLOCK_PART && !(is_first && is_last) {
            self.copied.extend_from_slice(&block[start..start + len]);
        } else {
            self.push_copied();
            self.body.push(block.slice(start, len));
        }
        if is_last {
            self.push_copied();
        }
    }

    fn push_copied(&mut self) {
        if !self.copied.is_empty() {
            self.body.push_copy(std::mem::take(&mut self.copied));
        }
    }

    /// More of a dropped body has arrived.
    #[cold]
    fn skip(
        &mut self,
        channel: u16,
        piece: &Piece<'_>,
        left: u64,
        arena: &mut BytesMut,
    ) -> Result<Option<Completed>, ProtoError> {
        let left = piece.subtract_from(left).ok_or(ProtoError::BodyOverrun { channel })?;
        self.skipped.push(&piece.block[piece.start..piece.start + piece.len]);
        self.state = State::Skipping { left };
        if left > 0 {
            return Ok(None);
        }
        let Skipped { size, digest, mut tail } = std::mem::take(&mut self.skipped);
        let content = self.finish(arena);
        let end =
            if content.is_return() { tail.len() } else { tail.len().saturating_sub(TAIL_BYTES) };
        tail.drain(..end);
        let content = Content { body: Body::small(tail.into()), ..content };
        Ok(Some(Completed::Oversized { content, size, body: digest }))
    }

    fn finish(&mut self, arena: &mut BytesMut) -> Content {
        self.state = State::Idle;
        if arena.capacity() < self.head.len() {
            arena.reserve(ARENA_STEP.max(self.head.len()));
        }
        arena.extend_from_slice(&self.head);
        let copied = arena.split().freeze();
        let (head, body) = if self.head.len() > self.header_end {
            (Bytes::new(), Body::behind(copied, self.header_end))
        } else {
            (copied, std::mem::take(&mut self.body))
        };
        Content { head, method_len: self.method_len, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BufferPool;

    /// Assembles a body from pieces of these lengths, each in a block of its own; at most
    /// `blocks_max` blocks are in use at once.
    fn assembled(lengths: &[usize], blocks_max: usize) -> Body {
        let (mut assembly, mut arena) = (Assembly::default(), BytesMut::new());
        let mut pool = BufferPool::new(4096, blocks_max);
        let body_size = lengths.iter().sum::<usize>() as u64;
        let mut header = Vec::new();
        ContentHeader { body_size, ..ContentHeader::default() }.encode_frame(1, &mut header);
        let payload = &header[7..header.len() - 1];
        assembly.begin(&[0, 60, 0, 60]);
        assert!(assembly.header(1, payload, body_size, &mut arena).unwrap().is_none());
        let mut bytes = (0..=255).cycle();
        for &len in lengths {
            let mut block = pool.take(false).expect("a block is free");
            block[..len].fill_with(|| bytes.next().unwrap());
            let block = pool.share(block);
            let piece = Piece { block: &block, start: 0, len, left: 0 };
            let done = assembly.piece(1, piece, &mut arena).unwrap();
            pool.put_back(block);
            if let Some(Completed::Content(content)) = done {
                return content.into_body();
            }
        }
        panic!("the body is incomplete");
    }

    #[test]
    fn tiny_pieces_of_a_large_body_keep_no_blocks() {
        let body = assembled(&[1; 5000], 1);
        assert_eq!(body.pieces().count(), 1);
        assert!(body.to_vec().into_iter().eq((0..=255).cycle().take(5000)));
    }

    #[test]
    fn large_pieces_stay_slices_between_copied_ones() {
        let body = assembled(&[4096, 10, 20, 410, 30, 2000, 408], 8);
        let lengths: Vec<usize> = body.pieces().map(<[u8]>::len).collect();
        assert_eq!(lengths, [4096, 30, 410, 30, 2000, 408]);
        assert!(body.to_vec().into_iter().eq((0..=255).cycle().take(6974)));
    }
}
