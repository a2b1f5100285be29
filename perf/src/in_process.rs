//! Peers inside this process: the embedded broker, the sink and the source.
//!
//! Their threads are named so that the meter leaves them out. Each lives until what is returned is
//! dropped.

use std::any::Any;

use anyhow::{Context, Result};
use leveret_engine::loopback::{Loopback, LoopbackConfig, Sink, Source};

use crate::broker_address::BrokerAddress;

/// A peer, and the address where it listens.
type RunningPeer = (BrokerAddress, Box<dyn Any>);

/// A peer that takes everything and only counts.
pub(crate) fn sink() -> Result<RunningPeer> {
    let sink = Sink::start().context("the sink does not start")?;
    Ok((BrokerAddress::local(sink.addr()), Box::new(sink)))
}

/// A peer that sends deliveries of `payload_bytes` as fast as they are read.
pub(crate) fn source(payload_bytes: usize) -> Result<RunningPeer> {
    let source = Source::start(payload_bytes).context("the source does not start")?;
    Ok((BrokerAddress::local(source.addr()), Box::new(source)))
}

/// A whole broker.
pub(crate) fn broker() -> Result<RunningPeer> {
    let config = LoopbackConfig::default();
    let broker = Loopback::start(config).context("the embedded broker does not start")?;
    Ok((BrokerAddress::local(broker.addr()), Box::new(broker)))
}
