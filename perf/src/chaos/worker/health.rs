//! The health of a worker: whether its connections are open, and what does not work.
//!
//! A worker reports each change. Invariant: the last report is true to within `POLL_INTERVAL`. Not
//! here: what is expected of a worker (`run`).

use std::time::Duration;

use leveret::{ListeningHealth, TransportHealth};

use crate::chaos::protocol::Health;
use crate::chaos::protocol::Reporter;

/// Interval between two readings.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

impl Health {
    /// The health of these transports, servers and listeners.
    pub(crate) fn of(transports: &[TransportHealth], listening: &[ListeningHealth]) -> Self {
        let own = listening.iter().map(|one| &one.connection);
        let connections = transports.iter().flat_map(|one| &one.connections).chain(own);
        let (mut is_connected, mut wrong) = (true, Vec::new());
        for connection in connections.filter(|connection| !connection.is_ready()) {
            is_connected &= matches!(connection.state, leveret::ConnectionState::Blocked(_));
            wrong.push(format!("{} is {:?}", connection.purpose, connection.state));
        }
        for transport in transports.iter().filter(|transport| !transport.is_ready()) {
            wrong.push(format!("the way of replies is {:?}", transport.reply_path));
        }
        for one in listening.iter().filter(|one| !one.is_ready()) {
            let waiting = one.consumers.iter().filter(|consumer| !consumer.is_ready());
            wrong.extend(waiting.map(|consumer| format!("{} waits", consumer.queue)));
        }
        Self { is_connected, wrong: wrong.join(", ") }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Reports what `read` returns whenever it has changed. Never returns.
pub(crate) async fn tell(reporter: &Reporter, read: impl Fn() -> Health) {
    let mut last = None;
    loop {
        let now = read();
        if last.as_ref() != Some(&now) {
            reporter.health(now.clone());
            last = Some(now);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
