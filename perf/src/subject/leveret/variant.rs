//! Configurations of Leveret as subjects of their own: dialects, serialisers and connection
//! factories.
//!
//! A variant is a set of URL options, and the names of exchanges and queues that follow from them.
//! The code that does the work is the same for all variants. Invariant: client and server of a run
//! are of one variant. The scheme is always `rabbit`, so connections do not differ.

use crate::subject::job::{Exchange, oslo_exchange, oslo_routing_key};
use crate::workload::workload::{Operation, Workload};

/// How Leveret is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The defaults: the `kombu` dialect, a connection for each purpose.
    Plain,
    /// The `pika` dialect on both sides.
    Pika,
    /// The `pika` dialect on both sides, serialised as msgpack.
    MsgPack,
    /// Servers of both dialects, clients that find the dialect of a server.
    Auto,
    /// Servers of both dialects, clients of `kombu`.
    Both,
    /// One connection for everything.
    Single,
    /// One connection to publish on, one to consume from.
    ReadWrite,
    /// Two connections to publish on.
    Pool,
    /// A connection to publish on for each shard.
    PerShard,
}

/// Options of all variants: unused queues expire soon after the run.
const SHORT_EXPIRY: &str = "rabbit_transient_queues_ttl=10&rpc_queue_expiration=10";

impl Variant {
    /// All variants but the plain one, which is always measured.
    pub(crate) const OTHERS: [Self; 8] = [
        Self::Pika,
        Self::MsgPack,
        Self::Auto,
        Self::Both,
        Self::Single,
        Self::ReadWrite,
        Self::Pool,
        Self::PerShard,
    ];

    /// The name of this subject.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "leveret",
            Self::Pika => "leveret-pika",
            Self::MsgPack => "leveret-msgpack",
            Self::Auto => "leveret-auto",
            Self::Both => "leveret-both",
            Self::Single => "leveret-single",
            Self::ReadWrite => "leveret-read-write",
            Self::Pool => "leveret-pool",
            Self::PerShard => "leveret-per-shard",
        }
    }

    /// The variant of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut all = std::iter::once(Self::Plain).chain(Self::OTHERS);
        all.find(|variant| variant.name() == name)
    }

    /// The variant whose exchanges and queues are used under these options as well.
    pub(super) fn with_dialects_of(self, options: &[(String, String)]) -> Self {
        let value = |name: &str| {
            let found = options.iter().rev().find(|(option, _)| option == name);
            found.map(|(_, value)| value.as_str())
        };
        match (value("dialect_serving"), value("dialect_sending")) {
            (None, None) => self,
            (Some("pika"), _) => Self::Pika,
            (Some("both"), Some("auto")) => Self::Auto,
            (Some("both"), _) => Self::Both,
            (_, Some("auto")) => Self::Auto,
            (_, Some("pika")) => Self::Pika,
            _ => Self::Plain,
        }
    }

    /// The query of its URLs.
    pub(super) fn query(self) -> String {
        let options = match self {
            Self::Plain => "",
            Self::Pika => "&dialect_serving=pika&dialect_sending=pika",
            Self::MsgPack => {
                "&dialect_serving=pika&dialect_sending=pika&default_serializer_type=msgpack"
            }
            Self::Auto => "&dialect_serving=both&dialect_sending=auto",
            Self::Both => "&dialect_serving=both",
            Self::Single => "&connection_factory=single",
            Self::ReadWrite => "&connection_factory=read_write",
            Self::Pool => "&connection_factory=pool:2",
            Self::PerShard => "&connection_factory=per_shard",
        };
        format!("{SHORT_EXPIRY}{options}")
    }

    /// Whether its options make a difference in this workload that can be measured.
    pub(super) fn measures(self, workload: &Workload) -> bool {
        match self {
            Self::Plain => true,
            _ if workload.operation == Operation::Idle => true,
            // Their requests wait for a route instead of being returned.
            Self::Pika | Self::MsgPack => workload.through_driver() && !workload.is_beside_flood(),
            // Its buffered casts wait for the broker's confirm, so they are no flood.
            Self::Auto => workload.through_driver() && !workload.is_beside_flood(),
            Self::Both => workload.servers > 0,
            Self::Single | Self::ReadWrite | Self::Pool | Self::PerShard => {
                workload.through_driver()
            }
        }
    }

    /// The dialect of its messages.
    pub(super) const fn dialect(self) -> &'static str {
        match self {
            Self::Pika | Self::MsgPack => "pika",
            Self::Auto => "auto",
            _ => "kombu",
        }
    }

    /// Whether messages of this operation go to the names of the `pika` driver. Clients that find
    /// the dialect of a server try these names first; notifications have one name only.
    fn goes_to_pika(self, operation: Operation) -> bool {
        match self {
            Self::Pika | Self::MsgPack => true,
            Self::Auto => operation != Operation::Notify,
            _ => false,
        }
    }

    /// Exchanges of a workload; messages are sent to the first one.
    pub(super) fn exchanges(self, workload: &Workload, topic: &str) -> Vec<Exchange> {
        let control = oslo_exchange(topic);
        let purpose = if workload.operation == Operation::Notify { "notification" } else { "rpc" };
        let pika = Exchange::pika(format!("{control}_{purpose}"));
        let kombu = Exchange::kombu(control);
        match self {
            Self::Pika | Self::MsgPack => vec![pika],
            Self::Auto if self.goes_to_pika(workload.operation) => vec![pika, kombu],
            Self::Auto | Self::Both => vec![kombu, pika],
            _ => vec![kombu],
        }
    }

    /// The queue that receives the messages; its name is their routing key as well.
    pub(super) fn queue(self, operation: Operation, topic: &str) -> String {
        let key = oslo_routing_key(operation, topic);
        let is_request = operation != Operation::Notify;
        if is_request && self.goes_to_pika(operation) { format!("with_ack.{key}") } else { key }
    }

    /// Queues that the `n`-th server of a topic leaves on the broker, apart from those with random
    /// names, which expire.
    pub(crate) fn queues_of_server(self, topic: &str, n: usize) -> Vec<String> {
        let addresses = [topic.to_owned(), format!("{topic}.{}", server(n))];
        let prefixes: &[&str] = match self {
            Self::Pika | Self::MsgPack => &["with_ack.", "no_ack."],
            Self::Auto | Self::Both => &["", "with_ack.", "no_ack."],
            _ => &[""],
        };
        let named = |prefix| addresses.iter().map(move |address| format!("{prefix}{address}"));
        prefixes.iter().flat_map(named).collect()
    }
}

/// The name of a topic's `n`-th server.
pub(crate) fn server(n: usize) -> String {
    format!("server-{n}")
}

#[cfg(test)]
mod tests {
    use leveret::Transport;

    use super::*;

    fn workload(name: &str) -> Workload {
        name.parse().expect("in the catalogue")
    }

    #[test]
    fn a_child_finds_the_variant_its_parent_names() {
        for variant in Variant::OTHERS {
            assert_eq!(Variant::from_name(variant.name()), Some(variant));
        }
        assert_eq!(Variant::from_name("leveret"), Some(Variant::Plain));
        assert_eq!(Variant::from_name("leveret-quick"), None);
    }

    #[test]
    fn the_driver_knows_every_option() {
        for variant in Variant::OTHERS {
            let url = format!("fake:///{}?{}", variant.name(), variant.query());
            let transport = Transport::connect_blocking(&url);
            assert!(transport.is_ok(), "{}: {:?}", variant.name(), transport.err());
        }
    }

    #[test]
    fn a_variant_s_messages_have_its_names() {
        let (cast, notify) = (workload("cast-confirmed"), workload("notify"));
        let first = |variant: Variant, workload| variant.exchanges(workload, "t").swap_remove(0);
        assert_eq!(first(Variant::Pika, &cast), Exchange::pika("t-exchange_rpc".into()));
        assert_eq!(first(Variant::Pika, &notify), Exchange::pika("t-exchange_notification".into()));
        assert_eq!(first(Variant::Auto, &cast), Exchange::pika("t-exchange_rpc".into()));
        assert_eq!(first(Variant::Auto, &notify), Exchange::kombu("t-exchange".into()));
        assert_eq!(Variant::Pika.queue(cast.operation, "t"), "with_ack.t");
        assert_eq!(Variant::Pika.queue(notify.operation, "t"), "t.info");
        assert_eq!(Variant::Pool.queue(cast.operation, "t"), "t");
        assert_eq!(Variant::Single.queues_of_server("t", 0), ["t", "t.server-0"]);
        assert_eq!(Variant::Both.queues_of_server("t", 0).len(), 6);
    }

    #[test]
    fn the_engine_is_measured_once() {
        for variant in Variant::OTHERS {
            assert!(!variant.measures(&workload("engine-publish")), "{}", variant.name());
            assert!(variant.measures(&workload("call-1")), "{}", variant.name());
        }
    }

    #[test]
    fn variants_whose_requests_wait_for_a_route_are_not_measured_as_undeliverable() {
        let measured = |variant: Variant| variant.measures(&workload("undeliverable"));
        assert!(measured(Variant::Plain) && measured(Variant::Single));
        assert!(
            !measured(Variant::Pika) && !measured(Variant::MsgPack) && !measured(Variant::Auto)
        );
    }
}
