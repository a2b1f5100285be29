//! How exchanges and queues are declared, and the profiles that stand for several of these options.

use std::time::Duration;

/// How exchanges and queues are declared. All peers of a topic must agree, or the broker refuses
/// (406).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntityOptions {
    /// `queue_profile` (not oslo's): how queues adapt to the broker. Default auto.
    pub profile: QueueProfile,
    /// `amqp_durable_queues`: permanent exchanges and queues survive the broker. Default false.
    pub durable: bool,
    /// `amqp_auto_delete`: permanent exchanges and queues go with their last user. Default false.
    pub auto_delete: bool,
    /// `rabbit_quorum_queue`: permanent queues are quorum queues, everything permanent durable.
    /// Default false.
    pub quorum: bool,
    /// `rabbit_quorum_delivery_limit`: deliveries before a quorum queue drops a message; 0 for the
    /// broker's own.
    pub quorum_delivery_limit: u32,
    /// `rabbit_quorum_max_memory_length`: messages a quorum queue keeps in memory; 0 for the
    /// broker's own.
    pub quorum_max_memory_length: u32,
    /// `rabbit_quorum_max_memory_bytes`: bytes a quorum queue keeps in memory; 0 for the broker's
    /// own.
    pub quorum_max_memory_bytes: u32,
    /// `rabbit_transient_quorum_queue`: reply and fanout queues are durable quorum queues. Default
    /// false.
    pub transient_quorum: bool,
    /// `rabbit_transient_queues_ttl`: life of an unused reply or fanout queue, and of messages in
    /// a fanout stream; zero for ever. Default 30 minutes.
    pub transient_ttl: Duration,
    /// `rabbit_stream_fanout`: all fanouts of a topic go through one stream, `<topic>_fanout`,
    /// which every server reads. Needs `transient_quorum` and a prefetch above zero. A server that
    /// starts reads the last chunk of the stream again, so it may see fanouts that were sent
    /// before it was there, and miss those that came while it was not; one that lost its
    /// connection goes on where it was. Default false.
    pub stream_fanout: bool,
    /// `rabbit_ha_queues`: queues carry `x-ha-policy: all`, which brokers since RabbitMQ 3.0
    /// ignore; peers that set it must agree, as in all. Excludes quorum queues. Default false.
    pub ha: bool,
    /// `enable_cancel_on_failover`: the broker is asked (`x-cancel-on-ha-failover`) to cancel
    /// consumers whose mirrored queue moves; they consume again at once. Default false.
    pub cancel_on_failover: bool,
    /// `direct_mandatory_flag`: a reply to a missing queue is noticed and tried again. Default
    /// true.
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

/// How queues adapt to what a broker allows (`queue_profile`, an option of Leveret's own).
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
    /// `auto`: queues as the other options say, so that shared ones are those of Python's peers.
    /// Where a broker refuses queues that are neither durable nor exclusive (RabbitMQ 4 with the
    /// feature `transient_nonexcl_queues` denied), reply and fanout queues, which only their own
    /// process consumes from, become exclusive. They then go with their connection: a reply or
    /// fanout that arrives while it is down is lost (a reply is sent again for a while), where it
    /// would have waited in the queue. Shared queues are not adapted, as all peers must agree:
    /// set `amqp_durable_queues` or `rabbit_quorum_queue` everywhere.
    #[default]
    Auto,
    /// `classic`: queues exactly as the other options say; what a broker refuses is an error.
    Classic,
    /// `quorum`: stands for `rabbit_quorum_queue` and `rabbit_transient_quorum_queue`. Queues are
    /// replicated and survive the loss of a node, at the price of a disk write on most nodes for
    /// each message and of more memory for each queue.
    Quorum,
    /// `local-random`, for calls that stay on one node of a cluster (RabbitMQ 4.0 or later, else
    /// nothing can be sent or served: 503). Each server has an exclusive queue besides its others,
    /// and requests to a topic go to any one server that is connected to the client's node,
    /// through the exchange `<exchange>_<topic>_local` of type `x-local-random`: no queue is
    /// shared, replicated, or read across the network. In exchange, clients of this profile reach
    /// only servers of this profile, and only those on their own node: with none there, a call
    /// times out and a cast is lost, unless at-least-once is asked for. There is no backlog that
    /// servers share, and what waits in a server's queue is lost with its connection, unless the
    /// server is [stopped](crate::RpcServer::stop) before. Servers go on to serve clients of other
    /// profiles and Python's. Requests to one server, fanouts and other queues are as with auto.
    LocalRandom,
}

impl QueueProfile {
    /// Sets the options this profile stands for.
    pub(crate) const fn apply(self, entities: &mut EntityOptions) {
        if matches!(self, Self::Quorum) {
            entities.quorum = true;
            entities.transient_quorum = true;
        }
    }
}
