//! The brokers of `fake://`: in this process, one for each virtual host.
//!
//! Transports of one process with the same URL use the same broker, as with oslo's fake driver.
//! Unlike there, messages are AMQP on a socket, and exceptions arrive as data, not as the objects
//! that were raised. A broker stops when no transport uses it. This map is the driver's only global
//! state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use leveret_engine::Host;
use leveret_engine::loopback::{Loopback, LoopbackConfig};

use crate::error::{Error, ErrorKind};

static BROKERS: Mutex<Option<HashMap<String, Weak<Loopback>>>> = Mutex::new(None);

/// Returns the broker of a virtual host; starts it if it does not run.
pub(crate) fn broker(virtual_host: &str) -> Result<Arc<Loopback>, Error> {
    let mut brokers = BROKERS.lock().unwrap_or_else(PoisonError::into_inner);
    let brokers = brokers.get_or_insert_default();
    brokers.retain(|_, broker| broker.strong_count() > 0);
    if let Some(broker) = brokers.get(virtual_host).and_then(Weak::upgrade) {
        return Ok(broker);
    }
    let mut config = LoopbackConfig::default();
    if virtual_host != "/" {
        config.vhosts.push(virtual_host.to_owned());
    }
    let broker = Loopback::start(config).map_err(|error| {
        Error::new(ErrorKind::TransportDriverError, format!("fake:// cannot listen: {error}"))
            .with_cause(error)
    })?;
    let broker = Arc::new(broker);
    brokers.insert(virtual_host.to_owned(), Arc::downgrade(&broker));
    Ok(broker)
}

/// The address of a broker.
pub(crate) fn host(broker: &Loopback) -> Host {
    Host::new(broker.addr().ip().to_string(), broker.addr().port())
}
