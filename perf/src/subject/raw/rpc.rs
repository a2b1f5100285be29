//! The floor of calls: a client that keeps a number of requests in flight, and a server that sends
//! them back.
//!
//! Both handle everything one read brought before they write once. The correlation id is the slot
//! of the request in hexadecimal.

use std::time::Instant;

use anyhow::{Context, Result};

use super::client::{CHANNEL, Client, QueueShape, refuse_close};
use super::frames::{self, Publishing};
use crate::clock;
use crate::stage::Probe;

/// Calls `queue` with `outstanding` requests in flight until told to stop.
pub(crate) fn call(
    mut client: Client,
    queue: &str,
    body: &[u8],
    outstanding: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_to = format!("{queue}-reply");
    client.declare_private_queue(&reply_to, QueueShape::default())?;
    client.consume(&reply_to)?;
    let frame_max = client.frame_max;
    let ids: Vec<String> = (0..outstanding).map(|slot| format!("{slot:x}")).collect();
    let request = |out: &mut Vec<u8>, slot: usize| {
        let to = Publishing {
            key: queue,
            reply_to: Some(&reply_to),
            correlation_id: Some(&ids[slot]),
            exchange: "",
        };
        frames::publish(out, CHANNEL, to, body, frame_max);
    };
    let mut out = Vec::new();
    let mut started = vec![clock::now(); outstanding];
    (0..outstanding).for_each(|slot| request(&mut out, slot));
    let mut incoming = Incoming::default();
    while probe.running() {
        client.write(&out)?;
        out.clear();
        client.fill()?;
        let now = clock::now();
        incoming.take_all(&mut client, |message| {
            let slot = slot_of(&message.correlation_id).context("an answer to no request")?;
            let start: &mut Instant = started.get_mut(slot).context("an answer to no request")?;
            probe.latency(*start, now);
            probe.done(1);
            *start = now;
            request(&mut out, slot);
            Ok(())
        })?;
    }
    Ok(())
}

fn slot_of(correlation_id: &[u8]) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(correlation_id).ok()?, 16).ok()
}

/// Answers every request on `queue` with its own body, until the connection ends.
pub(crate) fn serve(mut client: Client, queue: &str, ready: impl FnOnce()) -> Result<()> {
    client.declare_private_queue(queue, QueueShape::default())?;
    client.consume(queue)?;
    client.wait_forever()?;
    ready();
    let frame_max = client.frame_max;
    let mut out = Vec::new();
    let mut incoming = Incoming::default();
    loop {
        client.fill()?;
        incoming.take_all(&mut client, |message| {
            let to = Publishing {
                key: std::str::from_utf8(&message.reply_to).context("a reply queue in UTF-8")?,
                correlation_id: std::str::from_utf8(&message.correlation_id).ok(),
                ..Publishing::default()
            };
            frames::publish(&mut out, CHANNEL, to, &message.body, frame_max);
            Ok(())
        })?;
        client.write(&out)?;
        out.clear();
    }
}

/// A message being put together from its frames; its buffers are reused.
#[derive(Default)]
struct Incoming {
    correlation_id: Vec<u8>,
    reply_to: Vec<u8>,
    body: Vec<u8>,
    missing: usize,
}

impl Incoming {
    /// Takes all frames that are here and hands each whole message to `each`.
    fn take_all(
        &mut self,
        client: &mut Client,
        mut each: impl FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        while let Some(frame) = client.take_frame()? {
            match frame.kind {
                frames::HEADER => {
                    let (id, reply_to) =
                        frames::addresses(frame.payload).context("a short content header")?;
                    id.clone_into(&mut self.correlation_id);
                    reply_to.clone_into(&mut self.reply_to);
                    self.body.clear();
                    let size = frame.payload.get(4..12).context("a short content header")?;
                    self.missing = frames::Fields(size).u64().unwrap_or(0) as usize;
                }
                frames::BODY => {
                    self.body.extend_from_slice(frame.payload);
                    self.missing = self.missing.saturating_sub(frame.payload.len());
                }
                _ => {
                    refuse_close(&frame)?;
                    continue;
                }
            }
            if self.missing == 0 {
                each(self)?;
            }
        }
        Ok(())
    }
}
