//! The frame (AMQP 4.2.3): type, channel, size, payload, end octet.
//!
//! ```text
//! 0      1         3             7                     size+7 size+8
//! +------+---------+-------------+---------------------+-----------+
//! | type | channel |    size     |       payload       | 0xCE      |
//! +------+---------+-------------+---------------------+-----------+
//! ```
//! Invariant: a [`FrameView`] was whole, ended with 0xCE and was not larger than allowed. This
//! module does not interpret payloads; a heartbeat may carry one, which the reader should ignore.

use crate::wire::cursor::len_u32;
use crate::wire::error::WireError;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;

/// Bytes of a frame that are not payload: header and end octet.
pub const FRAME_OVERHEAD: u32 = 8;

/// The first bytes that a client sends (AMQP 4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// A whole heartbeat frame.
pub const HEARTBEAT_FRAME: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, FRAME_END];

/// The type octet of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A method and its arguments.
    Method = 1,
    /// The content header of the method before it: body size and properties.
    Header = 2,
    /// A piece of a body.
    Body = 3,
    /// A heartbeat, on channel 0.
    Heartbeat = 8,
}

impl FrameKind {
    /// Returns the frame type of an octet.
    ///
    /// # Errors
    /// [`WireError::BadFrameKind`].
    #[inline]
    pub fn from_octet(octet: u8) -> Result<Self, WireError> {
        match octet {
            1 => Ok(Self::Method),
            2 => Ok(Self::Header),
            3 => Ok(Self::Body),
            8 => Ok(Self::Heartbeat),
            other => Err(WireError::BadFrameKind(other)),
        }
    }
}

/// The first seven bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The type.
    pub kind: FrameKind,
    /// The channel; 0 is for the connection itself.
    pub channel: u16,
    /// Number of payload bytes.
    pub size: u32,
}

impl FrameHeader {
    /// Length of a frame header in bytes.
    pub const LEN: usize = 7;

    /// Reads a header from the front of `input`; returns `None` if there are fewer than seven
    /// bytes.
    ///
    /// # Errors
    /// [`WireError::BadFrameKind`] as soon as the first octet shows it, or
    /// [`WireError::ProtocolHeader`].
    #[inline]
    pub fn parse(input: &[u8]) -> Result<Option<Self>, WireError> {
        let Some(&[octet, c1, c0, s3, s2, s1, s0]) = input.first_chunk::<{ Self::LEN }>() else {
            return Self::parse_short(input);
        };
        let kind = match FrameKind::from_octet(octet) {
            Err(_) if input.starts_with(b"AMQP") => return Err(WireError::ProtocolHeader),
            other => other?,
        };
        Ok(Some(Self {
            kind,
            channel: u16::from_be_bytes([c1, c0]),
            size: u32::from_be_bytes([s3, s2, s1, s0]),
        }))
    }

    #[cold]
    fn parse_short(input: &[u8]) -> Result<Option<Self>, WireError> {
        match input.first() {
            None => Ok(None),
            Some(_) if input[..input.len().min(4)] == b"AMQP"[..input.len().min(4)] => Ok(None),
            Some(&octet) => FrameKind::from_octet(octet).map(|_| None),
        }
    }

    /// Checks that the whole frame is not larger than `frame_max` bytes.
    ///
    /// # Errors
    /// [`WireError::FrameTooLarge`].
    #[inline]
    pub fn check(self, frame_max: u32) -> Result<(), WireError> {
        let size = u64::from(self.size) + u64::from(FRAME_OVERHEAD);
        if size > u64::from(frame_max) {
            return Err(WireError::FrameTooLarge { size, max: frame_max });
        }
        Ok(())
    }

    /// Returns the length of the whole frame in bytes.
    ///
    /// # Panics
    /// On targets below 64 bits, if a frame exceeds the address space.
    #[inline]
    #[must_use]
    pub fn frame_len(self) -> usize {
        usize::try_from(u64::from(self.size) + u64::from(FRAME_OVERHEAD))
            .expect("a checked frame fits the address space")
    }
}

/// One whole frame within received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView<'a> {
    /// The type.
    pub kind: FrameKind,
    /// The channel; 0 is for the connection itself.
    pub channel: u16,
    /// The bytes between header and end octet.
    pub payload: &'a [u8],
}

/// The result of [`FrameView::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The frame has not arrived completely.
    Incomplete {
        /// Number of bytes that are needed to make progress: the rest of the frame if its header is
        /// known, otherwise the rest of the header. Never 0.
        needed: usize,
    },
    /// A frame, and the number of input bytes that it used.
    Complete {
        /// The frame.
        frame: FrameView<'a>,
        /// Its whole length.
        used: usize,
    },
}

impl<'a> FrameView<'a> {
    /// Reads one frame from the front of `input`.
    ///
    /// # Errors
    /// The errors of [`FrameHeader::parse`] and [`FrameHeader::check`], as soon as the header has
    /// arrived, and [`WireError::BadFrameEnd`].
    #[inline]
    pub fn parse(input: &'a [u8], frame_max: u32) -> Result<Parsed<'a>, WireError> {
        let Some(header) = FrameHeader::parse(input)? else {
            return Ok(Parsed::Incomplete { needed: FrameHeader::LEN - input.len() });
        };
        header.check(frame_max)?;
        let used = header.frame_len();
        let Some(whole) = input.get(..used) else {
            return Ok(Parsed::Incomplete { needed: used - input.len() });
        };
        let end = whole[used - 1];
        if end != FRAME_END {
            return Err(WireError::BadFrameEnd(end));
        }
        let payload = &whole[FrameHeader::LEN..used - 1];
        Ok(Parsed::Complete {
            frame: Self { kind: header.kind, channel: header.channel, payload },
            used,
        })
    }
}

/// Appends a frame whose payload `payload` writes; patches its size afterwards.
///
/// # Panics
/// If the payload is 4 GiB or more, or if `payload` shortens `out`.
#[inline]
pub fn write_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    channel: u16,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    put_frame_header(out, kind, channel, 0);
    let start = out.len();
    payload(out);
    let size = out.len().checked_sub(start).expect("a payload only appends");
    out[start - 4..start].copy_from_slice(&len_u32(size).to_be_bytes());
    out.push(FRAME_END);
}

/// Appends the seven bytes of a header with a known size.
#[inline]
pub fn put_frame_header(out: &mut Vec<u8>, kind: FrameKind, channel: u16, size: u32) {
    let ([c0, c1], [s0, s1, s2, s3]) = (channel.to_be_bytes(), size.to_be_bytes());
    out.extend_from_slice(&[kind as u8, c0, c1, s0, s1, s2, s3]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE_OK: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 51, 0xce];

    #[test]
    fn an_incomplete_frame_reports_how_many_bytes_are_missing() {
        for end in 0..7 {
            let parsed = FrameView::parse(&CLOSE_OK[..end], 4096);
            assert_eq!(parsed, Ok(Parsed::Incomplete { needed: 7 - end }));
        }
        for end in 7..12 {
            let parsed = FrameView::parse(&CLOSE_OK[..end], 4096);
            assert_eq!(parsed, Ok(Parsed::Incomplete { needed: 12 - end }));
        }
        let frame = FrameView { kind: FrameKind::Method, channel: 0, payload: &[0, 10, 0, 51] };
        assert_eq!(FrameView::parse(&CLOSE_OK, 4096), Ok(Parsed::Complete { frame, used: 12 }),);
        let mut longer = CLOSE_OK.to_vec();
        longer.push(9);
        assert_eq!(FrameView::parse(&longer, 4096), Ok(Parsed::Complete { frame, used: 12 }));
    }

    #[test]
    fn the_limit_counts_the_whole_frame() {
        assert!(FrameView::parse(&CLOSE_OK, 12).is_ok());
        let refused = Err(WireError::FrameTooLarge { size: 12, max: 11 });
        assert_eq!(FrameView::parse(&CLOSE_OK, 11), refused);
        assert_eq!(FrameView::parse(&CLOSE_OK[..7], 11), refused, "known from the header alone");
        let huge = [3, 0, 1, 0xff, 0xff, 0xff, 0xff];
        let size = u64::from(u32::MAX) + 8;
        assert_eq!(
            FrameView::parse(&huge, u32::MAX),
            Err(WireError::FrameTooLarge { size, max: u32::MAX }),
        );
    }

    #[test]
    fn a_wrong_end_octet_is_refused() {
        let mut frame = CLOSE_OK;
        frame[11] = 0xcf;
        assert_eq!(FrameView::parse(&frame, 4096), Err(WireError::BadFrameEnd(0xcf)));
    }

    #[test]
    fn bytes_that_are_not_a_frame_are_refused_at_the_first_octet() {
        for octet in (0..=255u8).filter(|octet| ![1, 2, 3, 8, b'A'].contains(octet)) {
            let bytes = [octet];
            let parsed = FrameView::parse(&bytes, 4096);
            assert_eq!(parsed, Err(WireError::BadFrameKind(octet)));
        }
        assert_eq!(FrameHeader::parse(b"HTTP/1.1 400"), Err(WireError::BadFrameKind(b'H')));
        assert_eq!(FrameHeader::parse(b"AX"), Err(WireError::BadFrameKind(b'A')));
        assert_eq!(FrameHeader::parse(b"AXXXXXXX"), Err(WireError::BadFrameKind(b'A')));
    }

    #[test]
    fn a_protocol_header_has_its_own_error() {
        for end in 0..7 {
            assert_eq!(FrameHeader::parse(&PROTOCOL_HEADER[..end]), Ok(None));
        }
        assert_eq!(FrameHeader::parse(&PROTOCOL_HEADER), Err(WireError::ProtocolHeader));
    }

    #[test]
    fn a_written_frame_reads_back() {
        for size in [0, 1, 4096, 70_000] {
            let payload = vec![0x5a; size];
            let mut out = vec![0xee];
            write_frame(&mut out, FrameKind::Body, 513, |out| out.extend_from_slice(&payload));
            let frame = FrameView { kind: FrameKind::Body, channel: 513, payload: &payload };
            assert_eq!(
                FrameView::parse(&out[1..], u32::MAX),
                Ok(Parsed::Complete { frame, used: size + 8 }),
            );
        }
        let mut out = Vec::new();
        write_frame(&mut out, FrameKind::Heartbeat, 0, |_| ());
        assert_eq!(out, HEARTBEAT_FRAME);
    }
}
