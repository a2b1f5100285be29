//! Requests of a connection to its broker: a method, and the method that answers it.

use amq_protocol::protocol::AMQPClass;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};
use crate::shard::connection::state::{Conn, PendingRequest};
use crate::{proto, reactor};

impl Conn {
    /// Sends a method on a channel and waits for the broker's answer.
    pub(crate) async fn request(
        &self,
        channel: u16,
        method: AMQPClass,
    ) -> Result<AMQPClass, Error> {
        self.send_request(channel, |proto, token| proto.request(channel, token, method)).await
    }

    pub(crate) async fn open_channel(&self, channel: u16) -> Result<AMQPClass, Error> {
        self.send_request(channel, |proto, token| proto.open_channel(channel, token)).await
    }

    async fn send_request(
        &self,
        channel: u16,
        put: impl FnOnce(&mut proto::Connection, u64) -> bool,
    ) -> Result<AMQPClass, Error> {
        let token = self.next_token();
        let (reply, answer) = oneshot::channel();
        {
            let mut proto = self.proto.borrow_mut();
            let proto = proto.as_mut().filter(|_| !self.is_down()).ok_or_else(|| self.reason())?;
            if !put(proto, token) {
                let max = proto.channel_max();
                let text = if channel > max {
                    format!("channel {channel} is above the broker's channel_max of {max}")
                } else {
                    format!("channel {channel} is not open")
                };
                return Err(Error::new(ErrorKind::ChannelClosed, text));
            }
        }
        let request = PendingRequest { channel, since: reactor::now(), reply };
        self.pending_requests.borrow_mut().insert(token, request);
        self.pending.notify_one();
        self.shared.write_bell.ring();
        answer.await.unwrap_or_else(|_| Err(self.reason()))
    }
}
