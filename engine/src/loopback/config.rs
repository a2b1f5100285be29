//! Configuration, counters and faults of a loopback broker.

use std::time::Duration;

/// Index of a connection in the broker's list.
pub(crate) type ConnectionId = usize;

/// Index of a queue in the broker's list.
pub(crate) type QueueId = usize;

/// Configuration of a [`Loopback`](crate::loopback::server::Loopback) broker.
#[derive(Clone)]
pub struct LoopbackConfig {
    /// The port on 127.0.0.1; the default 0 selects a free one.
    pub port: u16,
    /// Virtual hosts in addition to `/`. Default: none.
    pub vhosts: Vec<String>,
    /// Users and their passwords. Default: guest, guest.
    pub users: Vec<(String, String)>,
    /// Whether the broker checks passwords. Default: true.
    pub check_login: bool,
    /// Largest frame offered, in bytes. Default: 131072, as RabbitMQ.
    pub frame_max: u32,
    /// Highest channel number offered; 0 means no limit. Default: 2047, as RabbitMQ.
    pub channel_max: u16,
    /// Heartbeat interval offered, in seconds; 0 means none. Default: 60, as RabbitMQ.
    pub heartbeat: u16,
    /// Refuses queues that are neither durable nor exclusive with 541, as RabbitMQ 4.3 does if
    /// `deprecated_features.permit.transient_nonexcl_queues` is false. Default: false.
    pub refuse_transient_queues: bool,
    /// Faults from the start. Default: none.
    pub script: Script,
}

impl Default for LoopbackConfig {
    fn default() -> Self {
        Self {
            port: 0,
            vhosts: Vec::new(),
            users: vec![("guest".to_owned(), "guest".to_owned())],
            check_login: true,
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: 60,
            refuse_transient_queues: false,
            script: Script::default(),
        }
    }
}

impl std::fmt::Debug for LoopbackConfig {
    /// Omits the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let users: Vec<&str> = self.users.iter().map(|(user, _)| user.as_str()).collect();
        f.debug_struct("LoopbackConfig")
            .field("port", &self.port)
            .field("vhosts", &self.vhosts)
            .field("users", &users)
            .field("frame_max", &self.frame_max)
            .field("channel_max", &self.channel_max)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

/// Counters of a [`Loopback`](crate::loopback::server::Loopback) broker since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopbackStats {
    /// Connections open now.
    pub connections: u64,
    /// Frames received; those of a publication that arrives whole count as one.
    pub frames_in: u64,
    /// Publications received.
    pub published: u64,
    /// Publications returned as unroutable.
    pub returned: u64,
    /// Deliveries sent, including `basic.get`.
    pub delivered: u64,
    /// Deliveries acknowledged, or rejected without requeue.
    pub acked: u64,
}

/// A declaration that the broker refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedDeclare {
    /// The name of the queue or exchange.
    pub name: String,
    /// The reply code: 403 to 406 close the channel, others close the connection.
    pub code: u16,
    /// The reply text.
    pub text: String,
}

/// Lasting faults. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Delay before the broker sends its bytes. Default: none.
    pub delay: Duration,
    /// After this many frames received on a connection, the broker neither answers nor sends
    /// anything on it, including heartbeats, and keeps it open; 0 is silent from the protocol
    /// header on. Default: never.
    pub silent_after_frames: Option<u64>,
    /// Bytes sent instead of `connection.start`. Default: none.
    pub greeting: Option<Vec<u8>>,
    /// Declarations that are refused, passive or not. Default: none.
    pub refused_declares: Vec<RefusedDeclare>,
    /// Queues whose declaration is never answered, as by a node that has lost its cluster. Other
    /// requests on the same channel are answered. Default: none.
    pub unanswered_declares: Vec<String>,
    /// Refuses to open a connection, with this reply code and text: 403 as for an unknown user, 530
    /// as for an unknown virtual host. Default: none.
    pub refused_open: Option<(u16, String)>,
    /// The largest body accepted, RabbitMQ's `max_message_size`; a larger one closes its channel
    /// (406). Default: only the loopback's own limit of 128 MiB.
    pub message_max: Option<u64>,
    /// Publishing to one of these exchanges closes the channel (403), as without write permission.
    /// Default: none.
    pub unwritable_exchanges: Vec<String>,
    /// Refuses every publication on a channel with confirms with `basic.nack` and drops it; without
    /// confirms, only drops it. Default: false.
    pub nack_publishes: bool,
    /// Accepts publications and never confirms them. A later confirm with `multiple` covers them,
    /// as on any broker. Default: false.
    pub withhold_confirms: bool,
    /// Never answers `basic.qos`, which confirms what was published on a channel with
    /// [`Confirms::Together`](crate::Confirms::Together). Default: false.
    pub withhold_qos: bool,
}
