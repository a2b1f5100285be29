//! Empty segments of a channel, kept for the next swaps of its outbox.

use crate::shard::border::outbox::segment::Segment;

/// Segments kept: as many as may be in flight to a broker that confirms late.
const SEGMENTS_MAX: usize = 1024;
/// Memory of all of them: a few as large as the default outbox, which is the usual size with a fast
/// broker. The largest are freed first.
const BYTES_MAX: usize = 32 << 20;

#[derive(Default)]
pub(crate) struct SpareSegments {
    /// Sorted by size, the largest last.
    segments: Vec<Segment>,
    bytes: usize,
}

impl SpareSegments {
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Takes the largest segment, so that small ones need not grow one after another. Creates one
    /// if there is none.
    pub(crate) fn take(&mut self) -> Segment {
        let segment = self.segments.pop().unwrap_or_default();
        self.bytes -= segment.capacity_bytes();
        segment
    }

    /// Clears a segment and keeps it.
    pub(crate) fn give(&mut self, mut segment: Segment) {
        segment.clear();
        let capacity_bytes = segment.capacity_bytes();
        let place = self.segments.partition_point(|spare| spare.capacity_bytes() <= capacity_bytes);
        self.segments.insert(place, segment);
        self.bytes += capacity_bytes;
        while self.segments.len() > SEGMENTS_MAX || self.bytes > BYTES_MAX {
            self.bytes -= self.segments.pop().map_or(0, |spare| spare.capacity_bytes());
        }
    }
}
