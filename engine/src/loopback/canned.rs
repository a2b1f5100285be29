//! The fixed responses with which [`Sink`](super::Sink) and [`Source`](super::Source) answer
//! everything but messages. They keep no state, check nothing and refuse nothing.

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};

use crate::loopback::broker::refusal::short;
use crate::wire::cold::encode_method_frame;

/// Largest frame offered, as RabbitMQ.
pub(super) const FRAME_MAX: u32 = 131_072;

/// Writes `connection.start`.
pub(super) fn write_start(out: &mut Vec<u8>) {
    let mut capabilities = FieldTable::default();
    for name in ["publisher_confirms", "basic.nack", "authentication_failure_close"] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    let start = connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: properties,
        mechanisms: "PLAIN AMQPLAIN".into(),
        locales: "en_US".into(),
    };
    let start = AMQPClass::Connection(connection::AMQPMethod::Start(start));
    encode_method_frame(out, 0, &start);
}

/// Appends the response to a method, if it has one.
pub(super) fn write_response(number: u16, method: &AMQPClass, out: &mut Vec<u8>) {
    if let Some(response) = response_to(method) {
        encode_method_frame(out, number, &response);
    }
}

fn response_to(method: &AMQPClass) -> Option<AMQPClass> {
    Some(match method {
        AMQPClass::Connection(method) => AMQPClass::Connection(connection_response(method)?),
        AMQPClass::Channel(channel::AMQPMethod::Open(_)) => {
            AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))
        }
        AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
            AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
        }
        AMQPClass::Exchange(method) => AMQPClass::Exchange(exchange_response(method)?),
        AMQPClass::Queue(method) => AMQPClass::Queue(queue_response(method)?),
        AMQPClass::Basic(method) => AMQPClass::Basic(basic_response(method)?),
        AMQPClass::Confirm(confirm::AMQPMethod::Select(select)) if !select.nowait => {
            AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))
        }
        _ => return None,
    })
}

fn connection_response(method: &connection::AMQPMethod) -> Option<connection::AMQPMethod> {
    use connection::AMQPMethod as Method;
    Some(match method {
        Method::StartOk(_) => {
            Method::Tune(connection::Tune { channel_max: 2047, frame_max: FRAME_MAX, heartbeat: 0 })
        }
        Method::Open(_) => Method::OpenOk(connection::OpenOk {}),
        Method::Close(_) => Method::CloseOk(connection::CloseOk {}),
        _ => return None,
    })
}

fn exchange_response(method: &exchange::AMQPMethod) -> Option<exchange::AMQPMethod> {
    use exchange::AMQPMethod as Method;
    Some(match method {
        Method::Declare(declare) if !declare.nowait => Method::DeclareOk(exchange::DeclareOk {}),
        Method::Delete(delete) if !delete.nowait => Method::DeleteOk(exchange::DeleteOk {}),
        Method::Bind(bind) if !bind.nowait => Method::BindOk(exchange::BindOk {}),
        Method::Unbind(unbind) if !unbind.nowait => Method::UnbindOk(exchange::UnbindOk {}),
        _ => return None,
    })
}

fn queue_response(method: &queue::AMQPMethod) -> Option<queue::AMQPMethod> {
    use queue::AMQPMethod as Method;
    Some(match method {
        Method::Declare(declare) if !declare.nowait => {
            let name = declare.queue.as_str();
            let name = if name.is_empty() { "amq.gen-puppet" } else { name };
            let ok = queue::DeclareOk { queue: short(name), ..queue::DeclareOk::default() };
            Method::DeclareOk(ok)
        }
        Method::Bind(bind) if !bind.nowait => Method::BindOk(queue::BindOk {}),
        Method::Unbind(_) => Method::UnbindOk(queue::UnbindOk {}),
        Method::Purge(purge) if !purge.nowait => Method::PurgeOk(queue::PurgeOk::default()),
        Method::Delete(delete) if !delete.nowait => Method::DeleteOk(queue::DeleteOk::default()),
        _ => return None,
    })
}

fn basic_response(method: &basic::AMQPMethod) -> Option<basic::AMQPMethod> {
    use basic::AMQPMethod as Method;
    Some(match method {
        Method::Qos(_) => Method::QosOk(basic::QosOk {}),
        Method::Consume(consume) if !consume.nowait => {
            Method::ConsumeOk(basic::ConsumeOk { consumer_tag: short(consumer_tag(consume)) })
        }
        Method::Cancel(cancel) if !cancel.nowait => {
            Method::CancelOk(basic::CancelOk { consumer_tag: cancel.consumer_tag.clone() })
        }
        Method::Get(_) => Method::GetEmpty(basic::GetEmpty {}),
        Method::Recover(_) => Method::RecoverOk(basic::RecoverOk {}),
        _ => return None,
    })
}

/// Returns the consumer tag of the request, or a fixed one if it is empty.
pub(super) fn consumer_tag(consume: &basic::Consume) -> &str {
    match consume.consumer_tag.as_str() {
        "" => "amq.ctag-puppet",
        tag => tag,
    }
}
