//! Chooses another declaration when RabbitMQ refuses one, or explains the refusal.
//!
//! Three refusals have another declaration:
//! - The exchange exists and is not durable: it is declared as not durable, as oslo does.
//! - A topic exchange exists where a direct one is declared: it is used as it is.
//! - RabbitMQ allows no queues that are neither durable nor exclusive: a queue with one consumer
//!   becomes exclusive.
//!
//! The error of any other refusal names the option that the user has to change. Invariant: a
//! declaration is tried at most twice.

use leveret_engine as engine;

use crate::broker::errors::from_engine;
use crate::error::{Error, ErrorKind};
use crate::topology::{Exchange, PASSIVE, Queue, Subscription};

/// The channel exception for an entity that exists with other properties.
const PRECONDITION_FAILED: u16 = 406;
/// RabbitMQ 4's name for queues that are neither durable nor exclusive. Where this deprecated
/// feature is denied, declaring one closes the connection (541).
const TRANSIENT_FEATURE: &str = "transient_nonexcl_queues";

/// The argument that differs between the declaration and the existing entity.
fn inequivalent_argument(error: &engine::Error) -> Option<&'static str> {
    if error.reply_code() != Some(PRECONDITION_FAILED) {
        return None;
    }
    let text = error.to_string();
    let (_, rest) = text.split_once("inequivalent arg '")?;
    let (name, _) = rest.split_once('\'')?;
    OPTIONS.iter().map(|(argument, _)| *argument).find(|argument| *argument == name)
}

/// Arguments, and the options that set them.
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

fn is_transient_refused(error: &engine::Error) -> bool {
    error.to_string().contains(TRANSIENT_FEATURE)
}

/// Returns the exchange to declare instead of a refused one, if there is one.
pub(super) fn alternative_exchange(error: &engine::Error, exchange: &Exchange) -> Option<Exchange> {
    let is_exchange = error.to_string().contains("for exchange");
    if is_exchange && exchange.kind == "direct" && inequivalent_argument(error) == Some("type") {
        // A topic exchange routes by equal keys, too.
        return Some(Exchange { kind: PASSIVE, ..exchange.clone() });
    }
    let was_durable =
        exchange.durable && is_exchange && inequivalent_argument(error) == Some("durable");
    was_durable.then(|| Exchange { durable: false, ..exchange.clone() })
}

/// Returns the subscription to declare instead of a refused one, if there is one.
pub(super) fn alternative(
    error: &engine::Error,
    subscription: &Subscription,
) -> Option<Subscription> {
    let Subscription { queue, binding } = subscription;
    if is_transient_refused(error) && queue.may_be_exclusive && !queue.exclusive {
        let queue = Queue { exclusive: true, ..queue.clone() };
        return Some(Subscription { queue, binding: binding.clone() });
    }
    let (exchange, key) = binding.as_ref()?;
    // Quorum queues and streams are always durable.
    let has_type = queue.arguments.iter().any(|(name, _)| *name == "x-queue-type");
    let exchange = alternative_exchange(error, exchange).filter(|_| !has_type)?;
    let durable = queue.durable && exchange.kind == PASSIVE;
    let queue = Queue { durable, ..queue.clone() };
    Some(Subscription { queue, binding: Some((exchange, key.clone())) })
}

/// Converts the error of a refused declaration, naming the option to change.
pub(super) fn explain(error: engine::Error) -> Error {
    let text = if let Some(argument) = inequivalent_argument(&error) {
        let mut options = OPTIONS.iter().filter(|(name, _)| *name == argument);
        let option = options.next().map_or("", |(_, option)| option);
        format!(
            "`{argument}` differs from what exists already: {error}. All who share it must agree \
             on {option}; what exists can be deleted to be made anew"
        )
    } else if is_transient_refused(&error) {
        format!(
            "this broker wants queues durable or exclusive: {error}. Set amqp_durable_queues or \
             rabbit_quorum_queue for all who share the queue"
        )
    } else if error.kind() == engine::ErrorKind::ChannelClosed {
        error.to_string()
    } else {
        return from_engine(error);
    };
    Error::new(ErrorKind::MessageDeliveryFailure, text).with_cause(error)
}
