//! Peers inside this process: the embedded broker, the sink and the source.
//!
//! The meter recognises their threads by their names and leaves them out. A peer stops when its
//! handle is dropped.

use std::any::Any;

use anyhow::{Context, Result};
use leveret_engine::loopback::{Loopback, LoopbackConfig, Sink, Source};

use crate::broker::address::BrokerAddress;

/// The address of a peer, and its handle.
type RunningPeer = (BrokerAddress, Box<dyn Any>);

/// Starts a peer that accepts and counts everything.
pub(crate) fn sink() -> Result<RunningPeer> {
    let sink = Sink::start().context("the sink does not start")?;
    Ok((BrokerAddress::local(sink.addr()), Box::new(sink)))
}

/// Starts a peer that sends deliveries of `payload_bytes` as fast as the client reads.
pub(crate) fn source(payload_bytes: usize) -> Result<RunningPeer> {
    let source = Source::start(payload_bytes).context("the source does not start")?;
    Ok((BrokerAddress::local(source.addr()), Box::new(source)))
}

/// Starts a broker.
pub(crate) fn broker() -> Result<RunningPeer> {
    let config = LoopbackConfig::default();
    let broker = Loopback::start(config).context("the embedded broker does not start")?;
    Ok((BrokerAddress::local(broker.addr()), Box::new(broker)))
}
