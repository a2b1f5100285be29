//! Publications cut anew: a broker that was found again may allow smaller frames than the one they
//! were rendered for.
//!
//! Off the hot path, so everything is copied. Invariant: heads and bodies stay byte for byte what
//! they were; only the borders between body frames move.

use super::segment::{Rendered, Segment};
use crate::wire::{FrameHeader, FrameKind, FrameView, Parsed, write_body_frames};

/// The same publications, in body frames of at most `frame_max` bytes.
pub(super) fn reframe(segment: &Segment, channel: u16, frame_max: u32) -> Segment {
    let mut anew = Segment::default();
    let mut whole = Rendered { frame_max, ..Rendered::default() };
    let mut start = 0;
    for record in &segment.records {
        let end = record.end as usize;
        whole.frames.clear();
        cut(&flat(segment, start, end), channel, frame_max, &mut whole.frames);
        anew.push(&whole, *record);
        start = end;
    }
    anew
}

/// The bytes of one publication as they would be sent.
fn flat(segment: &Segment, start: usize, end: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = start;
    for part in segment.parts.iter().filter(|part| (start..end).contains(&part.at)) {
        bytes.extend_from_slice(&segment.bytes[at..part.at]);
        bytes.extend_from_slice(&part.body);
        at = part.at;
    }
    bytes.extend_from_slice(&segment.bytes[at..end]);
    bytes
}

fn cut(mut bytes: &[u8], channel: u16, frame_max: u32, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    while !bytes.is_empty() {
        let parsed = FrameView::parse(bytes, u32::MAX).expect("an outbox holds whole frames");
        let Parsed::Complete { frame, used } = parsed else {
            unreachable!("an outbox holds whole frames");
        };
        match frame.kind {
            FrameKind::Body => body.extend_from_slice(frame.payload),
            _ => out.extend_from_slice(&bytes[..used]),
        }
        bytes = &bytes[used..];
    }
    debug_assert!(out.len() >= 2 * FrameHeader::LEN, "a method and a header");
    write_body_frames(out, channel, &body, frame_max);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::Record;
    use crate::wire::{Properties, Publish, Template};

    fn published(body: &[u8], frame_max: u32) -> Vec<u8> {
        let publish = Publish::default();
        let template = Template::new(9, &publish, &Properties::default()).unwrap();
        let mut frames = Vec::new();
        template.render(body.len() as u64, &mut frames);
        write_body_frames(&mut frames, 9, body, frame_max);
        frames
    }

    fn record(token: u64) -> Record {
        Record { end: 0, fingerprint: 0, token, mandatory: false, retain: true, settled: false }
    }

    #[test]
    fn bodies_are_cut_smaller_whether_copied_or_counted() {
        let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let large = published(&body, 131_072);
        let mut segment = Segment::default();
        let rendered = |frames: &[u8]| Rendered { frames: frames.to_vec(), ..Rendered::default() };
        segment.push(&rendered(&large), record(1));
        // As a publisher counts a large body: all but the end octet of its frame rides along.
        let (head, tail) = (large.len() - 20_001, large.len() - 1);
        let rest = [&large[..head], &large[tail..]].concat();
        let parts = vec![(head, Bytes::copy_from_slice(&large[head..tail]))];
        segment.push(&Rendered { parts, ..rendered(&rest) }, record(2));
        let empty = published(b"", 131_072);
        segment.push(&rendered(&empty), record(3));

        let anew = reframe(&segment, 9, 8192);
        let small = published(&body, 8192);
        assert_eq!(anew.bytes, [&small[..], &small, &empty].concat());
        assert_eq!(anew.records.iter().map(|r| r.token).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(anew.records[1].end as usize, 2 * small.len());
    }
}
