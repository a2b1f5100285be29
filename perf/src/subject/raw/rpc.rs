//! The baseline of calls: a client that keeps a number of requests in flight, and a server that
//! sends them back.
//!
//! Both process all messages of one read before one write. Requests are rendered once, one for each
//! slot in flight.

use std::time::Instant;

use anyhow::{Context, Result};

use super::client::{CHANNEL, Client, QueueOptions};
use super::frames;
use super::incoming::Incoming;
use super::message_style::MessageStyle;
use crate::load::workers::Probe;
use crate::subject::job::Exchange;
use crate::system::clock;

/// Calls `queue` with `outstanding` requests in flight until the run is over.
pub(crate) fn call(
    mut client: Client,
    style: &MessageStyle,
    queue: &str,
    payload: &[u8],
    outstanding: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_queue = style.reply_queue(queue);
    client.declare_queue(&reply_queue, QueueOptions::default())?;
    client.consume(&reply_queue, style.acks)?;
    if style.confirms {
        client.confirm_select()?;
    }
    let frame_max = client.frame_max;
    let requests: Vec<Vec<u8>> = (0..outstanding)
        .map(|slot| style.request(queue, &reply_queue, slot, payload, frame_max))
        .collect();
    let mut out = requests.concat();
    let mut started = vec![clock::now(); outstanding];
    let mut incoming = Incoming::default();
    while probe.running() {
        client.write(&out)?;
        out.clear();
        client.fill()?;
        let now = clock::now();
        let last = incoming.take_all(&mut client, |answer| {
            let slot = style.slot(answer).context("an answer to no request")?;
            let start: &mut Instant = started.get_mut(slot).context("an answer to no request")?;
            probe.latency(*start, now);
            probe.done(1);
            *start = now;
            out.extend_from_slice(&requests[slot]);
            Ok(())
        })?;
        acknowledge(&mut out, style, last);
    }
    Ok(())
}

/// Answers every request on `queue` with its own payload, until the connection ends.
pub(crate) fn serve(
    mut client: Client,
    style: &MessageStyle,
    queue: &str,
    ready: impl FnOnce(),
) -> Result<()> {
    client.declare_queue(queue, QueueOptions::default())?;
    if !style.exchange.is_empty() {
        client.declare_exchange(&Exchange::kombu(style.exchange.clone()))?;
        client.bind_queue(queue, &style.exchange, queue)?;
    }
    client.consume(queue, style.acks)?;
    if style.confirms {
        client.confirm_select()?;
    }
    client.disable_read_timeout()?;
    ready();
    let frame_max = client.frame_max;
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let mut incoming = Incoming::default();
    loop {
        client.fill()?;
        let last = incoming.take_all(&mut client, |request| {
            style.answer(&mut out, request, &mut body, frame_max)
        })?;
        acknowledge(&mut out, style, last);
        client.write(&out)?;
        out.clear();
    }
}

/// Appends one acknowledgement of all deliveries up to `last`, if the style has acknowledgements.
fn acknowledge(out: &mut Vec<u8>, style: &MessageStyle, last: Option<u64>) {
    if let Some(tag) = last.filter(|_| style.acks) {
        frames::ack(out, CHANNEL, tag);
    }
}
