//! Decodes publications from the frames they are stored in: to split the body again, because the
//! broker after a reconnect may allow smaller frames only, or to return a refused publication to
//! its publisher.
//!
//! This is off the hot path, so everything is copied. Invariant: methods, headers and bodies stay
//! the same byte for byte; only the boundaries between body frames move.

use std::ops::Range;

use crate::buffer::Body;
use crate::outcome::Nacked;
use crate::shard::border::outbox::segment::{Rendered, Segment};
use crate::wire::{
    ContentHeader, FrameHeader, FrameKind, FrameView, HotMethod, Parsed, write_body_frames,
};

/// Returns the same publications with body frames of at most `frame_max` bytes.
pub(crate) fn reframe(segment: &Segment, channel: u16, frame_max: u32) -> Segment {
    let mut reframed = Segment::default();
    let mut whole = Rendered { frame_max, ..Rendered::default() };
    let mut start = 0;
    for record in &segment.records {
        let end = record.end as usize;
        whole.frames.clear();
        let body = split_body(&contiguous(segment, start..end), |_, head| {
            whole.frames.extend_from_slice(head)
        });
        debug_assert!(whole.frames.len() >= 2 * FrameHeader::LEN, "a method and a header");
        write_body_frames(&mut whole.frames, channel, &body, frame_max);
        reframed.push(&whole, *record);
        start = end;
    }
    reframed
}

/// Decodes the publication at `at`.
pub(crate) fn unframe(segment: &Segment, at: Range<u32>) -> Nacked {
    let (mut exchange, mut routing_key, mut header) = (String::new(), String::new(), Vec::new());
    let body = split_body(&contiguous(segment, at.start as usize..at.end as usize), |frame, _| {
        if frame.kind == FrameKind::Header {
            header = frame.payload.to_vec();
        } else if let Ok(Some(HotMethod::Publish(publish))) = HotMethod::parse(frame.payload) {
            exchange = publish.exchange.to_owned();
            routing_key = publish.routing_key.to_owned();
        }
    });
    Nacked { exchange, routing_key, header, body: Body::small(body.into()) }
}

/// Returns the exchange of the publication at `at` and the size of its body.
pub(crate) fn route_of(segment: &Segment, at: Range<u32>) -> (String, u64) {
    let (mut exchange, mut size) = (String::new(), 0);
    split_body(&contiguous(segment, at.start as usize..at.end as usize), |frame, _| {
        match frame.kind {
            FrameKind::Header => {
                size = ContentHeader::parse(frame.payload).map_or(0, |h| h.body_size)
            }
            _ => {
                if let Ok(Some(HotMethod::Publish(publish))) = HotMethod::parse(frame.payload) {
                    exchange = publish.exchange.to_owned();
                }
            }
        }
    });
    (exchange, size)
}

/// Returns the bytes of one publication as they are sent.
fn contiguous(segment: &Segment, Range { start, end }: Range<usize>) -> Vec<u8> {
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

/// Returns the body of a publication. Calls `head` for each other frame, with the bytes of the
/// frame.
fn split_body(mut bytes: &[u8], mut head: impl FnMut(&FrameView<'_>, &[u8])) -> Vec<u8> {
    let mut body = Vec::new();
    while !bytes.is_empty() {
        let parsed = FrameView::parse(bytes, u32::MAX).expect("an outbox holds whole frames");
        let Parsed::Complete { frame, used } = parsed else {
            unreachable!("an outbox holds whole frames");
        };
        match frame.kind {
            FrameKind::Body => body.extend_from_slice(frame.payload),
            _ => head(&frame, &bytes[..used]),
        }
        bytes = &bytes[used..];
    }
    body
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::Record;
    use crate::wire::{Properties, Publish, Template};

    fn published(body: &[u8], frame_max: u32) -> Vec<u8> {
        let publish = Publish { exchange: "x", routing_key: "key", ..Publish::default() };
        let template = Template::new(9, &publish, &Properties::default()).unwrap();
        let mut frames = Vec::new();
        template.render(body.len() as u64, &mut frames);
        write_body_frames(&mut frames, 9, body, frame_max);
        frames
    }

    fn record(token: u64) -> Record {
        let (end, fingerprint, retries) = (0, 0, 0);
        let (mandatory, retain, settled, maybe_taken) = (false, true, false, false);
        Record { end, fingerprint, token, mandatory, retain, settled, retries, maybe_taken }
    }

    #[test]
    fn bodies_are_split_into_smaller_frames() {
        let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let large = published(&body, 131_072);
        let mut segment = Segment::default();
        let rendered = |frames: &[u8]| Rendered { frames: frames.to_vec(), ..Rendered::default() };
        segment.push(&rendered(&large), record(1));
        // The publisher moves all but the end octet of a large body's frame into a part.
        let (head, tail) = (large.len() - 20_001, large.len() - 1);
        let rest = [&large[..head], &large[tail..]].concat();
        let parts = vec![(head, Bytes::copy_from_slice(&large[head..tail]))];
        segment.push(&Rendered { parts, ..rendered(&rest) }, record(2));
        let empty = published(b"", 131_072);
        segment.push(&rendered(&empty), record(3));

        let ends: Vec<u32> = segment.records.iter().map(|record| record.end).collect();
        for (at, body) in
            [(0..ends[0], &body[..]), (ends[0]..ends[1], &body), (ends[1]..ends[2], b"")]
        {
            let given_back = unframe(&segment, at);
            assert!(*given_back.body().contiguous() == *body);
            assert_eq!((given_back.exchange(), given_back.routing_key()), ("x", "key"));
        }

        let reframed = reframe(&segment, 9, 8192);
        let small = published(&body, 8192);
        assert_eq!(reframed.bytes, [&small[..], &small, &empty].concat());
        assert_eq!(reframed.records.iter().map(|r| r.token).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(reframed.records[1].end as usize, 2 * small.len());
    }
}
