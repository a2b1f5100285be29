//! Private RabbitMQ nodes and Python oslo.messaging peers for tests.
//!
//! [`Broker`] is a RabbitMQ node of our own (own name, ports, data folder, cookie), so that any
//! number of suites run side by side; [`Peer`] is a process beside the test, most often Python that
//! speaks oslo.messaging; [`CuttingProxy`] is a way to a broker that breaks where a test wants it,
//! [`FaultProxy`] one that harms its connections in other ways; [`EventSubscriber`] hands a
//! test what Leveret logs.
//! Invariant: nothing started here outlives the test process, however that ends (a watchdog
//! process sees to it). Neither ever skips: what is missing is a panic that says how to get it.
//! Not here: assertions, AMQP beyond its frames, anything of Leveret itself.
//!
//! ```no_run
//! use leveret_support::{Broker, Peer};
//!
//! let url = Broker::shared().vhost("echo");
//! let server = Peer::spawn("rpc_server.py", &["--url", &url, "--topic", "t", "--server", "s"]);
//! assert!(server.is_running());
//! ```
#![expect(clippy::disallowed_methods, reason = "tests of the world outside need its clock")]

mod accounts;
mod broker;
mod control;
mod cutting;
mod events;
mod fault_proxy;
mod frames;
mod network;
mod node;
mod operator;
mod peer;
mod ports;
mod watchdog;

pub use broker::{Broker, QueueCount};
pub use cutting::{At, By, Carried, Cut, CuttingProxy, Part};
pub use events::EventSubscriber;
pub use fault_proxy::FaultProxy;
pub use network::Network;
pub use operator::{ALL, Alarm, NONE, Operator, Permissions};
pub use peer::Peer;

use std::path::Path;

/// The last `lines` lines of a log file, or a note that there is none.
fn tail(path: &Path, lines: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else {
        return format!("({} is missing)", path.display());
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A number nobody else is likely to have drawn.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
