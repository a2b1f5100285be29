//! A dialect's exchanges, queues and bindings, declared on a channel.
//!
//! Declarations run on channels without publications: a refused one (406: it exists and is
//! different) ends its channel, and with it whatever was unconfirmed there.

use leveret_engine::{AMQPValue, Channel, ExchangeDeclare, FieldTable, QueueBind, QueueDeclare};

use super::failed;
use crate::error::Error;
use crate::target::entity::{Argument, Exchange, Queue, Subscription};

/// Declares an exchange.
pub(super) async fn exchange(channel: &Channel, exchange: &Exchange) -> Result<(), Error> {
    let declare = ExchangeDeclare {
        name: exchange.name.clone(),
        kind: exchange.kind.to_owned(),
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        ..ExchangeDeclare::default()
    };
    channel.declare_exchange(declare).await.map_err(failed)
}

/// Declares a queue, the exchange it is fed from, and the binding between them.
pub(super) async fn subscription(
    channel: &Channel,
    subscription: &Subscription,
) -> Result<(), Error> {
    if let Some((from, _)) = &subscription.binding {
        exchange(channel, from).await?;
    }
    let Queue { name, durable, auto_delete, arguments, .. } = &subscription.queue;
    let declare = QueueDeclare {
        name: name.clone(),
        durable: *durable,
        auto_delete: *auto_delete,
        arguments: table(arguments),
        ..QueueDeclare::default()
    };
    channel.declare_queue(declare).await.map_err(failed)?;
    if let Some((from, routing_key)) = &subscription.binding {
        let bind = QueueBind {
            queue: name.clone(),
            exchange: from.name.clone(),
            routing_key: routing_key.clone(),
            ..QueueBind::default()
        };
        channel.bind_queue(bind).await.map_err(failed)?;
    }
    Ok(())
}

pub(super) fn table(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, argument) in arguments {
        let value = match argument {
            Argument::Flag(flag) => AMQPValue::Boolean(*flag),
            Argument::Seconds(seconds) => AMQPValue::LongString(format!("{seconds}s").into()),
            Argument::Text(text) => AMQPValue::LongString((*text).into()),
            // As py-amqp writes them: 32 bits where they suffice. RabbitMQ compares values, not
            // widths.
            Argument::Number(number) => {
                i32::try_from(*number).map_or(AMQPValue::LongLongInt(*number), AMQPValue::LongInt)
            }
        };
        table.insert((*name).into(), value);
    }
    table
}
