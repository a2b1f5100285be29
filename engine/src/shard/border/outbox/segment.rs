//! Publications as they are sent: the bytes of many, and a record of each.
//!
//! Invariant: bytes and records describe the same publications in the same order. The lock, the
//! room and the wakeups are in `outbox`.

use std::ops::Range;

use bytes::Bytes;

use crate::proto::Record;
use crate::shard::border::slab::Token;
use crate::wire::frame::put_frame_header;
use crate::wire::{FRAME_END, FrameKind, Ids, Template, body_frame_max, write_body_frames};

/// A body that is sent from its own reference-counted buffer instead of being copied.
#[derive(Debug)]
pub(crate) struct Part {
    /// The position in the segment's bytes where it is inserted.
    pub(crate) at: usize,
    pub(crate) body: Bytes,
}

/// A batch of publications, encoded as frames.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<Part>,
    pub(crate) records: Vec<Record>,
    /// Ends of publications where the writer may interleave other frames; see
    /// [`mark_cuts`](Self::mark_cuts).
    pub(crate) cuts: Vec<usize>,
    part_bytes: usize,
}

impl Segment {
    /// Marks where the writer may interleave other frames: at ends of publications, about every
    /// `step` bytes.
    pub(crate) fn mark_cuts(&mut self, step: usize) {
        let mut from = 0;
        while let Some(last) = self.records.last().filter(|last| from < last.end as usize) {
            let near = self.records.partition_point(|record| record.end as usize <= from + step);
            let fits = near.checked_sub(1).map_or(0, |index| self.records[index].end as usize);
            let whole = self.records.get(near).unwrap_or(last).end as usize;
            from = if fits > from { fits } else { whole };
            self.cuts.push(from);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all publications, bodies in parts included.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.part_bytes
    }

    /// Creates an empty segment with the capacity to hold as much as `other` holds.
    pub(crate) fn with_capacity_of(other: &Self) -> Self {
        let bytes = Vec::with_capacity(other.bytes.len());
        let records = Vec::with_capacity(other.records.len());
        Self { bytes, records, ..Self::default() }
    }

    /// Bytes of memory that its vectors occupy when it is empty.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.records.capacity() * size_of::<Record>()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
        self.records.clear();
        self.cuts.clear();
        self.part_bytes = 0;
    }

    /// Appends publication `index` of `other`.
    pub(crate) fn push_from(&mut self, other: &Self, records: &[Record], index: usize) {
        let start = index.checked_sub(1).map_or(0, |before| records[before].end);
        self.push_range(other, start..records[index].end, records[index]);
    }

    /// Appends the publication at `at` of `other`.
    pub(crate) fn push_range(&mut self, other: &Self, at: Range<u32>, record: Record) {
        let (start, end) = (at.start as usize, at.end as usize);
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes[start..end]);
        for part in other.parts.iter().filter(|part| (start..end).contains(&part.at)) {
            self.part_bytes += part.body.len();
            self.parts.push(Part { at: base + part.at - start, body: part.body.clone() });
        }
        self.records.push(Record { end: length_of(&self.bytes), ..record });
    }

    /// Appends all publications of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        for index in 0..other.records.len() {
            self.push_from(other, &other.records, index);
        }
    }

    /// Marks a publication as settled, so that it is not sent. Returns false if it is not in this
    /// segment.
    pub(crate) fn mark_settled(&mut self, token: Token) -> bool {
        let found = self.records.iter_mut().find(|r| r.token == token && !r.settled);
        found.map(|record| record.settled = true).is_some()
    }

    pub(crate) fn push(&mut self, publication: &Rendered, record: Record) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&publication.frames);
        for (at, body) in &publication.parts {
            self.part_bytes += body.len();
            self.parts.push(Part { at: base + at, body: body.clone() });
        }
        self.records.push(Record { end: length_of(&self.bytes), ..record });
    }

    /// Appends a publication whose body is in memory, in frames of at most `frame_max` bytes.
    #[inline]
    pub(crate) fn push_body(
        &mut self,
        template: &Template,
        body: &[u8],
        ids: &Ids<'_>,
        frame_max: u32,
        record: Record,
    ) {
        template.render_fitting(body.len() as u64, ids, &mut self.bytes);
        write_body_frames(&mut self.bytes, template.channel(), body, frame_max);
        self.records.push(Record { end: length_of(&self.bytes), ..record });
    }

    /// Returns a copy without the settled publications.
    pub(crate) fn without_settled(&self) -> Self {
        let mut kept = Self::default();
        for (index, record) in self.records.iter().enumerate() {
            if !record.settled {
                kept.push_from(self, &self.records, index);
            }
        }
        kept
    }
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("an outbox is bounded far below 4 GiB")
}

/// One publication rendered by its caller, in a scratch buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) frames: Vec<u8>,
    /// Bodies that are not in `frames`, with the positions where they are inserted.
    pub(crate) parts: Vec<(usize, Bytes)>,
    /// The frame size its body is split for.
    pub(crate) frame_max: u32,
    pub(crate) fingerprint: u32,
}

impl Rendered {
    pub(crate) fn clear(&mut self, frame_max: u32) {
        self.frames.clear();
        self.parts.clear();
        self.frame_max = frame_max;
        self.fingerprint = 0;
    }

    /// Appends the frames of a large body without copying the body.
    pub(crate) fn attach(&mut self, channel: u16, body: &Bytes) {
        let room = body_frame_max(self.frame_max);
        for start in (0..body.len()).step_by(room) {
            let end = body.len().min(start + room);
            put_frame_header(&mut self.frames, FrameKind::Body, channel, (end - start) as u32);
            self.parts.push((self.frames.len(), body.slice(start..end)));
            self.frames.push(FRAME_END);
        }
    }

    /// Moves the body frames from `head` on into a part, except for the last octet, which follows
    /// the part.
    pub(crate) fn detach(&mut self, head: usize) {
        let body = self.frames.len() - 1;
        let rendered = Bytes::from(std::mem::take(&mut self.frames));
        self.frames.extend_from_slice(&rendered[..head]);
        self.frames.push(FRAME_END);
        self.parts.push((head, rendered.slice(head..body)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_at_publication_ends() {
        let mut segment = Segment::default();
        for size in [3, 3, 3, 20, 1] {
            let publication = Rendered { frames: vec![0; size], ..Rendered::default() };
            let (end, fingerprint, token, retries) = (0, 0, 0, 0);
            let (mandatory, retain, settled, maybe_taken) = (false, false, false, false);
            let record = Record {
                end,
                fingerprint,
                token,
                mandatory,
                retain,
                settled,
                retries,
                maybe_taken,
            };
            segment.push(&publication, record);
        }
        segment.mark_cuts(7);
        assert_eq!(segment.cuts, [6, 9, 29, 30], "a publication larger than a step stays whole");
    }
}
