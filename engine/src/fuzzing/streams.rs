//! A stream of frames: each frame by itself, and all of them on an open connection.

use amq_protocol::frame::{AMQPFrame, parse_frame};

use crate::fuzzing::choices::Choices;
use crate::fuzzing::peer::{FRAME_MAX, Peer};
use crate::wire::{
    ContentHeader, FRAME_OVERHEAD, FrameHeader, FrameKind, FrameView, Parsed, WireError,
    parse_method, print, write_frame,
};

/// Splits a stream into frames; compares each with amq-protocol, and reads by whole and in pieces.
pub fn frames(data: &[u8]) {
    let mut choices = Choices(data);
    let max = [8, 100, FRAME_MAX, u32::MAX][usize::from(choices.byte() % 4)];
    let cuts = choices.take(4);
    let stream = choices.0;
    let mut rest = stream;
    loop {
        match FrameView::parse(rest, max) {
            Ok(Parsed::Complete { frame, used }) => {
                check_frame(frame, &rest[..used], max);
                rest = &rest[used..];
            }
            Ok(Parsed::Incomplete { needed }) => {
                assert!(needed > 0 && (rest.len() + needed) as u64 <= u64::from(max.max(8)));
                break;
            }
            Err(WireError::BadFrameKind(_) | WireError::BadFrameEnd(_)) => {
                assert!(!matches!(parse_frame(rest), Ok((_, AMQPFrame::Body(..)))));
                break;
            }
            Err(_) => break,
        }
    }
    assert_eq!(print(stream).is_empty(), stream.is_empty());
    let (mut whole, mut cut) = (Peer::open(), Peer::open());
    whole.receive(stream);
    cut.receive_cut(stream, cuts);
    assert_eq!((&whole.seen, &whole.error), (&cut.seen, &cut.error), "pieces change nothing");
    assert_eq!(whole.output(), cut.output(), "pieces change nothing");
}

fn check_frame(frame: FrameView<'_>, bytes: &[u8], max: u32) {
    assert_eq!(bytes.len(), frame.payload.len() + FRAME_OVERHEAD as usize);
    assert!(bytes.len() as u64 <= u64::from(max));
    let mut written = Vec::new();
    write_frame(&mut written, frame.kind, frame.channel, |out| {
        out.extend_from_slice(frame.payload);
    });
    assert_eq!(written, bytes);
    for end in (0..FrameHeader::LEN).chain([bytes.len() / 2, bytes.len() - 1]) {
        let cut = FrameView::parse(&bytes[..end], max);
        let Ok(Parsed::Incomplete { needed }) = cut else { panic!("{cut:?} of {end} bytes") };
        assert!(end + needed <= bytes.len());
    }
    let is_known = match frame.kind {
        FrameKind::Method => parse_method(frame.payload).is_ok(),
        FrameKind::Header => ContentHeader::parse(frame.payload).is_ok(),
        FrameKind::Body => true,
        FrameKind::Heartbeat => false,
    };
    if is_known {
        let (rest, theirs) = parse_frame(bytes).expect("amq-protocol reads what the engine reads");
        assert!(rest.is_empty());
        if let AMQPFrame::Body(channel, body) = theirs {
            assert_eq!((channel, &body[..]), (frame.channel, frame.payload));
        }
    }
}
