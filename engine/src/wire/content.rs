//! Bodies as frames (AMQP 4.2.6.2): a body is cut so that no frame exceeds the agreed size, and an
//! empty body has no frame.
//!
//! [`write_body_frames`] copies an existing body; [`open_body`] and [`seal_body`] frame a body that
//! is written in place, and move it only if it needs more than one frame.

use crate::wire::cursor::len_u32;
use crate::wire::frame::{FRAME_END, FRAME_OVERHEAD, FrameHeader, FrameKind, put_frame_header};

/// Returns the number of body bytes that fit one frame of `frame_max` bytes.
///
/// AMQP 4.2.3 requires peers to agree on at least 4096; for a limit that is too small for any body
/// this returns 1, so that framing always ends.
#[inline]
#[must_use]
pub fn body_frame_max(frame_max: u32) -> usize {
    let room = frame_max.saturating_sub(FRAME_OVERHEAD).max(1);
    usize::try_from(room).expect("a frame size fits the address space")
}

/// Appends `body` as body frames on `channel`.
#[inline]
pub fn write_body_frames(out: &mut Vec<u8>, channel: u16, body: &[u8], frame_max: u32) {
    let room = body_frame_max(frame_max);
    if body.len() > room {
        body.chunks(room).for_each(|piece| write_body_frame(out, channel, piece));
    } else if !body.is_empty() {
        write_body_frame(out, channel, body);
    }
}

#[inline]
fn write_body_frame(out: &mut Vec<u8>, channel: u16, piece: &[u8]) {
    out.reserve(piece.len() + FRAME_OVERHEAD as usize);
    put_frame_header(out, FrameKind::Body, channel, len_u32(piece.len()));
    out.extend_from_slice(piece);
    out.push(FRAME_END);
}

/// Reserves the header of the first body frame; the caller then appends the body and passes the
/// returned offset to [`seal_body`].
#[must_use]
pub fn open_body(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.resize(start + FrameHeader::LEN, 0);
    start
}

/// Frames the bytes appended since [`open_body`] returned `start`; returns their number.
///
/// # Panics
/// If `out` was shortened below `start`.
pub fn seal_body(out: &mut Vec<u8>, start: usize, channel: u16, frame_max: u32) -> usize {
    let first = start + FrameHeader::LEN;
    let len = out.len().checked_sub(first).expect("a body is only appended to");
    if len == 0 {
        out.truncate(start);
        return 0;
    }
    let room = body_frame_max(frame_max);
    let stride = room + FrameHeader::LEN + 1;
    let frames = len.div_ceil(room);
    out.resize(first + len + (frames - 1) * (FrameHeader::LEN + 1) + 1, 0);
    // From the back: the last piece moves farthest, so no piece is overwritten before it has moved.
    for index in (0..frames).rev() {
        let piece = index * room..len.min((index + 1) * room);
        let at = first + index * stride;
        out.copy_within(first + piece.start..first + piece.end, at);
        out[at + piece.len()] = FRAME_END;
        put_header_at(&mut out[at - FrameHeader::LEN..at], channel, len_u32(piece.len()));
    }
    len
}

fn put_header_at(header: &mut [u8], channel: u16, size: u32) {
    header[0] = FrameKind::Body as u8;
    header[1..3].copy_from_slice(&channel.to_be_bytes());
    header[3..7].copy_from_slice(&size.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameView, Parsed};

    fn bodies(mut bytes: &[u8], frame_max: u32) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while !bytes.is_empty() {
            let Ok(Parsed::Complete { frame, used }) = FrameView::parse(bytes, frame_max) else {
                panic!("no whole frame in {bytes:?}");
            };
            assert_eq!((frame.kind, frame.channel), (FrameKind::Body, 9));
            bodies.push(frame.payload.to_vec());
            bytes = &bytes[used..];
        }
        bodies
    }

    #[test]
    fn a_body_is_cut_at_the_agreed_size() {
        let body: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for (len, frames) in [(0, 0), (1, 1), (92, 1), (93, 2), (184, 2), (185, 3), (1000, 11)] {
            let mut out = Vec::new();
            write_body_frames(&mut out, 9, &body[..len], 100);
            let pieces = bodies(&out, 100);
            assert_eq!(pieces.len(), frames, "{len} bytes");
            assert_eq!(pieces.concat(), body[..len]);
        }
    }

    #[test]
    fn a_body_written_in_place_has_the_same_frames() {
        let body: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for len in [0, 1, 91, 92, 93, 183, 184, 185, 276, 277, 1000] {
            let mut copied = b"head".to_vec();
            write_body_frames(&mut copied, 9, &body[..len], 100);
            let mut in_place = b"head".to_vec();
            let start = open_body(&mut in_place);
            in_place.extend_from_slice(&body[..len]);
            assert_eq!(seal_body(&mut in_place, start, 9, 100), len);
            assert_eq!(in_place, copied, "{len} bytes");
        }
    }

    #[test]
    fn a_frame_limit_without_room_still_ends() {
        let mut out = Vec::new();
        write_body_frames(&mut out, 9, b"abc", 0);
        assert_eq!(bodies(&out, 9).len(), 3);
    }
}
