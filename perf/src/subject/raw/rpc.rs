//! The floor of calls: a client that keeps a number of requests in flight, and a server that sends
//! them back.
//!
//! Both handle everything one read brought before they write once. Requests are rendered once, one
//! for each place in flight.

use std::time::Instant;

use anyhow::{Context, Result};

use super::client::{CHANNEL, Client, QueueShape};
use super::frames;
use super::incoming::Incoming;
use super::message_style::Manner;
use crate::run_state::Probe;
use crate::subject::job::Exchange;
use crate::system::clock;

/// Calls `queue` with `outstanding` requests in flight until told to stop.
pub(crate) fn call(
    mut client: Client,
    manner: &Manner,
    queue: &str,
    payload: &[u8],
    outstanding: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_queue = manner.reply_queue(queue);
    client.declare_queue(&reply_queue, QueueShape::default())?;
    client.consume(&reply_queue, manner.acks)?;
    if manner.confirms {
        client.confirm_select()?;
    }
    let frame_max = client.frame_max;
    let requests: Vec<Vec<u8>> = (0..outstanding)
        .map(|slot| manner.request(queue, &reply_queue, slot, payload, frame_max))
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
            let slot = manner.slot(answer).context("an answer to no request")?;
            let start: &mut Instant = started.get_mut(slot).context("an answer to no request")?;
            probe.latency(*start, now);
            probe.done(1);
            *start = now;
            out.extend_from_slice(&requests[slot]);
            Ok(())
        })?;
        acknowledge(&mut out, manner, last);
    }
    Ok(())
}

/// Answers every request on `queue` with its own payload, until the connection ends.
pub(crate) fn serve(
    mut client: Client,
    manner: &Manner,
    queue: &str,
    ready: impl FnOnce(),
) -> Result<()> {
    client.declare_queue(queue, QueueShape::default())?;
    if !manner.exchange.is_empty() {
        client.declare_exchange(&Exchange::kombu(manner.exchange.clone()))?;
        client.bind_queue(queue, &manner.exchange, queue)?;
    }
    client.consume(queue, manner.acks)?;
    if manner.confirms {
        client.confirm_select()?;
    }
    client.wait_forever()?;
    ready();
    let frame_max = client.frame_max;
    let (mut out, mut body) = (Vec::new(), Vec::new());
    let mut incoming = Incoming::default();
    loop {
        client.fill()?;
        let last = incoming.take_all(&mut client, |request| {
            manner.answer(&mut out, request, &mut body, frame_max)
        })?;
        acknowledge(&mut out, manner, last);
        client.write(&out)?;
        out.clear();
    }
}

/// Appends one acknowledgement of everything up to `last`, where the manner has them.
fn acknowledge(out: &mut Vec<u8>, manner: &Manner, last: Option<u64>) {
    if let Some(tag) = last.filter(|_| manner.acks) {
        frames::ack(out, CHANNEL, tag);
    }
}
