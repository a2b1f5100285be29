//! How a loopback broker is to be, what it counts, and what its faults are.

use std::time::Duration;

/// A connection's place in the broker's list.
pub(crate) type ConnectionId = usize;

/// A queue's place in the broker's list.
pub(crate) type QueueId = usize;

/// How a [`Loopback`](crate::loopback::server::Loopback) is to be.
#[derive(Clone)]
pub struct LoopbackConfig {
    /// The port on 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// Virtual hosts beside `/`. Default: none.
    pub vhosts: Vec<String>,
    /// Users and their passwords. Default: guest, guest.
    pub users: Vec<(String, String)>,
    /// Whether passwords are checked. Default: true.
    pub check_login: bool,
    /// Largest frame offered, in bytes. Default: 131072, RabbitMQ's.
    pub frame_max: u32,
    /// Highest channel number offered; 0 is no bound. Default: 2047, RabbitMQ's.
    pub channel_max: u16,
    /// Heartbeat interval offered, in seconds; 0 is none. Default: 60, RabbitMQ's.
    pub heartbeat: u16,
    /// Refuses queues that are neither durable nor exclusive with 541, as RabbitMQ 4.3 does where
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
    /// Without the passwords.
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

/// What a [`Loopback`](crate::loopback::server::Loopback) has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopbackStats {
    /// Connections open now.
    pub connections: u64,
    /// Frames received; those of a publication that came whole count as one.
    pub frames_in: u64,
    /// Publications received.
    pub published: u64,
    /// Publications returned as unroutable.
    pub returned: u64,
    /// Deliveries handed over, `basic.get` included.
    pub delivered: u64,
    /// Deliveries acknowledged, or rejected for good.
    pub acked: u64,
}

/// A declaration to be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedDeclare {
    /// The name of the queue or exchange.
    pub name: String,
    /// The reply code: 403 to 406 close the channel, others the connection.
    pub code: u16,
    /// The reply text.
    pub text: String,
}

/// Lasting faults. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Time between deciding on bytes and sending them. Default: none.
    pub delay: Duration,
    /// After this many frames received on a connection nothing on it is answered or sent any
    /// more, heartbeats included, and it stays open; 0 is silent from the protocol header on.
    /// Default: never.
    pub silent_after_frames: Option<u64>,
    /// Sent instead of `connection.start`. Default: none.
    pub greeting: Option<Vec<u8>>,
    /// Declarations to be refused, passive or not. Default: none.
    pub refused_declares: Vec<RefusedDeclare>,
    /// Queues whose declaration is never answered, as by a node that has lost its cluster. What
    /// else is asked on the same channel is answered. Default: none.
    pub unanswered_declares: Vec<String>,
    /// Refuses to open a connection, with this reply code and text: 403 as for a user who is not
    /// there, 530 as for a virtual host. Default: no.
    pub refused_open: Option<(u16, String)>,
    /// The largest body taken, RabbitMQ's `max_message_size`; a larger one ends its channel (406).
    /// Default: none but the loopback's own.
    pub message_max: Option<u64>,
    /// Publishing to one of these exchanges ends the channel (403), as without permission to write.
    /// Default: none.
    pub unwritable_exchanges: Vec<String>,
    /// Answers every publication on a confirming channel with `basic.nack` and drops it; without
    /// confirms it is only dropped. Default: false.
    pub nack_publishes: bool,
    /// Takes publications and never confirms them. A later confirm with `multiple` covers them,
    /// as on any broker. Default: false.
    pub withhold_confirms: bool,
}
