//! Profiles: how queues are kept, in one word.

use crate::config::EntityOptions;

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
