//! Handles a whole publication: routes it, returns it if it is unroutable, and confirms it.
//!
//! Invariant: the return of a mandatory message precedes its confirm, as RabbitMQ's publisher
//! confirms guarantee. The broker writes returns at once and confirms when the batch ends.

use std::time::Duration;

use crate::loopback::broker::message::{Content, LazyMessage};
use crate::loopback::broker::refusal::Refusal;
use crate::loopback::broker::state::Broker;
use crate::loopback::config::ConnectionId;
use crate::loopback::connection::input::refuse_immediate;
use crate::loopback::connection::state::Connection;
use crate::wire::hot::{Publish, Return};
use crate::wire::properties::ContentHeader;

impl Broker {
    pub(crate) fn publish(
        &mut self,
        id: ConnectionId,
        number: u16,
        publish: &Publish<'_>,
        content: &Content<'_>,
    ) -> Result<(), Refusal> {
        refuse_immediate(publish)?;
        self.stats.published += 1;
        self.check_scripted_publish(publish, content)?;
        if self.blocked.is_some() {
            self.connection_mut(id).is_paused = true;
        }
        if self.script.nack_publishes {
            self.confirm(id, number, false);
            return Ok(());
        }
        let expiration = expiration(content.header)?;
        let mut targets = std::mem::take(&mut self.targets);
        targets.clear();
        let routed = self.route(id, publish, &mut targets);
        if routed.is_ok() && targets.is_empty() && publish.mandatory {
            self.return_unroutable(id, number, content);
        }
        let mut message = LazyMessage { content: *content, stored: None };
        for &queue in &targets {
            self.deliver_or_enqueue(queue, &mut message, expiration);
        }
        self.targets = targets;
        routed?;
        self.confirm(id, number, true);
        Ok(())
    }

    /// Refuses a publication if the script requires it, with RabbitMQ's texts.
    fn check_scripted_publish(
        &self,
        publish: &Publish<'_>,
        content: &Content<'_>,
    ) -> Result<(), Refusal> {
        let size = content.body.len() as u64;
        if let Some(max) = self.script.message_max.filter(|max| size > *max) {
            let text = format!("message size {size} is larger than configured max size {max}");
            return Err(Refusal::new(406, text));
        }
        let name = publish.exchange;
        if self.script.unwritable_exchanges.iter().any(|exchange| exchange == name) {
            let text = format!("access to exchange '{name}' in vhost '/' refused for user 'guest'");
            return Err(Refusal::new(403, text));
        }
        Ok(())
    }

    /// Appends the queues that a publication is routed to.
    fn route(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'_>,
        targets: &mut Vec<usize>,
    ) -> Result<(), Refusal> {
        let vhost = self.connection_mut(id).vhost;
        let vhost = &mut self.vhosts[vhost];
        if publish.exchange.is_empty() {
            targets.extend(vhost.queues.get(publish.routing_key));
            return Ok(());
        }
        let Some(exchange) = vhost.exchanges.get_mut(publish.exchange) else {
            return Err(Refusal::not_found("exchange", publish.exchange, &vhost.name));
        };
        if exchange.settings.internal {
            let (name, vhost) = (publish.exchange, &vhost.name);
            let text = format!("cannot publish to internal exchange '{name}' in vhost '{vhost}'");
            return Err(Refusal::new(403, text));
        }
        exchange.route(publish.routing_key, targets);
        Ok(())
    }

    fn return_unroutable(&mut self, id: ConnectionId, number: u16, content: &Content<'_>) {
        self.stats.returned += 1;
        let connection = self.connection_mut(id);
        let unroutable = Return {
            reply_code: 312,
            reply_text: "NO_ROUTE",
            exchange: content.exchange,
            routing_key: content.routing_key,
        };
        unroutable.encode_frame(number, &mut connection.pending);
        let frame_max = connection.frame_max;
        content.write(number, frame_max, &mut connection.pending);
        self.mark_dirty(id);
    }

    fn confirm(&mut self, id: ConnectionId, number: u16, is_ack: bool) {
        let withheld = self.script.withhold_confirms;
        let Connection { channels, pending, .. } = self.connection_mut(id);
        let channel = channels[usize::from(number)].as_deref_mut();
        let channel = channel.expect("a publication comes on an open channel");
        if !channel.confirms {
            return;
        }
        if withheld {
            channel.skip_publish();
        } else if channel.count_publish(number, is_ack, pending) {
            self.mark_confirming(id, number);
        }
    }
}

/// Returns the message's own time to live, from its properties.
fn expiration(header: &[u8]) -> Result<Option<Duration>, Refusal> {
    // The property flags start at byte 12; its lowest bit is the expiration.
    if header.get(12).is_none_or(|flags| flags & 1 == 0) {
        return Ok(None);
    }
    let properties = ContentHeader::parse(header).map(|header| header.properties);
    let text = properties.ok().and_then(|properties| properties.expiration).unwrap_or_default();
    match text.parse() {
        Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        Err(_) => Err(Refusal::new(406, format!("invalid expiration '{text}'"))),
    }
}
