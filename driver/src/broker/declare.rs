//! Declares exchanges, queues and bindings on a channel.
//!
//! The channel must carry no publications: a refused declaration (406: the entity exists with other
//! properties) closes its channel, and what is unconfirmed there is lost.

use leveret_engine::{
    self as engine, AMQPValue, Channel, ExchangeDeclare, FieldTable, QueueBind, QueueDeclare,
};

use crate::broker::conflict;
use crate::error::Error;
use crate::topology::{Argument, Exchange, PASSIVE, Queue, Subscription};

/// Declares an exchange. Where RabbitMQ refuses it, declares its alternative.
pub(super) async fn exchange(channel: &Channel, exchange: &Exchange) -> Result<(), Error> {
    let Err(error) = exchange_once(channel, exchange).await else { return Ok(()) };
    let Some(other) = conflict::alternative_exchange(&error, exchange) else {
        return Err(conflict::explain(error));
    };
    tracing::warn!(
        name: "leveret.declaration.changed",
        %error, exchange = exchange.name, "the one there is used instead"
    );
    exchange_once(channel, &other).await.map_err(conflict::explain)
}

/// Declares a queue, its exchange, and the binding between them. Where RabbitMQ refuses them,
/// declares their alternative.
pub(super) async fn subscription(
    channel: &Channel,
    subscription: &Subscription,
) -> Result<(), Error> {
    let Err(error) = subscription_once(channel, subscription).await else { return Ok(()) };
    let Some(other) = conflict::alternative(&error, subscription) else {
        return Err(conflict::explain(error));
    };
    let Queue { name, durable, exclusive, .. } = &other.queue;
    tracing::warn!(
        name: "leveret.declaration.changed",
        %error, queue = name, durable, exclusive, "declared like this instead"
    );
    subscription_once(channel, &other).await.map_err(conflict::explain)
}

/// Declares an exchange, without an alternative.
pub(super) async fn exchange_once(
    channel: &Channel,
    exchange: &Exchange,
) -> Result<(), engine::Error> {
    let declare = ExchangeDeclare {
        name: exchange.name.clone(),
        kind: exchange.kind.to_owned(),
        passive: exchange.kind == PASSIVE,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        ..ExchangeDeclare::default()
    };
    channel.declare_exchange(declare).await
}

async fn subscription_once(
    channel: &Channel,
    subscription: &Subscription,
) -> Result<(), engine::Error> {
    if let Some((from, _)) = &subscription.binding {
        exchange_once(channel, from).await?;
    }
    let queue = &subscription.queue;
    let declare = QueueDeclare {
        name: queue.name.clone(),
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        arguments: table(&queue.arguments),
        ..QueueDeclare::default()
    };
    channel.declare_queue(declare).await?;
    if let Some((from, routing_key)) = &subscription.binding {
        let bind = QueueBind {
            queue: queue.name.clone(),
            exchange: from.name.clone(),
            routing_key: routing_key.clone(),
            ..QueueBind::default()
        };
        channel.bind_queue(bind).await?;
    }
    Ok(())
}

/// Converts arguments to an AMQP table.
pub(super) fn table(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, argument) in arguments {
        let value = match argument {
            Argument::Flag(flag) => AMQPValue::Boolean(*flag),
            Argument::Seconds(seconds) => AMQPValue::LongString(format!("{seconds}s").into()),
            Argument::Text(text) => AMQPValue::LongString((*text).into()),
            // 32 bits where they suffice, as py-amqp writes numbers. RabbitMQ compares values, not
            // widths.
            Argument::Number(number) => {
                i32::try_from(*number).map_or(AMQPValue::LongLongInt(*number), AMQPValue::LongInt)
            }
        };
        table.insert((*name).into(), value);
    }
    table
}
