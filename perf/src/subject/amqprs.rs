//! The `amqprs` crate, used as its own examples use it: publications are queued to its writer task.
//!
//! It reports confirms to a callback and leaves the window to the user. The window here is a
//! channel of acknowledgements and a ring of start times. Its consumer queue has no bound. Not
//! here: its default callbacks, which only log.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Instant;

use amqprs::callbacks::{ChannelCallback, DefaultConnectionCallback};
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, Channel,
    ConfirmSelectArguments, ConsumerMessage, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::tokio_client::{Style, TokioClient};
use crate::broker::address::BrokerAddress;
use crate::load::workers::Probe;
use crate::system::clock;

/// A connection of `amqprs`, with one channel.
pub(super) struct Amqprs {
    // Fields drop in this order: the channel before its connection.
    channel: Channel,
    connection: Connection,
    style: Style,
}

/// Persistent messages survive a restart of the broker.
const PERSISTENT: u8 = 2;

impl Amqprs {
    fn properties(&self) -> BasicProperties {
        let mut properties = BasicProperties::default();
        if self.style == Style::Kombu {
            properties.with_delivery_mode(PERSISTENT);
        }
        properties
    }

    fn is_plain(&self) -> bool {
        self.style == Style::Plain
    }
}

/// One acknowledgement: the tag, whether it covers all tags before, and whether it is positive.
type Settled = (u64, bool, bool);

impl TokioClient for Amqprs {
    const NAME: &'static str = "amqprs";
    const KOMBU_NAME: &'static str = "amqprs-kombu";
    type Destination = BasicPublishArguments;
    type Consumer = mpsc::UnboundedReceiver<ConsumerMessage>;
    type Delivery = ConsumerMessage;

    async fn open(address: &BrokerAddress, style: Style) -> Result<Self> {
        let BrokerAddress { host, port, user, password, vhost, .. } = address;
        let mut arguments = OpenConnectionArguments::new(host, *port, user, password);
        arguments.virtual_host(vhost);
        let connection = Connection::open(&arguments).await?;
        connection.register_callback(DefaultConnectionCallback).await?;
        let channel = connection.open_channel(None).await?;
        if style == Style::Kombu {
            channel.confirm_select(ConfirmSelectArguments::default()).await?;
        }
        Ok(Self { channel, connection, style })
    }

    async fn close(&self) -> Result<()> {
        Ok(self.connection.clone().close().await?)
    }

    fn destination(queue: &str) -> BasicPublishArguments {
        BasicPublishArguments::new("", queue)
    }

    async fn publish(&self, to: &BasicPublishArguments, body: &[u8]) -> Result<()> {
        let properties = BasicProperties::default();
        Ok(self.channel.basic_publish(properties, body.to_vec(), to.clone()).await?)
    }

    async fn publish_confirmed(
        &self,
        queue: &str,
        mandatory: bool,
        body: &[u8],
        window: usize,
        probe: &mut Probe,
    ) -> Result<()> {
        let channel = &self.channel;
        let (report, mut settled) = mpsc::unbounded_channel();
        channel.register_callback(Confirms(report)).await?;
        if self.is_plain() {
            channel.confirm_select(ConfirmSelectArguments::default()).await?;
        }
        let mut to = BasicPublishArguments::new("", queue);
        to.mandatory(mandatory);
        let mut in_flight: VecDeque<Option<Instant>> = VecDeque::with_capacity(window);
        let (mut first, mut open) = (1_u64, 0);
        while probe.running() {
            while open < window {
                in_flight.push_back(Some(clock::now()));
                open += 1;
                channel.basic_publish(self.properties(), body.to_vec(), to.clone()).await?;
            }
            let (tag, multiple, good): Settled =
                settled.recv().await.context("the channel ended")?;
            let now = clock::now();
            let last = tag.checked_sub(first).context("an ack of a settled tag")? as usize;
            let from = if multiple { 0 } else { last };
            for start in in_flight.range_mut(from..=last).filter_map(Option::take) {
                open -= 1;
                probe.latency(start, now);
                if good { probe.done(1) } else { probe.failed(1) }
            }
            while in_flight.front() == Some(&None) {
                in_flight.pop_front();
                first += 1;
            }
        }
        Ok(())
    }

    async fn request(
        &self,
        to: &BasicPublishArguments,
        reply_queue: &str,
        slot: usize,
        body: &[u8],
    ) -> Result<()> {
        let mut properties = self.properties();
        properties.with_reply_to(reply_queue).with_correlation_id(&slot.to_string());
        Ok(self.channel.basic_publish(properties, body.to_vec(), to.clone()).await?)
    }

    async fn reply(&self, request: &ConsumerMessage) -> Result<()> {
        let asked = request.basic_properties.as_ref().context("a request without properties")?;
        let reply_to = asked.reply_to().context("a request without reply-to")?;
        let mut properties = self.properties();
        properties.with_correlation_id(asked.correlation_id().context("a request without an id")?);
        let mut to = BasicPublishArguments::new("", reply_to);
        to.mandatory(!self.is_plain());
        let body = request.content.clone().unwrap_or_default();
        Ok(self.channel.basic_publish(properties, body, to).await?)
    }

    async fn acknowledge(&self, delivery: &ConsumerMessage) -> Result<()> {
        let deliver = delivery.deliver.as_ref().context("no delivery")?;
        let arguments = BasicAckArguments::new(deliver.delivery_tag(), false);
        Ok(self.channel.basic_ack(arguments).await?)
    }

    async fn declare_exclusive(&self, queue: &str) -> Result<()> {
        let arguments = QueueDeclareArguments::new(queue).exclusive(true).finish();
        self.channel.queue_declare(arguments).await?;
        Ok(())
    }

    async fn consume(&self, queue: &str) -> Result<Self::Consumer> {
        let arguments =
            BasicConsumeArguments::new(queue, "amqprs").manual_ack(!self.is_plain()).finish();
        Ok(self.channel.basic_consume_rx(arguments).await?.1)
    }

    async fn next(consumer: &mut Self::Consumer) -> Result<Option<ConsumerMessage>> {
        Ok(consumer.recv().await)
    }

    fn touch(delivery: ConsumerMessage) {
        std::hint::black_box(delivery.content);
    }

    fn slot(reply: &ConsumerMessage) -> Result<usize> {
        let properties = reply.basic_properties.as_ref().context("an answer without properties")?;
        Ok(properties.correlation_id().context("an answer to no request")?.parse()?)
    }
}

/// Forwards acknowledgements. The signatures are the expansion of the crate's `async_trait`.
struct Confirms(mpsc::UnboundedSender<Settled>);

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl ChannelCallback for Confirms {
    fn close<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _close: CloseChannel,
    ) -> Later<'c, Result<(), amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(())))
    }

    fn cancel<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _cancel: Cancel,
    ) -> Later<'c, Result<(), amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(())))
    }

    fn flow<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        active: bool,
    ) -> Later<'c, Result<bool, amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(active)))
    }

    fn publish_ack<'a, 'b, 'c>(&'a mut self, _channel: &'b Channel, ack: Ack) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        // A send fails only after the run is over.
        let _ = self.0.send((ack.delivery_tag(), ack.mutiple(), true));
        Box::pin(ready(()))
    }

    fn publish_nack<'a, 'b, 'c>(&'a mut self, _channel: &'b Channel, nack: Nack) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let _ = self.0.send((nack.delivery_tag(), nack.multiple(), false));
        Box::pin(ready(()))
    }

    fn publish_return<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _returned: Return,
        _properties: BasicProperties,
        _content: Vec<u8>,
    ) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(()))
    }
}
