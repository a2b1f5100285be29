//! Memory limits and timeouts of a connection, for which oslo has no options.

use std::time::Duration;

use leveret_engine::{ConnectMode, ConnectionConfig};

/// Memory limits and timeouts of each connection of a transport; group `leveret` in files.
///
/// ```
/// let mut config = leveret::DriverConfig::default();
/// config.connection.outbox_bytes = 4 << 20;
/// assert_eq!(config.connection.blocks_max, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionOptions {
    /// Bytes that a channel keeps in memory for sending: waiting, and sent but unconfirmed. Senders
    /// wait while it is full. Default 1 MiB, at most 1 GiB.
    pub outbox_bytes: usize,
    /// Largest size of a block of the read buffer, in bytes. Default 64 KiB, at least 4 KiB, the
    /// size of the first blocks: they grow when a read fills one.
    pub block_bytes: usize,
    /// Blocks per connection, allocated on demand. While slices of all blocks are in use, the
    /// connection does not read. Default 256, at least 1.
    pub blocks_max: usize,
    /// Largest message accepted from the broker, in bytes. Default 64 MiB.
    pub body_max: u64,
    /// Timeout of name resolution, per host. Default 5 s.
    pub resolve_timeout: Duration,
    /// Timeout of a TCP connect, per address of a host. Default 1 s.
    pub connect_timeout: Duration,
    /// Whether a transport is made only once it is connected to a broker. Default
    /// [`ConnectMode::Eager`]; see [`TransportBuilder::lazy`](crate::TransportBuilder::lazy).
    pub connect: ConnectMode,
    /// How long the first connect of a connection tries the hosts again and again before it fails;
    /// it fails earlier when every host has refused. Default 0: each host once. Servers and
    /// listeners of a lazy transport wait as long for a broker when they start, but at least for
    /// `operation_timeout`.
    pub connect_deadline: Duration,
    /// Timeout of the AMQP handshake, and of the TLS handshake before it. Default 5 s each.
    pub handshake_timeout: Duration,
    /// Timeout of a declaration. Default 10 s. After one, the connection goes to the next host.
    pub operation_timeout: Duration,
    /// How long a broker may confirm nothing while messages wait for confirms. Default 5 s, zero
    /// for ever. After that, the connection goes to the next host, and this one is tried last for
    /// 30 s. Time in which the broker blocks publishers does not count.
    pub confirm_timeout: Duration,
    /// How long a message that the broker refuses (`basic.nack`: its queue is full or has failed)
    /// is sent again, within its deadline. Default 5 s, zero for not at all. It applies to messages
    /// that [`Retry`](crate::Retry) allows to be sent again and whose outcome a caller awaits.
    pub nack_retry_timeout: Duration,
    /// How often exchanges, queues and bindings are declared again, to restore deleted ones.
    /// Default 30 s, zero for only after the broker reports one as missing.
    pub topology_audit_interval: Duration,
    /// `TCP_USER_TIMEOUT`: how long sent data may stay unacknowledged. Default 2 s, zero for the
    /// system's default.
    pub tcp_user_timeout: Duration,
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
            resolve_timeout: engine.resolve_timeout,
            connect_timeout: engine.connect_timeout,
            connect: engine.connect,
            connect_deadline: engine.connect_deadline,
            handshake_timeout: engine.handshake_timeout,
            operation_timeout: engine.operation_timeout,
            confirm_timeout: engine.confirm_timeout,
            nack_retry_timeout: engine.nack_retry,
            topology_audit_interval: engine.audit_interval,
            tcp_user_timeout: engine.tcp_user_timeout,
        }
    }
}

impl ConnectionOptions {
    /// Sets these options in the configuration of the engine.
    pub(crate) fn apply_to(&self, config: &mut ConnectionConfig) {
        config.outbox_bytes = self.outbox_bytes;
        config.block_bytes = self.block_bytes;
        config.blocks_max = self.blocks_max;
        config.body_max = self.body_max;
        config.resolve_timeout = self.resolve_timeout;
        config.connect_timeout = self.connect_timeout;
        config.connect = self.connect;
        config.connect_deadline = self.connect_deadline;
        config.handshake_timeout = self.handshake_timeout;
        config.operation_timeout = self.operation_timeout;
        config.confirm_timeout = self.confirm_timeout;
        config.nack_retry = self.nack_retry_timeout;
        config.audit_interval = self.topology_audit_interval;
        config.tcp_user_timeout = self.tcp_user_timeout;
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
            connect: ConnectMode::Lazy,
            connect_deadline: Duration::from_secs(13),
            handshake_timeout: Duration::from_secs(6),
            operation_timeout: Duration::from_secs(7),
            tcp_user_timeout: Duration::from_secs(8),
            resolve_timeout: Duration::from_secs(9),
            confirm_timeout: Duration::from_secs(10),
            nack_retry_timeout: Duration::from_secs(11),
            topology_audit_interval: Duration::from_secs(12),
        };
        let mut config = ConnectionConfig::new(Vec::new());
        options.apply_to(&mut config);
        let sizes = (config.outbox_bytes, config.block_bytes, config.blocks_max, config.body_max);
        assert_eq!(sizes, (1, 2, 3, 4));
        let times = [
            config.connect_timeout,
            config.handshake_timeout,
            config.operation_timeout,
            config.tcp_user_timeout,
            config.resolve_timeout,
            config.confirm_timeout,
            config.nack_retry,
            config.audit_interval,
            config.connect_deadline,
        ];
        assert_eq!(times.map(|time| time.as_secs()), [5, 6, 7, 8, 9, 10, 11, 12, 13]);
        assert_eq!(config.connect, ConnectMode::Lazy);
    }
}
