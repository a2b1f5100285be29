//! Splits bytes into frames: many frames in one read, and one frame over many reads.
//!
//! Methods and headers are returned whole (joined in `carry` where a block ends inside one); bodies
//! are returned in the pieces in which they arrived, so no body byte is copied here. Invariant:
//! `carry` never grows beyond one frame of the agreed size, because the frame header is checked
//! before anything is stored.

use crate::proto::error::ProtoError;
use crate::wire::error::WireError;
use crate::wire::frame::{FRAME_END, FrameHeader, FrameKind, FrameView};

#[derive(Debug)]
pub(super) struct Inbound {
    frame_max: u32,
    carry: Vec<u8>,
    carry_used: bool,
    body: Option<OpenBody>,
}

/// A body frame whose payload or end octet has not arrived completely.
#[derive(Debug)]
struct OpenBody {
    channel: u16,
    left: usize,
}

/// The next item of the stream.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Frame(FrameView<'a>),
    /// `len` bytes of body, at `start` of the given block; `left` bytes of the frame follow later.
    Piece {
        channel: u16,
        start: usize,
        len: usize,
        left: usize,
    },
}

impl Inbound {
    pub(super) fn new(frame_max: u32) -> Self {
        Self { frame_max, carry: Vec::new(), carry_used: false, body: None }
    }

    pub(super) fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }

    /// Returns the next item of `input` from `*at`, which it advances; `None` if more bytes are
    /// needed.
    pub(super) fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        at: &mut usize,
    ) -> Result<Option<Item<'a>>, ProtoError> {
        if self.carry_used {
            self.carry.clear();
            self.carry_used = false;
        }
        if let Some(body) = &mut self.body {
            let len = body.left.min(input.len() - *at);
            if body.left > 0 {
                let start = *at;
                body.left -= len;
                *at += len;
                let OpenBody { channel, left } = *body;
                return Ok((len > 0).then_some(Item::Piece { channel, start, len, left }));
            }
            let Some(&end) = input.get(*at) else { return Ok(None) };
            if end != FRAME_END {
                return Err(WireError::BadFrameEnd(end).into());
            }
            *at += 1;
            self.body = None;
        }
        if self.carry.is_empty() {
            self.parse_whole(input, at)
        } else {
            self.parse_joined(input, at)
        }
    }

    /// Parses a frame that begins in this block.
    fn parse_whole<'a>(
        &'a mut self,
        input: &'a [u8],
        at: &mut usize,
    ) -> Result<Option<Item<'a>>, ProtoError> {
        let rest = &input[*at..];
        let Some(header) = FrameHeader::parse(rest)? else {
            self.carry_over(input, at, rest.len());
            return Ok(None);
        };
        header.check(self.frame_max)?;
        let size = header.size as usize;
        if header.kind == FrameKind::Body {
            *at += FrameHeader::LEN;
            return self.open_body(header, input, at);
        }
        let total = FrameHeader::LEN + size + 1;
        if rest.len() < total {
            self.carry_over(input, at, rest.len());
            return Ok(None);
        }
        *at += total;
        finish_frame(header, &rest[..total]).map(Some)
    }

    /// Parses a frame that began in an earlier block.
    fn parse_joined<'a>(
        &'a mut self,
        input: &'a [u8],
        at: &mut usize,
    ) -> Result<Option<Item<'a>>, ProtoError> {
        self.fill_carry(input, at, FrameHeader::LEN);
        let Some(header) = FrameHeader::parse(&self.carry)? else { return Ok(None) };
        header.check(self.frame_max)?;
        if header.kind == FrameKind::Body {
            self.carry.clear();
            return self.open_body(header, input, at);
        }
        let total = FrameHeader::LEN + header.size as usize + 1;
        self.fill_carry(input, at, total);
        if self.carry.len() < total {
            return Ok(None);
        }
        self.carry_used = true;
        finish_frame(header, &self.carry).map(Some)
    }

    fn open_body<'a>(
        &'a mut self,
        header: FrameHeader,
        input: &'a [u8],
        at: &mut usize,
    ) -> Result<Option<Item<'a>>, ProtoError> {
        let size = header.size as usize;
        let len = size.min(input.len() - *at);
        let start = *at;
        *at += len;
        let (channel, left) = (header.channel, size - len);
        self.body = Some(OpenBody { channel, left });
        // An empty frame is a piece too; otherwise the rest of this block would be skipped.
        let more = len > 0 || size == 0;
        Ok(more.then_some(Item::Piece { channel, start, len, left }))
    }

    /// Moves bytes into `carry` until it holds `wanted`.
    fn fill_carry(&mut self, input: &[u8], at: &mut usize, wanted: usize) {
        let missing = wanted.saturating_sub(self.carry.len());
        self.carry_over(input, at, missing.min(input.len() - *at));
    }

    fn carry_over(&mut self, input: &[u8], at: &mut usize, len: usize) {
        self.carry.extend_from_slice(&input[*at..*at + len]);
        *at += len;
    }
}

fn finish_frame(header: FrameHeader, bytes: &[u8]) -> Result<Item<'_>, ProtoError> {
    let (&end, rest) = bytes.split_last().expect("a frame has an end octet");
    if end != FRAME_END {
        return Err(WireError::BadFrameEnd(end).into());
    }
    let payload = &rest[FrameHeader::LEN..];
    Ok(Item::Frame(FrameView { kind: header.kind, channel: header.channel, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: &[u8] = &[
        1, 0, 1, 0, 0, 0, 4, 0, 20, 0, 11, 0xCE, // channel.open-ok, without its longstr
        3, 0, 1, 0, 0, 0, 3, 7, 8, 9, 0xCE, // three bytes of body
        8, 0, 0, 0, 0, 0, 0, 0xCE, // heartbeat
    ];

    fn walk(step: usize) -> Vec<(u8, u16, Vec<u8>)> {
        let mut inbound = Inbound::new(4096);
        let mut seen: Vec<(u8, u16, Vec<u8>)> = Vec::new();
        for chunk in FRAMES.chunks(step) {
            let mut at = 0;
            while let Some(item) = inbound.next(chunk, &mut at).unwrap() {
                match item {
                    Item::Frame(frame) => {
                        seen.push((frame.kind as u8, frame.channel, frame.payload.to_vec()));
                    }
                    Item::Piece { channel, start, len, .. } => match seen.last_mut() {
                        Some((3, _, body)) => body.extend_from_slice(&chunk[start..start + len]),
                        _ => seen.push((3, channel, chunk[start..start + len].to_vec())),
                    },
                }
            }
            assert!(at == chunk.len() || inbound.body.is_some() || !inbound.carry.is_empty());
        }
        seen
    }

    #[test]
    fn the_sizes_of_reads_do_not_change_the_frames() {
        let whole = walk(FRAMES.len());
        assert_eq!(whole[0], (1, 1, vec![0, 20, 0, 11]));
        assert_eq!(whole[1], (3, 1, vec![7, 8, 9]));
        assert_eq!(whole[2], (8, 0, vec![]));
        for step in 1..FRAMES.len() {
            assert_eq!(walk(step), whole, "in steps of {step}");
        }
    }

    #[test]
    fn an_oversized_length_is_refused_before_anything_is_stored() {
        let mut inbound = Inbound::new(4096);
        let huge = [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF];
        let error = inbound.next(&huge, &mut 0).unwrap_err();
        assert!(matches!(error, ProtoError::Wire(WireError::FrameTooLarge { .. })));
        assert!(inbound.carry.capacity() < 64);
    }

    #[test]
    fn a_wrong_end_octet_is_an_error_for_bodies_too() {
        for bytes in [&[8, 0, 0, 0, 0, 0, 0, 0xCD][..], &[3, 0, 1, 0, 0, 0, 1, 9, 0xCD]] {
            let mut inbound = Inbound::new(4096);
            let mut at = 0;
            let error = loop {
                match inbound.next(bytes, &mut at) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error, WireError::BadFrameEnd(0xCD).into());
        }
    }
}
