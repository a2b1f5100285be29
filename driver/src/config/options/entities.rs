//! How exchanges and queues are declared, and the profiles that stand for several of these options.

use std::time::Duration;

/// How exchanges and queues are declared. All peers of a topic must agree: the broker refuses a
/// declaration that differs (406).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntityOptions {
    /// `queue_profile` (not oslo's): how queues adapt to the broker. Default auto.
    pub profile: QueueProfile,
    /// `amqp_durable_queues`: permanent exchanges and queues survive the broker. Default false.
    pub durable: bool,
    /// `amqp_auto_delete`: permanent exchanges and queues are deleted with their last user. Default
    /// false.
    pub auto_delete: bool,
    /// `rabbit_quorum_queue`: permanent queues are quorum queues, and permanent exchanges and
    /// queues are durable. Default false.
    pub quorum: bool,
    /// `rabbit_quorum_delivery_limit`: deliveries before a quorum queue drops a message; 0 for the
    /// broker's default.
    pub quorum_delivery_limit: u32,
    /// `rabbit_quorum_max_memory_length`: messages that a quorum queue keeps in memory; 0 for the
    /// broker's default.
    pub quorum_max_memory_length: u32,
    /// `rabbit_quorum_max_memory_bytes`: bytes that a quorum queue keeps in memory; 0 for the
    /// broker's default.
    pub quorum_max_memory_bytes: u32,
    /// `rabbit_transient_quorum_queue`: reply and fanout queues are durable quorum queues. Default
    /// false.
    pub transient_quorum: bool,
    /// `rabbit_transient_queues_ttl`: how long an unused reply or fanout queue exists, and messages
    /// stay in a fanout stream; zero for ever. Default 30 minutes.
    pub transient_ttl: Duration,
    /// `rabbit_stream_fanout`: all fanouts of a topic go through one stream, `<topic>_fanout`,
    /// which every server reads. Needs `transient_quorum` and a prefetch above zero. A server that
    /// starts reads from the last chunk of the stream: it may receive fanouts sent before its
    /// start, and miss those sent while it was stopped. A server that lost its connection continues
    /// at its offset. Default false.
    pub stream_fanout: bool,
    /// `rabbit_ha_queues`: queues have the argument `x-ha-policy: all`, which brokers since
    /// RabbitMQ 3.0 ignore. Excludes quorum queues. Default false.
    pub ha: bool,
    /// `enable_cancel_on_failover`: consumers have the argument `x-cancel-on-ha-failover`, so that
    /// the broker cancels them when their mirrored queue moves; they consume again at once. Default
    /// false.
    pub cancel_on_failover: bool,
    /// `direct_mandatory_flag`: replies are mandatory, so that the broker returns one to a missing
    /// queue and it is sent again. Default true.
    pub direct_mandatory: bool,
}

impl Default for EntityOptions {
    fn default() -> Self {
        Self {
            profile: QueueProfile::Auto,
            durable: false,
            auto_delete: false,
            quorum: false,
            quorum_delivery_limit: 0,
            quorum_max_memory_length: 0,
            quorum_max_memory_bytes: 0,
            transient_quorum: false,
            transient_ttl: Duration::from_secs(1800),
            stream_fanout: false,
            ha: false,
            cancel_on_failover: false,
            direct_mandatory: true,
        }
    }
}

/// How queues adapt to the broker (`queue_profile`, an option that oslo does not have).
///
/// ```
/// use leveret::{EntityOptions, QueueProfile};
///
/// let mut entities = EntityOptions::default();
/// entities.profile = QueueProfile::Quorum;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum QueueProfile {
    /// `auto`: queues as the other options define them, so that shared ones equal those of Python
    /// peers. Where a broker refuses queues that are neither durable nor exclusive (RabbitMQ 4 with
    /// the feature `transient_nonexcl_queues` denied), reply and fanout queues, which only their
    /// own process consumes from, become exclusive. The broker deletes them with their connection:
    /// a fanout that arrives while it is down is lost, and a reply is sent again for a limited
    /// time; otherwise both wait in the queue. Shared queues are not adapted, as all peers must
    /// agree: set `amqp_durable_queues` or `rabbit_quorum_queue` on all of them.
    #[default]
    Auto,
    /// `classic`: queues exactly as the other options define them; a refusal of the broker is an
    /// error.
    Classic,
    /// `quorum`: sets `rabbit_quorum_queue` and `rabbit_transient_quorum_queue`. Queues are
    /// replicated and survive the loss of a node. Each message costs a disk write on a majority of
    /// nodes, and each queue more memory.
    Quorum,
    /// `local-random`, for calls that stay on one node of a cluster (RabbitMQ 4.0 or later, else
    /// declarations fail: 503). Each server has an exclusive queue besides its others, and requests
    /// to a topic go to any one server that is connected to the client's node, through the exchange
    /// `<exchange>_<topic>_local` of type `x-local-random`: no queue is shared, replicated, or read
    /// across the network. Limits: clients of this profile reach only servers of this profile on
    /// their own node; without one, a call times out and a cast is lost, unless it is
    /// at-least-once. Servers share no backlog, and requests in a server's queue are lost with its
    /// connection, unless the server was [stopped](crate::RpcServer::stop) before. Servers also
    /// serve clients of other profiles and Python clients. Requests to one server, fanouts and
    /// other queues are as with `auto`.
    LocalRandom,
}

impl QueueProfile {
    /// Sets the options that this profile implies.
    pub(crate) const fn apply(self, entities: &mut EntityOptions) {
        if matches!(self, Self::Quorum) {
            entities.quorum = true;
            entities.transient_quorum = true;
        }
    }
}
