//! What to do, and what to say, when a broker refuses a declaration.
//!
//! Three refusals have an answer. Where a peer was first with an exchange that is not durable, ours
//! is not durable either, as oslo does. Where one of topics is there instead of one of the `pika`
//! dialect, it is used as it is. Where a broker wants no queues that are neither durable nor
//! exclusive, one that is ours alone becomes exclusive. Any other is the user's to resolve, and
//! told by the name of the option. Invariant: one declaration is tried twice at most.

use leveret_engine as engine;

use crate::error::{Error, ErrorKind};
use crate::topology::{Exchange, PASSIVE, Queue, Subscription};

/// It exists and is different.
const PRECONDITION_FAILED: u16 = 406;
/// How RabbitMQ 4 calls queues that are neither durable nor exclusive; it ends the connection (541)
/// over them.
const TRANSIENT_FEATURE: &str = "transient_nonexcl_queues";

/// The argument whose value differs from what exists.
fn differing(error: &engine::Error) -> Option<&'static str> {
    if error.reply_code() != Some(PRECONDITION_FAILED) {
        return None;
    }
    let text = error.to_string();
    let (_, rest) = text.split_once("inequivalent arg '")?;
    let (name, _) = rest.split_once('\'')?;
    OPTIONS.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// What decides about an argument.
const OPTIONS: &[(&str, &str)] = &[
    ("durable", "amqp_durable_queues, rabbit_quorum_queue or rabbit_transient_quorum_queue"),
    ("auto_delete", "amqp_auto_delete"),
    ("type", "the exchange's name: another kind of program uses it"),
    ("x-queue-type", "rabbit_quorum_queue, rabbit_transient_quorum_queue or rabbit_stream_fanout"),
    ("x-delivery-limit", "rabbit_quorum_delivery_limit"),
    ("x-max-in-memory-length", "rabbit_quorum_max_memory_length"),
    ("x-max-in-memory-bytes", "rabbit_quorum_max_memory_bytes"),
    ("x-expires", "rabbit_transient_queues_ttl"),
    ("x-max-age", "rabbit_transient_queues_ttl"),
    ("x-ha-policy", "rabbit_ha_queues"),
];

fn refuses_transient(error: &engine::Error) -> bool {
    error.to_string().contains(TRANSIENT_FEATURE)
}

/// The exchange to declare instead, if there is one.
pub(super) fn other_exchange(error: &engine::Error, exchange: &Exchange) -> Option<Exchange> {
    let is_exchange = error.to_string().contains("for exchange");
    if is_exchange && exchange.kind == "direct" && differing(error) == Some("type") {
        // One of topics also routes by keys that are equal.
        return Some(Exchange { kind: PASSIVE, ..exchange.clone() });
    }
    let is_milder = exchange.durable && is_exchange && differing(error) == Some("durable");
    is_milder.then(|| Exchange { durable: false, ..exchange.clone() })
}

/// The subscription to declare instead, if there is one.
pub(super) fn other(error: &engine::Error, subscription: &Subscription) -> Option<Subscription> {
    let Subscription { queue, binding } = subscription;
    if refuses_transient(error) && queue.may_be_exclusive && !queue.exclusive {
        let queue = Queue { exclusive: true, ..queue.clone() };
        return Some(Subscription { queue, binding: binding.clone() });
    }
    let (exchange, key) = binding.as_ref()?;
    // Quorum queues and streams are durable or not at all.
    let has_type = queue.arguments.iter().any(|(name, _)| *name == "x-queue-type");
    let exchange = other_exchange(error, exchange).filter(|_| !has_type)?;
    let durable = queue.durable && exchange.kind == PASSIVE;
    let queue = Queue { durable, ..queue.clone() };
    Some(Subscription { queue, binding: Some((exchange, key.clone())) })
}

/// The error of a declaration that was refused for good.
pub(super) fn explained(error: engine::Error) -> Error {
    let text = if let Some(argument) = differing(&error) {
        let mut options = OPTIONS.iter().filter(|(known, _)| *known == argument);
        let option = options.next().map_or("", |(_, option)| option);
        format!(
            "`{argument}` differs from what exists already: {error}. All who share it must agree \
             on {option}; what exists can be deleted to be made anew"
        )
    } else if refuses_transient(&error) {
        format!(
            "this broker wants queues durable or exclusive: {error}. Set amqp_durable_queues or \
             rabbit_quorum_queue for all who share the queue"
        )
    } else if error.kind() == engine::ErrorKind::ChannelClosed {
        error.to_string()
    } else {
        return crate::broker::errors::failed(error);
    };
    Error::new(ErrorKind::MessageDeliveryFailure, text).with_cause(error)
}
