//! Bounds of a connection that oslo has no names for: memory and patience.

use std::time::Duration;

use leveret_engine::ConnectionConfig;

/// Memory and patience of each connection of a transport, in the group `leveret` of files.
///
/// ```
/// let mut config = leveret::DriverConfig::default();
/// config.connection.outbox_bytes = 4 << 20;
/// assert_eq!(config.connection.blocks_max, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// What a channel keeps in memory for sending, in bytes: waiting, and sent but unconfirmed.
    /// Senders wait when it is full. Default 1 MiB, at most 1 GiB.
    pub outbox_bytes: usize,
    /// Size of a block that is read into, in bytes. Default 64 KiB, at least 4 KiB.
    pub block_bytes: usize,
    /// Blocks a connection keeps, made on demand. When slices of all of them are held, reading
    /// stops. Default 256, at least 1.
    pub blocks_max: usize,
    /// Largest message accepted from the broker, in bytes. Default 64 MiB.
    pub body_max: u64,
    /// How long a TCP connect may take, per host. Default 1 s.
    pub connect_timeout: Duration,
    /// How long the AMQP handshake may take. Default 5 s.
    pub handshake_timeout: Duration,
    /// How long a declaration may take. Default 10 s.
    pub operation_timeout: Duration,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged by the peer's kernel.
    /// Default 2 s, zero for the system's.
    pub user_timeout: Duration,
}

impl Default for ConnectionOptions {
    /// The engine's own defaults.
    fn default() -> Self {
        let engine = ConnectionConfig::new(Vec::new());
        Self {
            outbox_bytes: engine.outbox_bytes,
            block_bytes: engine.block_bytes,
            blocks_max: engine.blocks_max,
            body_max: engine.body_max,
            connect_timeout: engine.connect_timeout,
            handshake_timeout: engine.handshake_timeout,
            operation_timeout: engine.operation_timeout,
            user_timeout: engine.user_timeout,
        }
    }
}

impl ConnectionOptions {
    /// Tells the engine.
    pub(crate) fn apply_to(&self, config: &mut ConnectionConfig) {
        config.outbox_bytes = self.outbox_bytes;
        config.block_bytes = self.block_bytes;
        config.blocks_max = self.blocks_max;
        config.body_max = self.body_max;
        config.connect_timeout = self.connect_timeout;
        config.handshake_timeout = self.handshake_timeout;
        config.operation_timeout = self.operation_timeout;
        config.user_timeout = self.user_timeout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_reaches_the_engine() {
        let options = ConnectionOptions {
            outbox_bytes: 1,
            block_bytes: 2,
            blocks_max: 3,
            body_max: 4,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(6),
            operation_timeout: Duration::from_secs(7),
            user_timeout: Duration::from_secs(8),
        };
        let mut config = ConnectionConfig::new(Vec::new());
        options.apply_to(&mut config);
        let sizes = (config.outbox_bytes, config.block_bytes, config.blocks_max, config.body_max);
        assert_eq!(sizes, (1, 2, 3, 4));
        let times = [
            config.connect_timeout,
            config.handshake_timeout,
            config.operation_timeout,
            config.user_timeout,
        ];
        assert_eq!(times.map(|time| time.as_secs()), [5, 6, 7, 8]);
    }
}
