//! Private RabbitMQ nodes and Python oslo.messaging peers for tests.
//!
//! [`Broker`] is a RabbitMQ node with its own name, ports, data folder and cookie, so that several
//! suites can run at the same time. [`Peer`] is a second process, most often Python on
//! oslo.messaging. [`CuttingProxy`] is a proxy to a broker that closes a connection at a given
//! octet; [`FaultProxy`] resets, silences or slows its connections. [`EventSubscriber`] gives a
//! test the events Leveret logs. Invariant: nothing started here outlives the test process,
//! whatever ends it (a watchdog process kills it). A missing program never skips a test: the
//! constructor panics and says how to get it. Not here: assertions, AMQP above its frames, anything
//! of Leveret itself.
//!
//! ```no_run
//! use leveret_support::{Broker, Peer};
//!
//! let url = Broker::shared().vhost("echo");
//! let server = Peer::spawn("rpc_server.py", &["--url", &url, "--topic", "t", "--server", "s"]);
//! assert!(server.is_running());
//! ```
#![expect(clippy::disallowed_methods, reason = "tests of real brokers need the real clock")]

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
mod tls;
mod watchdog;

pub use broker::{Broker, QueueCount};
pub use cutting::{CloseMode, CutMessage, CutOffset, CutPoint, CuttingProxy, FramePart};
pub use events::EventSubscriber;
pub use fault_proxy::FaultProxy;
pub use network::Network;
pub use operator::{ALL, Alarm, NONE, Operator, Permissions};
pub use peer::Peer;
pub use tls::{Authority, Issued, Leaf, TlsListener};

use std::path::Path;

/// Returns the last `lines` lines of a log file, or a note that the file is missing.
fn tail(path: &Path, lines: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else {
        return format!("({} is missing)", path.display());
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Returns a random number.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
