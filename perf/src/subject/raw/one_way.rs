//! The baseline of publishing and of consuming: frames and blocking system calls only.
//!
//! Messages are rendered once and written 64 KiB at a time. The publisher reads confirms when its
//! window is full. The consumer counts content headers and reads nothing else.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::client::Client;
use super::frames::{self, Fields};
use super::message_style::MessageStyle;
use super::refusal::{check_close, check_delivered};
use crate::load::workers::Probe;
use crate::system::clock;

/// Bytes per write; larger writes are not faster over loopback.
const WRITE_BYTES: usize = 64 * 1024;

/// As many rendered messages as fit into one write, and their number.
fn block_of_messages(
    client: &Client,
    style: &MessageStyle,
    key: &str,
    payload: &[u8],
    limit: usize,
) -> (Vec<u8>, usize) {
    let mut block = Vec::with_capacity(WRITE_BYTES * 2);
    let mut messages = 0;
    while messages < limit && (messages == 0 || block.len() + block.len() / messages <= WRITE_BYTES)
    {
        style.cast(&mut block, key, payload, client.frame_max);
        messages += 1;
    }
    (block, messages)
}

/// Publishes until the run is over, and waits for nothing. Confirms, if the style has them, are
/// read and dropped as they arrive.
pub(crate) fn publish(
    mut client: Client,
    style: &MessageStyle,
    key: &str,
    payload: &[u8],
    probe: &mut Probe,
) -> Result<()> {
    if style.confirms {
        client.confirm_select()?;
    }
    let (block, messages) = block_of_messages(&client, style, key, payload, usize::MAX);
    while probe.running() {
        client.write(&block)?;
        probe.done(messages as u64);
        if style.confirms {
            read_confirms_away(&mut client)?;
        }
    }
    client.close()
}

fn read_confirms_away(client: &mut Client) -> Result<()> {
    client.try_fill()?;
    while let Some(frame) = client.next_frame()? {
        check_close(&frame)?;
        check_delivered(&frame)?;
    }
    Ok(())
}

/// Publishes with at most `window` unconfirmed messages. The latency is from write to confirm.
pub(crate) fn publish_confirmed(
    mut client: Client,
    style: &MessageStyle,
    key: &str,
    payload: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    client.confirm_select()?;
    // Small enough that the rest of the window is in flight while a block is written.
    let limit = (window / 4).max(1);
    let (block, per_block) = block_of_messages(&client, style, key, payload, limit);
    let mut unconfirmed = Unconfirmed::default();
    while probe.running() {
        while unconfirmed.len() + per_block as u64 <= window as u64 {
            unconfirmed.sent(per_block as u64, clock::now());
            client.write(&block)?;
        }
        client.fill()?;
        let now = clock::now();
        while let Some(frame) = client.next_frame()? {
            check_close(&frame)?;
            let id = frame.method_id();
            if !matches!(id, Some(frames::BASIC_ACK | frames::BASIC_NACK)) {
                continue;
            }
            let mut fields = Fields(&frame.payload[4..]);
            let tag = fields.u64().context("a short ack")?;
            let multiple = fields.u8().context("a short ack")? & 1 == 1;
            let n = unconfirmed.confirmed(tag, multiple, |sent| probe.latency(sent, now))?;
            if id == Some(frames::BASIC_ACK) { probe.done(n) } else { probe.failed(n) }
        }
    }
    client.close()
}

/// Counts deliveries until the run is over.
pub(crate) fn consume(mut client: Client, queue: &str, probe: &mut Probe) -> Result<()> {
    client.consume(queue, false)?;
    while probe.running() {
        client.fill()?;
        let (messages, used) = count_messages(client.pending())?;
        client.skip(used);
        probe.done(messages);
    }
    Ok(())
}

/// The number of content headers among the whole frames at the head of `bytes`, and the length of
/// those frames.
fn count_messages(bytes: &[u8]) -> Result<(u64, usize)> {
    let (mut messages, mut at) = (0, 0);
    while let Some(&[kind, _, _, s0, s1, s2, s3]) = bytes[at..].first_chunk::<7>() {
        let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
        let next = at + size + frames::FRAME_OVERHEAD;
        if next > bytes.len() {
            break;
        }
        if kind > 3 && kind != 8 {
            bail!("the source sent something that is no AMQP frame");
        }
        messages += u64::from(kind == frames::HEADER);
        at = next;
    }
    Ok((messages, at))
}

/// Unconfirmed publications: a window of delivery tags.
#[derive(Default)]
struct Unconfirmed {
    /// Tag of the first entry.
    first: u64,
    /// When each was sent; `None` once it is confirmed out of order.
    sent: VecDeque<Option<Instant>>,
    open: u64,
}

impl Unconfirmed {
    fn len(&self) -> u64 {
        self.open
    }

    fn sent(&mut self, n: u64, now: Instant) {
        if self.first == 0 {
            self.first = 1;
        }
        self.open += n;
        self.sent.extend((0..n).map(|_| Some(now)));
    }

    /// Removes the publications that one ack covers and returns their number.
    fn confirmed(
        &mut self,
        tag: u64,
        multiple: bool,
        mut each: impl FnMut(Instant),
    ) -> Result<u64> {
        let last = tag.checked_sub(self.first).context("an ack of a settled tag")? as usize;
        if last >= self.sent.len() {
            bail!("an ack of tag {tag}, which was never sent");
        }
        let from = if multiple { 0 } else { last };
        let mut settled = 0;
        for slot in self.sent.range_mut(from..=last) {
            if let Some(sent) = slot.take() {
                each(sent);
                settled += 1;
            }
        }
        while self.sent.front() == Some(&None) {
            self.sent.pop_front();
            self.first += 1;
        }
        self.open -= settled;
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::raw::frames::Publication;

    #[test]
    fn acks_settle_each_tag_once_in_any_order() {
        let mut window = Unconfirmed::default();
        window.sent(5, clock::now());
        let ack = |window: &mut Unconfirmed, tag, multiple| {
            window.confirmed(tag, multiple, |_| {}).expect("a tag in flight")
        };
        assert_eq!(ack(&mut window, 2, false), 1);
        assert_eq!(ack(&mut window, 3, true), 2);
        assert_eq!(window.len(), 2);
        assert_eq!(ack(&mut window, 5, true), 2);
        assert_eq!(window.len(), 0);
        assert!(window.confirmed(5, false, |_| {}).is_err());
        assert!(window.confirmed(6, false, |_| {}).is_err());
    }

    #[test]
    fn whole_messages_are_counted_and_the_rest_is_left() {
        let mut bytes = Vec::new();
        for _ in 0..3 {
            frames::publish(&mut bytes, 1, Publication::default(), b"body", 4096);
        }
        let (one, all) = (bytes.len() / 3, bytes.len());
        assert_eq!(count_messages(&bytes).expect("frames"), (3, all));
        let (messages, used) = count_messages(&bytes[..all - 1]).expect("frames");
        assert_eq!(messages, 3);
        assert!(used > 2 * one && used < all);
        assert!(count_messages(&[9; 64]).is_err() || count_messages(&[9; 64]).expect("").1 == 0);
    }
}
