//! Deliveries, for the fuzz targets of other crates.

use std::cell::RefCell;

use crate::fuzzing::contents::write_content_method;
use crate::fuzzing::peer::{FRAME_MAX, Peer};
use crate::shard::border::delivery::Delivery;
use crate::wire::{Properties, write_body_frames};

thread_local! {
    static BROKER: RefCell<Peer> = RefCell::new(Peer::open());
}

/// Returns a delivery with these properties and this body, of at most 20,000 bytes, for the fuzz
/// targets of other crates.
#[must_use]
pub fn delivery(properties: &Properties, body: &[u8]) -> Delivery {
    let mut stream = Vec::new();
    write_content_method(false, 1, &mut stream);
    properties.encode_frame(1, body.len() as u64, &mut stream);
    write_body_frames(&mut stream, 1, body, FRAME_MAX);
    let content = BROKER.with_borrow_mut(|peer| {
        peer.receive(&stream);
        peer.seen.clear();
        peer.last.take()
    });
    Delivery::new(content.expect("a whole delivery"), (1, false), None)
}
