//! Classes `channel` and `confirm`: opening and closing channels, flow, and enabling confirms.

use amq_protocol::protocol::{AMQPClass, channel, confirm};

use crate::loopback::broker::refusal::Refusal;
use crate::loopback::broker::state::Broker;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::state::Channel;

impl Broker {
    pub(crate) fn handle_channel_class(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: &channel::AMQPMethod,
    ) -> Result<(), Refusal> {
        use channel::AMQPMethod as Method;
        let index = usize::from(number);
        let connection = self.connection_mut(id);
        let state = connection.channel(number).map(|channel| channel.is_closing);
        match (state, method) {
            (None, Method::Open(_)) => {
                if number > connection.channel_max {
                    let text = format!("channel {number} is beyond {}", connection.channel_max);
                    return Err(Refusal::new(530, text));
                }
                if connection.channels.len() <= index {
                    connection.channels.resize_with(index + 1, || None);
                }
                connection.channels[index] = Some(Box::default());
                self.send_channel(id, number, Method::OpenOk(channel::OpenOk {}));
            }
            (Some(_), Method::Open(_)) => {
                return Err(Refusal::new(504, "second 'channel.open' seen"));
            }
            (None, _) => return Err(Refusal::new(504, "expected 'channel.open'")),
            (Some(true), Method::CloseOk(_)) => connection.channels[index] = None,
            (Some(true), Method::Close(_)) => {
                // Both sides closed at once: answer, and keep waiting for the reply to our close.
                self.send_channel(id, number, Method::CloseOk(channel::CloseOk {}));
            }
            (Some(true), _) => (),
            (Some(false), Method::Close(_)) => {
                let connection = self.connection_mut(id);
                let (slot, pending) = (&mut connection.channels[index], &mut connection.pending);
                if let Some(channel) = slot {
                    channel.flush_confirms(number, pending);
                }
                self.release_channel(id, number);
                self.send_channel(id, number, Method::CloseOk(channel::CloseOk {}));
            }
            (Some(false), Method::Flow(flow)) if flow.active => {
                let ok = channel::FlowOk { active: true };
                self.send_channel(id, number, Method::FlowOk(ok));
            }
            (Some(false), Method::Flow(_)) => {
                return Err(Refusal::not_implemented("active=false"));
            }
            (Some(false), _) => {
                return Err(Refusal::new(503, "a channel method out of its turn"));
            }
        }
        Ok(())
    }

    fn send_channel(&mut self, id: ConnectionId, number: u16, method: channel::AMQPMethod) {
        self.send(id, number, &AMQPClass::Channel(method));
    }

    pub(crate) fn handle_confirm(
        &mut self,
        id: ConnectionId,
        number: u16,
        method: &confirm::AMQPMethod,
    ) -> Result<(), Refusal> {
        let confirm::AMQPMethod::Select(select) = method else {
            return Err(Refusal::new(503, "a client does not send this method"));
        };
        if let Some(Channel { confirms, .. }) = self.connection_mut(id).channel_mut(number) {
            *confirms = true;
        }
        if !select.nowait {
            let ok = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
            self.send(id, number, &AMQPClass::Confirm(ok));
        }
        Ok(())
    }
}
