//! AMQP methods that a shard sends to open and close channels and to cancel consumers.

use std::rc::Rc;

use amq_protocol::protocol::{AMQPClass, basic, channel, confirm};

use crate::config::Confirms;
use crate::error::Error;
use crate::proto::short;
use crate::shard::connection::channel::state::ChannelState;
use crate::shard::connection::state::Conn;

/// `channel.close`.
pub(crate) fn close_method() -> AMQPClass {
    AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: 200,
        reply_text: "closed on request".into(),
        class_id: 0,
        method_id: 0,
    }))
}

/// `basic.cancel`.
pub(crate) fn cancel_method(tag: &str) -> AMQPClass {
    let cancel = basic::Cancel { consumer_tag: short(tag), nowait: false };
    AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel))
}

/// `basic.qos`.
pub(crate) fn qos_method(prefetch_count: u16) -> AMQPClass {
    let qos = basic::Qos { prefetch_count, global: false };
    AMQPClass::Basic(basic::AMQPMethod::Qos(qos))
}

/// Opens a channel at the broker and sets its options. Its outbox is not sent yet, because after a
/// reconnect the declarations come first.
pub(crate) async fn open_channel(conn: &Rc<Conn>, number: u16) -> Result<(), Error> {
    conn.open_channel(number).await?;
    let options =
        |state: &mut ChannelState| (state.shared.options.confirms, state.deliveries.prefetch);
    let (confirms, prefetch_count) = conn.with_channel(number, options)?;
    if confirms == Confirms::Each {
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        conn.request(number, AMQPClass::Confirm(select)).await?;
    }
    if prefetch_count > 0 {
        conn.request(number, qos_method(prefetch_count)).await?;
    }
    Ok(())
}
